"""Rules and their evaluation; an exception of user code is a violation."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Generic, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Traced
from jax.typing import ArrayLike
from jaxtyping import Array
from typing_extensions import TypeVar

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
)
from syntony.pytrees import PyTree
from syntony.training.devices import fast_compile_options

SubjectT = TypeVar("SubjectT", bound="Subject")
"""Subject of a report's rules."""
SubjectT_contra = TypeVar("SubjectT_contra", contravariant=True)
"""Subject of a rule; a rule of all tasks is also one of a task in JAX."""
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class RuleViolation(Exception):  # noqa: N818
    """A rule does not hold: what was wrong, what was expected, how to fix it."""


@dataclass(frozen=True)
class Rule(Generic[SubjectT_contra]):
    """A property that an object must have."""

    name: str
    """The property, as it is reported, e.g. "no weak types"."""
    check: Callable[[SubjectT_contra], None]
    """Raises `RuleViolation` where the rule does not hold."""
    is_essential: bool = False
    """Whether the rules below it cannot be checked where it does not hold."""
    applies: Callable[[SubjectT_contra], bool] = lambda subject: True  # noqa: ARG005


class RuleResult(NamedTuple):
    """Result of one rule."""

    name: str
    message: str = ""
    """The violation in one line; empty if the rule holds."""
    error: BaseException | None = None
    """The exception of a violation, with its traceback."""

    @property
    def holds(self) -> bool:
        """Whether the rule holds."""
        return not self.message


class Report(NamedTuple):
    """Results of all rules of a protocol for one object."""

    protocol: str
    """"task", "channel" or "system"."""
    id: str
    results: list[RuleResult]
    num_unchecked: int
    """Rules that could not be checked, as an essential one does not hold."""
    num_calls: int
    """Calls of the object's methods with random arguments; of an evaluation of a
    system, each episode counts as one."""
    wall_s: float

    @property
    def failures(self) -> list[RuleResult]:
        """The rules that do not hold."""
        return [result for result in self.results if not result.holds]


class Subject:
    """An object that is checked, and a counter of the calls of its methods."""

    def __init__(self) -> None:
        self.num_calls = 0


def check_rules(
    protocol: str, id: str, subject: SubjectT, rules: Sequence[Rule[SubjectT]]
) -> Report:
    """Checks all rules that apply, in their order.

    Args:
        protocol: "task", "channel" or "system".
        id: name of the object.
        subject: argument of the rules.
        rules: the rules; after an essential one that does not hold, none is checked.
    """
    start = time.perf_counter()
    results = list(_results(subject, rules))
    num_unchecked = 0
    if results and not results[-1].holds:
        num_unchecked = len(rules) - _index(rules, results[-1].name) - 1
        num_unchecked *= rules[_index(rules, results[-1].name)].is_essential
    wall_s = time.perf_counter() - start
    return Report(protocol, id, results, num_unchecked, subject.num_calls, wall_s)


def _results(
    subject: SubjectT, rules: Sequence[Rule[SubjectT]]
) -> Iterator[RuleResult]:
    for rule in rules:
        result = _check_rule(subject, rule)
        if result is not None:
            yield result
            if rule.is_essential and not result.holds:
                return


def _check_rule(subject: SubjectT, rule: Rule[SubjectT]) -> RuleResult | None:
    """Result of a rule; None if it does not apply."""
    try:
        if not rule.applies(subject):
            return None
        rule.check(subject)
    except (RuleViolation, InvalidInputError) as error:
        message = " ".join(str(error).split())
        return RuleResult(rule.name, message or "it does not hold", error)
    except USER_CODE_EXCEPTIONS as error:
        return RuleResult(rule.name, f"raised {summarize_exception(error)}", error)
    return RuleResult(rule.name)


def _index(rules: Sequence[Rule[SubjectT]], name: str) -> int:
    return [rule.name for rule in rules].index(name)


def require(condition: object, message: str) -> None:
    """Raises `RuleViolation` with this message unless the condition is true."""
    if not condition:
        raise RuleViolation(message)


def leaf_names(tree: PyTree) -> list[str]:
    """Path of every leaf, e.g. `actor/out/bias`, in the order of `jax.tree.leaves`."""
    paths = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(p, simple=True, separator="/") for p, _ in paths]


def require_strong_types(tree: PyTree, what: str) -> None:
    """Raises `RuleViolation` if an array is weakly typed.

    Args:
        tree: arrays, or their abstract values.
        what: name of the tree, e.g. "the state of reset".
    """
    weak = [
        f"{name or what} ({leaf.dtype.name})"
        for name, leaf in zip(leaf_names(tree), jax.tree.leaves(tree), strict=True)
        if getattr(leaf, "weak_type", False)
    ]
    require(
        not weak,
        f"{what} has weak types, from Python numbers: {', '.join(weak)}; everything is "
        "then compiled twice; give the array a type, e.g. jnp.zeros((), jnp.int32)",
    )


def first_difference(a: PyTree, b: PyTree, *, tolerance: float = 0.0) -> str:
    """Path of the first leaf in which two trees differ; empty if they are equal.

    Args:
        a: arrays.
        b: arrays.
        tolerance: largest relative and absolute difference of numbers that are equal;
            0: all bits are.
    """
    if jax.tree.structure(a) != jax.tree.structure(b):
        return "the structure"
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    for name, (x, y) in zip(leaf_names(a), pairs, strict=True):
        if not _is_equal(plain_array(x), plain_array(y), tolerance):
            return name or "the value"
    return ""


@runtime_checkable
class Program(Protocol[ResultT_co]):
    """A compiled function."""

    def __call__(self, *args: object) -> ResultT_co:
        """Value of the function."""
        ...

    def eval_shape(self, *args: object) -> ResultT_co:
        """The value with shapes and types in place of arrays."""
        ...

    def trace(self, *args: object) -> Traced:
        """Trace of the function."""
        ...


def jit(function: Callable[..., ResultT]) -> Program[ResultT]:
    """The function, compiled fast, as it runs a few times only.

    Each call traces and compiles the function anew: JAX keeps the trace of a known one.
    """
    return jax.jit(
        lambda *args: function(*args), compiler_options=_fast_compile_options()
    )


@cache
def _fast_compile_options() -> dict[str, str | bool]:
    """XLA options with which a program is compiled fastest."""
    options = fast_compile_options()
    older_emitters = options | {
        "xla_cpu_use_fusion_emitters": False,
        "xla_llvm_disable_expensive_passes": True,
    }
    try:
        # Twice as fast; XLA refuses the option once it has no older emitters.
        jax.jit(jnp.negative, compiler_options=older_emitters)(1.0)
    except jax.errors.JaxRuntimeError:
        return options
    return older_emitters


def trace_difference(
    function: Callable[..., ResultT], program: Program[ResultT], *args: object
) -> str:
    """Part in which a second trace differs; empty if both are the same.

    A function that is not pure, e.g. one that uses `np.random`, is another program in
    every trace.

    Args:
        function: the function, which is traced again.
        program: `jit` of that function, whose trace JAX keeps.
        args: arguments.
    """
    first, second = (p.trace(*args).jaxpr for p in (program, jit(function)))
    text, other_text = _jaxpr_text(first.jaxpr), _jaxpr_text(second.jaxpr)
    if text == other_text:
        return first_difference(first.consts, second.consts) and "a constant"
    pairs = zip(text.splitlines(), other_text.splitlines(), strict=False)
    lines = [a.strip() for a, b in pairs if a != b]
    return f"the operation {lines[0]!r}" if lines else "its operations"


def _jaxpr_text(jaxpr: object) -> str:
    # Functions within an operation are shown with their addresses.
    return re.sub(r"0x[0-9a-f]+", "0x", str(jaxpr))


def plain_array(x: ArrayLike) -> np.ndarray:
    """Array on the host; the bits of a random key."""
    if jnp.issubdtype(jnp.asarray(x).dtype, jax.dtypes.prng_key):
        return np.asarray(jax.random.key_data(x))
    return np.asarray(x)


def clone_keys(tree: PyTree) -> PyTree:
    """The tree with copies of its keys: JAX can be set to refuse two uses of one."""

    def clone(x: Array | np.ndarray) -> Array | np.ndarray:
        is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
        return jax.random.clone(x) if is_key else x

    return jax.tree.map(clone, tree)


def _is_equal(x: np.ndarray, y: np.ndarray, tolerance: float) -> bool:
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        return False
    is_float = np.issubdtype(x.dtype, np.inexact)
    if tolerance and is_float:
        return np.allclose(x, y, rtol=tolerance, atol=tolerance, equal_nan=True)
    return np.array_equal(x, y, equal_nan=is_float)

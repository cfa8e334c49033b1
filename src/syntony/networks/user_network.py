"""Networks of a user's own, named by `python:MODULE:FUNCTION`.

The function makes an Equinox module from sizes:

    def wide(in_size, out_size, *, hidden, key):
        return eqx.nn.MLP(in_size, out_size, 4 * hidden, 1, key=key)

The module maps one vector, `float32[in_size]`, to one vector, `float32[out_size]`;
batches are made by `jax.vmap`. That of an actor may be a `RecurrentNetwork`.
"""

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from syntony.errors import (
    InvalidInputError,
    raising_invalid_input,
    unknown_name_error,
)
from syntony.plugins import PREFIX, import_user_object
from syntony.pytrees import PyTree

USER_PATTERN = f"{PREFIX}MODULE:FUNCTION"
"""Form of the name of a user's own network."""


@runtime_checkable
class RecurrentNetwork(Protocol):
    """Module with a hidden state, as a user's function may return it for an actor."""

    def initial_hidden(self) -> PyTree[Array]:
        """Hidden state at the start of an episode, the same for all weights."""
        ...

    def __call__(
        self, x: Float[Array, " in"], h: PyTree[Array]
    ) -> tuple[Float[Array, " out"], PyTree[Array]]:
        """Output of one time step, and the next hidden state."""
        ...


UserModule = Callable[..., Array]
"""Module from one vector to one vector."""
UserFunction = Callable[..., object]
"""A user's function, from sizes to a module; its result is checked."""


class NetworkSpec(NamedTuple):
    """Name and sizes of a network."""

    name: str
    """A built-in name, or `python:MODULE:FUNCTION`."""
    in_size: int
    out_size: int
    hidden: int
    """Width of the hidden layers."""
    id_size: int = 0
    """Inputs at the end that are a one-hot agent id."""

    @property
    def is_user(self) -> bool:
        """Whether the network is a user's own."""
        return self.name.startswith(PREFIX)


class NetworkStructure:
    """Everything of a user's module but its arrays.

    There is one for each function and sizes, compared by identity: what a function
    makes anew in each call, e.g. a lambda, is not equal to that of another call.
    """

    def __init__(self, module: eqx.Module, is_recurrent: bool):
        weights, self.static = eqx.partition(module, _is_array_or_shape)
        self.treedef = jax.tree.structure(weights)
        self.is_recurrent = is_recurrent
        self.initial_hidden: PyTree[np.ndarray] = ()
        if is_recurrent:
            recurrent = cast(RecurrentNetwork, module)
            # Also while JAX traces: the values are constants.
            with jax.ensure_compile_time_eval():
                self.initial_hidden = jax.device_get(recurrent.initial_hidden())


class UserNetwork(eqx.Module):
    """A user's module; its leaves are arrays only."""

    weights: PyTree
    structure: NetworkStructure = eqx.field(static=True)

    @property
    def module(self) -> UserModule:
        """The module as the user's function returned it."""
        return cast(UserModule, eqx.combine(self.weights, self.structure.static))

    def __call__(
        self, x: Float[Array, "*batch In"], h: PyTree[Array] = ()
    ) -> tuple[Float[Array, "*batch Out"], PyTree[Array]]:
        """Outputs for a batch of vectors, and the next hidden states.

        Args:
            x: inputs.
            h: hidden states, each leaf with the axes of the batch first; empty for a
                module without one.
        """
        batch = x.shape[:-1]

        def flatten(leaf: Array) -> Array:
            return leaf.reshape(-1, *leaf.shape[len(batch) :])

        outputs = jax.vmap(self._apply)(*jax.tree.map(flatten, (x, h)))
        return jax.tree.map(lambda leaf: leaf.reshape(*batch, *leaf.shape[1:]), outputs)

    def _apply(self, x: Array, h: PyTree[Array]) -> tuple[Array, PyTree[Array]]:
        if self.structure.is_recurrent:
            return cast(RecurrentNetwork, self.module)(x, h)
        return self.module(x), h

    def initial_hidden(self, batch: tuple[int, ...]) -> PyTree[Array]:
        """Hidden states at the start of a batch of episodes."""
        return broadcast_hidden(self.structure.initial_hidden, batch)


def broadcast_hidden(
    hidden: PyTree[np.ndarray], batch: tuple[int, ...]
) -> PyTree[Array]:
    """Hidden state of one agent, repeated along new leading axes."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (*batch, *x.shape)), hidden)


def check_network(
    kind: str, spec: NetworkSpec, names: Sequence[str], *, recurrent: bool = False
) -> None:
    """Checks that a name is a built-in network's, or a user's function that fits.

    Args:
        kind: name of the flag, e.g. "actor".
        spec: name and sizes.
        names: the built-in names.
        recurrent: whether a user's module may have a hidden state.

    Raises:
        InvalidInputError: there is no such network, or the user's module does not map
            vectors of one size to those of the other.
    """
    if spec.is_user:
        user_structure(kind, spec, recurrent=recurrent)
    elif spec.name not in names:
        raise unknown_name_error(kind, spec.name, [*names, USER_PATTERN])


def make_user_network(
    kind: str, spec: NetworkSpec, key: Key[Array, ""], *, recurrent: bool = False
) -> UserNetwork:
    """User's network with new weights; the key is consumed."""
    function = import_user_object(spec.name, "function", callable)
    structure = user_structure(kind, spec, recurrent=recurrent)
    module = function(spec.in_size, spec.out_size, hidden=spec.hidden, key=key)
    weights = jax.tree.leaves(eqx.filter(module, eqx.is_array))
    return UserNetwork(jax.tree.unflatten(structure.treedef, weights), structure)


def user_structure(
    kind: str, spec: NetworkSpec, *, recurrent: bool = False
) -> NetworkStructure:
    """Structure of a user's network, which is imported.

    Raises:
        InvalidInputError: as for `check_network`.
    """
    function = import_user_object(spec.name, "function", callable)
    return _structure(kind, function, spec, recurrent)


@functools.cache
def _structure(
    kind: str, function: UserFunction, spec: NetworkSpec, recurrent: bool
) -> NetworkStructure:
    label = f"{kind} {spec.name}"
    key = jax.eval_shape(jax.random.key, 0)
    x = jax.ShapeDtypeStruct((spec.in_size,), jnp.float32)
    with raising_invalid_input(
        f"{label} raised",
        "a function of in_size, out_size, hidden and key, whose module maps a vector "
        f"of {spec.in_size} to one of {spec.out_size}",
    ):
        result = eqx.filter_eval_shape(
            function, spec.in_size, spec.out_size, hidden=spec.hidden, key=key
        )
        module = _checked_module(label, result)
        structure = NetworkStructure(
            module, recurrent and isinstance(module, RecurrentNetwork)
        )
        inputs = (x, structure.initial_hidden) if structure.is_recurrent else (x,)
        output = eqx.filter_eval_shape(cast(UserFunction, module), *inputs)
    _check_output(label, structure, output, spec)
    return structure


def _checked_module(label: str, module: object) -> eqx.Module:
    if not isinstance(module, eqx.Module):
        raise InvalidInputError(
            f"{label} returned {type(module).__name__}; expected an equinox.Module"
        )
    for leaf in jax.tree.leaves(module):
        is_weight = _is_array_or_shape(leaf) and jnp.issubdtype(
            leaf.dtype, jnp.floating
        )
        if not is_weight and hasattr(leaf, "dtype"):
            raise InvalidInputError(
                f"{label} has an array of {leaf.dtype} that is no weight; expected "
                "floats by jax.numpy, or a static field"
            )
    return module


def _check_output(
    label: str, structure: NetworkStructure, output: object, spec: NetworkSpec
) -> None:
    if structure.is_recurrent:
        pair = _as_tuple(output)
        if len(pair) != 2:
            raise InvalidInputError(
                f"{label} has initial_hidden, and returned {type(output).__name__}; "
                "expected a pair: output and next hidden state"
            )
        output, hidden = pair
        before, after = map(_shapes, (structure.initial_hidden, hidden))
        if before != after:
            raise InvalidInputError(
                f"{label} changes its hidden state from {before} to {after}; expected "
                "the same"
            )
    if _shapes(output) != _shapes(np.zeros(spec.out_size, np.float32)):
        raise InvalidInputError(
            f"{label} returned {_shapes(output)} for a vector of {spec.in_size}; "
            f"expected float32[{spec.out_size}]"
        )


def _as_tuple(output: object) -> tuple[object, ...]:
    """The output, if it is a tuple; an empty one otherwise."""
    return cast(tuple[object, ...], output) if isinstance(output, tuple) else ()


def _shapes(tree: PyTree) -> str:
    leaves = jax.tree.leaves(tree)
    texts = [
        f"{x.dtype}{list(x.shape)}" if hasattr(x, "dtype") else type(x).__name__
        for x in leaves
    ]
    return ", ".join(texts) or "nothing"


def _is_array_or_shape(leaf: object) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)

"""Rules of systems: states, steps, evaluations, parameters, and resumed training."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from syntony.config import config_fields
from syntony.conformance.suite import (
    Program,
    Report,
    Rule,
    RuleViolation,
    Subject,
    check_rules,
    clone_keys,
    first_difference,
    jit,
    leaf_names,
    require,
    require_strong_types,
    trace_difference,
)
from syntony.jax_settings import standard_jax_settings
from syntony.pytrees import PyTree
from syntony.systems.system import HasBlackBox, System, closing_black_box
from syntony.training import checkpoint
from syntony.training.serialization import deserialize, serialize

NUM_STEPS = 6
"""Training steps in all."""
RESUME_AFTER = 3
"""Steps before the state is saved and loaded."""
EPISODES = 150
"""Episodes (or blocks) of an evaluation."""
StepResult = tuple[PyTree, Mapping[str, Array]]
"""State and metrics after a step."""


class SystemSubject(Subject):
    """A system, and the states of a short training that its rules share."""

    def __init__(self, system: System):
        super().__init__()
        self.system = system
        self.num_traces = 0

    @property
    def jittable(self) -> System:
        """The system, or one of the same shapes that can be compiled."""
        if self.system.jittable or not isinstance(self.system, HasBlackBox):
            return self.system
        return self.system.as_jittable()

    @cached_property
    def init(self) -> Program[PyTree]:
        """Compiled `init`."""
        return jit(self.system.init)

    @cached_property
    def abstract_state(self) -> PyTree:
        """Shapes and types of the initial state."""
        return self.init.eval_shape(jax.random.key(0))

    @cached_property
    def step_program(self) -> Program[StepResult]:
        """Compiled `step` of the system, or of one that can be compiled."""

        def counted(state: PyTree) -> StepResult:
            self.num_traces += 1
            return self.jittable.step(state)

        return jit(counted)

    def step(self, state: PyTree) -> StepResult:
        """`step`, compiled where that is possible."""
        is_compiled = self.system.jittable
        return (self.step_program if is_compiled else self.system.step)(state)

    @cached_property
    def abstract_next_state(self) -> PyTree:
        """Shapes and types of the state after a step."""
        return self.step_program.eval_shape(self.abstract_state)[0]

    @cached_property
    def states(self) -> list[StepResult]:
        """States of a training from its start, and the metrics after each step."""
        states: list[StepResult] = [(self.init(jax.random.key(0)), {})]
        for _ in range(NUM_STEPS):
            states.append(self.step(states[-1][0]))
        self.num_calls += NUM_STEPS + 1
        return states

    def samples(self, state: PyTree) -> list[dict[str, np.ndarray]]:
        """Samples of two evaluations with the same key, on the host."""

        def evaluate(state: PyTree, key: Key[Array, ""]) -> PyTree:
            return self.system.evaluate(state, key, EPISODES)

        program = jit(evaluate) if self.system.jittable else evaluate
        self.num_calls += 2 * EPISODES
        return [jax.device_get(program(state, jax.random.key(3))) for _ in range(2)]


@standard_jax_settings()
def check_system(name: str, system: System) -> Report:
    """Checks the rules of systems; see `RULES`.

    Args:
        name: name of the system in the report.
        system: a small system, whose steps take milliseconds.
    """
    with closing_black_box(system):
        return check_rules("system", name, SystemSubject(system), RULES)


def _declarations(subject: SystemSubject) -> None:
    system = subject.system
    # The attributes, as `isinstance` would evaluate properties without their errors.
    attributes = [n for n in vars(System) if not n.startswith("_")]
    missing = [name for name in attributes if not hasattr(type(system), name)]
    missing = [name for name in missing if not hasattr(system, name)]
    require(not missing, f"it lacks {', '.join(missing)}; expected all of System")
    unit = system.step_unit
    require(
        isinstance(unit, str) and unit,
        f'step_unit is {unit!r}; expected e.g. "environment steps"',
    )
    require(
        isinstance(system.jittable, bool),
        f"jittable is {system.jittable!r}; expected True or False",
    )
    require(
        system.jittable or isinstance(system, HasBlackBox),
        "jittable is False, but it lacks as_jittable and close; expected a HasBlackBox",
    )
    system.check()


def _state_is_arrays(subject: SystemSubject) -> None:
    """Initial state: one pytree of arrays."""
    subject.num_calls += 1
    leaves = jax.tree.leaves(subject.abstract_state)
    require(
        leaves, "init gives no arrays; expected a pytree of all that training changes"
    )


def _strong_types(subject: SystemSubject) -> None:
    require_strong_types(subject.abstract_state, "the state of init")


def _kept_types(subject: SystemSubject) -> None:
    """Shapes and types of the state, before and after a step."""
    subject.num_calls += 1
    before = subject.abstract_state
    after = subject.abstract_next_state
    require(
        jax.tree.structure(before) == jax.tree.structure(after),
        "step changes the structure of the state; expected the same fields",
    )
    pairs = zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True)
    for name, (old, new) in zip(leaf_names(before), pairs, strict=True):
        require(
            (old.shape, old.dtype) == (new.shape, new.dtype),
            f"step changes {name or 'the state'} from {old.dtype.name}{list(old.shape)}"
            f" to {new.dtype.name}{list(new.shape)}; expected the same type and shape",
        )


def _metrics(subject: SystemSubject) -> None:
    for _, metrics in subject.states[1:]:
        for name, value in metrics.items():
            require(
                name.startswith("train/"), f"metric {name!r}; expected 'train/{name}'"
            )
            require(
                jnp.shape(value) == () and jnp.issubdtype(value.dtype, jnp.floating),
                f"metric {name} is {value.dtype.name}{list(value.shape)}; expected one "
                "float",
            )
            require(
                np.isfinite(value),
                f"metric {name} is {float(value)}; expected a number",
            )


def _compiled_once(subject: SystemSubject) -> None:
    states = subject.states
    require(
        subject.num_traces == 1,
        f"{len(states) - 1} steps compile {subject.num_traces} programs; expected one: "
        "step must return the shapes and types that init returns",
    )


def _purity(subject: SystemSubject) -> None:
    state = subject.states[0][0]
    if subject.system.jittable:
        difference = trace_difference(
            subject.jittable.step, subject.step_program, state
        )
    else:
        again = subject.system.step(clone_keys(state))
        difference = first_difference(again, subject.states[1])
    subject.num_calls += 2
    require(
        not difference,
        f"two steps from the same state differ in {difference}; expected all "
        "randomness to come from a key in the state, and nothing kept outside of it",
    )


def _counters(subject: SystemSubject) -> None:
    system = subject.system
    steps = [system.num_steps(state) for state, _ in subject.states]
    done = system.is_done(subject.states[0][0])
    count_type = f"{steps[0].dtype.name}{list(steps[0].shape)}"
    require(
        jnp.shape(steps[0]) == () and jnp.issubdtype(steps[0].dtype, jnp.integer),
        f"num_steps is {count_type}; expected one integer",
    )
    require(int(steps[0]) == 0, f"num_steps is {steps[0]} before the first step")
    require(
        all(a < b for a, b in pairwise(steps)),
        f"num_steps is {', '.join(str(n) for n in steps)}; expected more in every step",
    )
    require(
        jnp.shape(done) == () and done.dtype == jnp.bool_,
        f"is_done is {done.dtype.name}{list(done.shape)}; expected one boolean",
    )


def _evaluation(subject: SystemSubject) -> None:
    samples, again = subject.samples(subject.states[-1][0])
    require(samples, "evaluate gives no metric; expected e.g. eval/return_mean")
    for name, values in samples.items():
        require(name.startswith("eval/"), f"metric {name!r}; expected 'eval/{name}'")
        require(
            np.ndim(values) == 1 and len(values) > 0,
            f"{name} has the shape {list(np.shape(values))}; expected one value for "
            "each episode",
        )
        require(np.isfinite(values).all(), f"{name} is not finite; expected numbers")
    lengths = {name: len(values) for name, values in samples.items()}
    require(
        EPISODES in lengths.values(),
        f"evaluate of {EPISODES} episodes gives {lengths} values; expected as many",
    )
    difference = first_difference(samples, again)
    require(
        not difference,
        f"two evaluations with the same key differ in {difference}; expected the same",
    )


def _params(subject: SystemSubject) -> None:
    before, after = (
        jax.device_get(subject.system.params(subject.states[i][0])) for i in (0, -1)
    )
    leaves = jax.tree.leaves(after)
    require(leaves, "params gives no arrays; expected the learned parameters by name")
    for name, leaf in zip(leaf_names(after), leaves, strict=True):
        require(
            np.issubdtype(leaf.dtype, np.floating),
            f"parameter {name} is {leaf.dtype.name}; expected floats",
        )
        require(
            np.isfinite(leaf).all(),
            f"parameter {name} is not finite after {NUM_STEPS} steps; expected numbers",
        )
    require(
        first_difference(before, after),
        f"{NUM_STEPS} steps change no parameter; expected them to be trained",
    )


def _resume(subject: SystemSubject) -> None:
    state, _ = subject.states[RESUME_AFTER]
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint.save_checkpoint(
            Path(folder), 0, RESUME_AFTER, state, wall_s=0.0
        )
        state = checkpoint.load_checkpoint(path, subject.abstract_state).tree
    for index in range(RESUME_AFTER, NUM_STEPS):
        state, metrics = subject.step(state)
        expected = subject.states[index + 1]
        difference = first_difference((state, metrics), expected)
        require(
            not difference,
            f"after a checkpoint is loaded, the next steps differ in {difference}; "
            "expected everything that training changes in the state",
        )
    subject.num_calls += NUM_STEPS - RESUME_AFTER


def _seeds_differ(subject: SystemSubject) -> None:
    states = [subject.init(jax.random.key(seed)) for seed in (0, 1)]
    subject.num_calls += 2
    params = [subject.system.params(state) for state in states]
    require(
        first_difference(*params),
        "two keys of init give the same parameters; expected them to be drawn from it",
    )


def _settings_round_trip(subject: SystemSubject) -> None:
    system = subject.system
    if not dataclasses.is_dataclass(system):
        raise RuleViolation(
            f"{type(system).__name__} is no dataclass; expected one, whose fields are "
            "the settings that a run stores"
        )
    values = json.loads(json.dumps(serialize(system)))
    restored = deserialize(type(system), values)
    for field in config_fields(type(system)):
        old, new = getattr(system, field.name), getattr(restored, field.name)
        require(
            old == new,
            f"{field.name} is {old!r}, but {new!r} when settings.json is read",
        )


RULES: tuple[Rule[SystemSubject], ...] = (
    Rule("declarations", _declarations, is_essential=True),
    Rule("state of arrays", _state_is_arrays, is_essential=True),
    Rule("no weak types", _strong_types),
    Rule("step keeps the state's types", _kept_types, is_essential=True),
    Rule("metrics of step", _metrics),
    Rule(
        "step is compiled once",
        _compiled_once,
        applies=lambda subject: subject.system.jittable,
    ),
    Rule("same state, same step", _purity),
    Rule("counters", _counters),
    Rule("evaluation", _evaluation),
    Rule("parameters are trained", _params),
    Rule("resumes bit for bit", _resume),
    Rule("seeds differ", _seeds_differ),
    Rule("settings round trip", _settings_round_trip),
)
"""Rules of a system."""

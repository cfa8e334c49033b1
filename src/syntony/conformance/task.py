"""Rules of tasks: in JAX, and external environments, which are stepped on the host."""

import jax
import numpy as np

from syntony.config import HasId, config_fields
from syntony.conformance.suite import (
    Report,
    Rule,
    check_rules,
    first_difference,
    require,
    require_strong_types,
)
from syntony.conformance.task_capabilities import BENCHMARK_RULE, CAPABILITY_RULES
from syntony.conformance.task_subject import (
    MAX_STEPS,
    ExternalSubject,
    FirstStep,
    HasTask,
    TaskSubject,
)
from syntony.jax_settings import standard_jax_settings
from syntony.tasks import validation
from syntony.tasks.registry import task as parse_task
from syntony.tasks.rollout import SteppedOnHost
from syntony.tasks.task import Task, TimeStep

TOLERANCE = 1e-4
"""Difference by which compiled code may round otherwise."""


@standard_jax_settings()
def check_task(task: Task) -> Report:
    """Checks the rules of tasks; see `JAX_RULES` and `EXTERNAL_RULES`."""
    if isinstance(task, SteppedOnHost):
        return check_rules("task", task.id, ExternalSubject(task), EXTERNAL_RULES)
    return check_rules("task", str(task.id), TaskSubject(task), JAX_RULES)


def _sizes(subject: HasTask) -> None:
    validation.validate_sizes(subject.task)
    shared = subject.task.shared_reward
    require(
        isinstance(shared, bool), f"shared_reward is {shared!r}; expected True or False"
    )


def _shapes(subject: TaskSubject) -> None:
    subject.num_calls += 3
    validation.validate_shapes(subject.task)


def _state_types(subject: TaskSubject) -> None:
    subject.num_calls += 3
    validation.validate_state_types(subject.task)


def _strong_types(subject: TaskSubject) -> None:
    require_strong_types(subject.shapes.state, "the state of reset")
    require_strong_types(subject.shapes.next_state, "the state of step")


def _purity(subject: TaskSubject) -> None:
    require(
        not subject.impurity,
        f"two calls with the same key and state differ in {subject.impurity}; expected "
        "all randomness to come from `key`, and nothing to be kept outside of the "
        "state",
    )


def _same_without_jit(subject: TaskSubject) -> None:
    args = subject.first_step_args
    eager, compiled = subject.first_step(*args), subject.first_step_program(*args)
    difference = first_difference(compiled, eager, tolerance=TOLERANCE)
    require(
        not difference,
        f"compiled and plain calls differ, in {difference}; use jax.numpy and "
        "jax.random, not NumPy or Python numbers of the state",
    )


def _same_with_vmap(subject: TaskSubject) -> None:
    play = subject.play
    state, next_state = (
        jax.tree.map(lambda x, t=t: x[t, 1], play.state) for t in range(2)
    )
    ends = play.terminated[0, 1], play.truncated[0, 1]
    step = TimeStep(play.obs[1, 1], play.reward[0, 1], *ends)
    of_batch = FirstStep(
        state, play.obs[0, 1], play.action_mask[0, 1], next_state, step
    )
    single = subject.first_step_program(*subject.first_step_args)
    difference = first_difference(of_batch, single, tolerance=TOLERANCE)
    require(
        not difference,
        f"a batch by jax.vmap differs from single calls, in {difference}; expected the "
        "same values",
    )


def _masks(subject: TaskSubject) -> None:
    play = subject.play
    available = play.action_mask.any(axis=-1) | ~play.alive[..., None]
    if not available.all():
        t, _, agent = np.argwhere(~available)[0]
        require(
            False,
            f"no action of agent {agent} is available at step {t} of an episode; "
            "expected at least one, e.g. an action that does nothing",
        )


def _finite_obs(subject: TaskSubject) -> None:
    # What an episode's end leads to is its true final observation.
    alive = np.concatenate([subject.play.alive[:1], subject.play.alive])
    _require_finite(subject.play.obs, alive, "observation", offset=0)


def _finite_rewards(subject: TaskSubject) -> None:
    _require_finite(subject.play.reward, subject.play.alive, "reward", offset=1)


def _require_finite(
    values: np.ndarray, alive: np.ndarray, what: str, *, offset: int
) -> None:
    finite = np.isfinite(values).reshape(*alive.shape, -1).all(axis=-1) | ~alive
    if not finite.all():
        t = int(np.argwhere(~finite)[0][0]) + offset
        when = f"step {t}" if t else "the reset"
        require(False, f"{what} after {when} is not finite; expected numbers")


def _endings(subject: TaskSubject) -> None:
    play, limit = subject.play, subject.task.time_limit
    both = play.terminated & play.truncated & play.alive
    if both.any():
        t = int(np.argwhere(both)[0][0]) + 1
        require(
            False,
            f"step {t} of an episode is both terminated and truncated; expected "
            "truncated only where no terminal state is reached",
        )
    ended = (play.terminated | play.truncated).any(axis=0)
    require(
        limit > MAX_STEPS or ended.all(),
        f"an episode has not ended after time_limit = {limit} steps; expected "
        "truncated at the time limit, e.g. state.time >= self.time_limit",
    )


def _id_round_trip(subject: HasTask) -> None:
    require_same_config(subject.task, parse_task(subject.task.id), subject.task.id)


def require_same_config(given: HasId, parsed: HasId, id: str) -> None:
    """Raises `RuleViolation` unless a config equals the one that its id stands for."""
    require(
        parsed.id == id,
        f"{id!r} is parsed to a config with the id {parsed.id!r}; expected the same",
    )
    names = [f.name for f in config_fields(type(given))]
    for name in names:
        old, new = getattr(given, name), getattr(parsed, name)
        require(
            old == new,
            f"{name} is {old!r}, and {new!r} if {id!r} is parsed; expected all "
            "parameters that are not default in the id, e.g. by format_id",
        )


JAX_RULES: tuple[Rule[TaskSubject], ...] = (
    Rule("sizes", _sizes, is_essential=True),
    Rule("shapes and types", _shapes, is_essential=True),
    Rule("step keeps the state's types", _state_types, is_essential=True),
    Rule("no weak types", _strong_types),
    Rule("same key, same result", _purity),
    Rule(
        "same with and without jit",
        _same_without_jit,
        applies=lambda subject: not subject.impurity and subject.is_small,
    ),
    Rule(
        "same with vmap",
        _same_with_vmap,
        applies=lambda subject: not subject.impurity,
    ),
    Rule("an action is available", _masks),
    Rule("observations are finite", _finite_obs),
    Rule("rewards are finite", _finite_rewards),
    Rule("episodes end", _endings),
    *CAPABILITY_RULES,
    Rule("id round trip", _id_round_trip),
)
"""Rules of a task in JAX."""


def _episodes_run(subject: ExternalSubject) -> None:
    # The environment's values are checked where they are read.
    _ = subject.first_episodes


def _reproducible(subject: ExternalSubject) -> None:
    difference = first_difference(subject.first_episodes, subject.episodes())
    require(
        not difference,
        f"the same seed gave two episodes, which differ in {difference}; expected all "
        "randomness to come from the seed of reset",
    )


EXTERNAL_RULES: tuple[Rule[ExternalSubject], ...] = (
    Rule("sizes", _sizes, is_essential=True),
    Rule("episodes of random play", _episodes_run, is_essential=True),
    Rule("same seed, same episode", _reproducible),
    BENCHMARK_RULE,
    Rule("id round trip", _id_round_trip),
)
"""Rules of an external environment; its values are checked where they are read."""

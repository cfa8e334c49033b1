# ruff: noqa: ARG005
"""Rules of systems: all built-in ones keep them, and each notices one that does not."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reports import messages
from toy_system import Toy, ToyState

from syntony.channels.registry import channel
from syntony.config import pytree_dataclass
from syntony.conformance.system import RULES, check_system
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
from syntony.systems.registry import SYSTEMS
from syntony.tasks.registry import task

SMALL_TASK = "Foraging-2s-5x5-2p-1f-coop?time_limit=5"
SLOW = ("smpe", "smpe_official", "air", "qmix", "vdn", "mappo", "ippo", "ia2c")


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in SYSTEMS],
)
def test_every_system_keeps_the_rules(name: str):
    system = (
        Link(messages=4, uses=2)
        if name == "link"
        else SYSTEMS[name](task=task(SMALL_TASK))
    )
    report = check_system(name, system)
    assert messages(report) == {}
    assert report.num_calls >= 300


@pytest.mark.slow
def test_a_system_with_an_environment_keeps_the_rules():
    pytest.importorskip("gymnasium")
    config = ActorCriticConfig(num_envs=2, hidden=8)
    team = MAA2C(task=task("pettingzoo:external_envs"), actor_critic=config)
    assert messages(check_system("maa2c", team)) == {}


@pytest.mark.slow
def test_a_system_with_a_black_box_keeps_the_rules():
    link = Link(messages=4, uses=2, channel=channel("python:numpy:conj"))
    report = check_system("link", link)
    # A resumed run is the same only where the channel has no noise of its own.
    assert messages(report) == {}


class NoteState(NamedTuple):
    toy: ToyState
    note: Any


def broken(**attributes: Any) -> Any:
    """The toy system with other attributes."""
    attributes = {"__module__": __name__} | attributes
    return pytree_dataclass(type("Broken", (Toy,), attributes))()


def weak_init(toy: Toy, key: Any) -> Any:
    return Toy.init(toy, key)._replace(steps=jnp.asarray(0))


def changing_step(toy: Toy, state: Any) -> Any:
    state, metrics = Toy.step(toy, state)
    return state._replace(x=state.x[:, None]), metrics


def untrained_step(toy: Toy, state: Any) -> Any:
    after, metrics = Toy.step(toy, state)
    return after._replace(x=state.x), metrics


def impure_step(toy: Toy, state: Any) -> Any:
    state, metrics = Toy.step(toy, state)
    shift = float(np.random.default_rng().uniform())
    return state._replace(x=state.x + shift), metrics


def plain_metrics(toy: Toy, state: Any) -> Any:
    state, metrics = Toy.step(toy, state)
    return state, {"loss": metrics["train/loss"]}


def short_evaluation(toy: Toy, state: Any, key: Any, episodes: int) -> Any:
    return Toy.evaluate(toy, state, key, episodes - 1)


def weak_note_step(toy: Toy, state: NoteState) -> Any:
    after, metrics = Toy.step(toy, state.toy)
    return NoteState(after, jnp.asarray(0.0)), metrics


NOTE_METHODS: dict[str, Any] = {
    "init": lambda toy, key: NoteState(Toy.init(toy, key), jnp.zeros(())),
    "num_steps": lambda toy, state: Toy.num_steps(toy, state.toy),
    "is_done": lambda toy, state: Toy.is_done(toy, state.toy),
    "params": lambda toy, state: Toy.params(toy, state.toy),
    "evaluate": lambda toy, state, key, n: Toy.evaluate(toy, state.toy, key, n),
}
HIDDEN: dict[int, Any] = {}
"""State that a checkpoint does not have, by the identity of an array."""


def hiding_step(toy: Toy, state: Any) -> Any:
    after, metrics = Toy.step(toy, state)
    after = after._replace(x=after.x + HIDDEN.get(id(state.x), (state.x, 0.0))[1])
    # With the array, so that no other one gets its identity.
    HIDDEN[id(after.x)] = (after.x, 0.5)
    return after, metrics


HIDING: dict[str, Any] = {
    "step": hiding_step,
    "jittable": False,
    "as_jittable": lambda toy: Toy(),
    "close": lambda toy: None,
}


def double_rate(toy: Any) -> None:
    object.__setattr__(toy, "size", toy.size + 1)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "declarations": ({"jittable": False}, "expected a HasBlackBox"),
    "state of arrays": ({"init": lambda toy, key: ()}, "init gives no arrays"),
    "no weak types": ({"init": weak_init}, "steps (int32); everything is then compil"),
    "step keeps the state's types": (
        {"step": changing_step},
        "step changes x from float32[3] to float32[3, 1]; expected the same type",
    ),
    "metrics of step": ({"step": plain_metrics}, "'loss'; expected 'train/loss'"),
    "step is compiled once": (
        {"step": weak_note_step} | NOTE_METHODS,
        "6 steps compile 2 programs; expected one",
    ),
    "same state, same step": ({"step": impure_step}, "differ in the operation"),
    "counters": (
        {"num_steps": lambda toy, state: jnp.zeros((), jnp.int32)},
        "num_steps is 0, 0, 0, 0, 0, 0, 0; expected more in every step",
    ),
    "evaluation": (
        {"evaluate": short_evaluation},
        "evaluate of 150 episodes gives {'eval/return_mean': 149",
    ),
    "parameters are trained": ({"step": untrained_step}, "6 steps change no parameter"),
    "resumes bit for bit": (HIDING, "after a checkpoint is loaded, the next steps di"),
    "seeds differ": (
        {"init": lambda toy, key: Toy.init(toy, jax.random.key(0))},
        "two keys of init give the same parameters",
    ),
    "settings round trip": (
        {"__post_init__": double_rate},
        "size is 4, but 5 when settings.json is read",
    ),
}
"""For every rule the mistakes of a system that breaks it, and the message about it."""


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_broken_system_breaks_its_rule(rule: str):
    """One line about that rule, and none about another."""
    mistakes, message = BROKEN[rule]
    failures = messages(check_system("toy", broken(**mistakes)))
    assert message in failures.pop(rule)
    # A weak type of `init` is also what a second compilation comes from.
    assert failures.keys() <= {"step is compiled once"}
    assert not failures or rule == "no weak types"
    assert "\n" not in message

"""Cross-play: who acts as whom, and error rates of foreign receivers."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import PyTree
from toy_capabilities import ToyLink, ToyTeam, WalkState
from toy_system import Toy

import syntony
from syntony.channels.awgn import AWGN
from syntony.errors import InvalidInputError
from syntony.evaluation.cross_play import cross_link, cross_play
from syntony.evaluation.link import evaluate_link
from syntony.systems.marl.mixed_team import MixedTeam, MixedTeamState
from syntony.systems.marl.value_decomposition import VDN, QLearningConfig
from syntony.training.checkpoint import Checkpoint
from syntony.training.compiled import TrainState
from syntony.training.run import Run
from syntony.training.run_config import RunConfig

BANDIT = syntony.task("probe-bandit")
"""Two agents, one step: each earns 1/2 by the action of its own index."""
SURE = 1e4
"""Logit of an action that is always taken."""


def make_run(path: str, system: Any, states: dict[int, PyTree]) -> Run:
    """A run with these states, as callbacks see one: no files."""
    live = {
        seed: Checkpoint(TrainState(state, {}, {}, jnp.int32(0)), 5, 0.0)
        for seed, state in states.items()
    }
    config = RunConfig(system=system, steps=5, seeds=len(states))
    return Run(Path(path), config, live=live)


def walk_state(weights: Any) -> WalkState:
    return WalkState(jnp.asarray(weights, float), jax.random.key(0), jnp.int32(0))


def team_run(path: str, actions: list[int]) -> Run:
    """Run of teams whose agents all take one action, one team for each seed."""
    one_hot = [walk_state(SURE * np.eye(3)[[action]]) for action in actions]
    return make_run(path, ToyTeam(task=BANDIT), dict(enumerate(one_hot)))


def returns(results: Any) -> dict[tuple[int, int], float]:
    cells = results["cells"]
    return {(x["seed"], x["other_seed"]): x["eval/return_mean"] for x in cells}


def test_each_agent_in_turn_is_replaced():
    """By hand: agent 0 earns 1/2 by action 0, agent 1 by action 1."""
    run, other = team_run("a", [0, 2]), team_run("b", [1, 0])
    results = cross_play(run, other, episodes=4)
    # Seed 0 with seed 0: newcomer 0 acts as 1 beside 0: nothing; newcomer 1 acts as 1
    # beside 0: both are right.
    first = results["cells"][0]
    assert first["newcomers"] == [0.0, 1.0]
    assert returns(results) == {
        (0, 0): (0.0 + 1.0) / 2,
        (0, 1): 0.5,
        (1, 0): (0.0 + 0.5) / 2,
        (1, 1): (0.5 + 0.0) / 2,
    }
    assert (results["run"], results["other"]) == ("a", "b")


def test_a_run_with_itself_has_its_own_return_on_the_diagonal():
    random = [walk_state(np.random.default_rng(i).normal(size=(1, 3))) for i in (0, 1)]
    run = make_run("a", ToyTeam(task=BANDIT), dict(enumerate(random)))
    matrix = returns(cross_play(run, run, episodes=700))
    # The probability of the right action of each agent, which earns it 1/2.
    for seed, state in run.states.items():
        p = jax.nn.softmax(state.weights[0])
        exact = (p[0] + p[1]) / 2
        # Returns are 0, 1/2 or 1: a standard deviation of at most 1/2.
        assert matrix[seed, seed] == pytest.approx(float(exact), abs=4 * 0.5 / 700**0.5)


def small_team(**changes: Any) -> syntony.MAPPO:
    config = syntony.ActorCriticConfig(hidden=4, num_envs=2)
    return syntony.MAPPO(
        task=syntony.task("probe-coordinate"), actor_critic=config, **changes
    )


@pytest.fixture(scope="module")
def teams() -> tuple[MixedTeam, MixedTeamState]:
    """A MAPPO team that observes its last actions, and a VDN team that does not."""
    team = small_team(last_action=True)
    config = QLearningConfig(hidden=4, num_envs=2, buffer_size=4, batch_size=2)
    other = VDN(task=team.task, q_learning=config)
    mixed = MixedTeam(task=team.task, team=team, other=other)
    return mixed, jax.jit(mixed.init)(jax.random.key(1))


@pytest.mark.parametrize("newcomers", [[False, False], [True, False], [True, True]])
def test_logits_are_those_of_each_agents_own_team(
    newcomers: list[bool], teams: tuple[MixedTeam, MixedTeamState]
):
    mixed, state = teams
    state = state._replace(newcomers=jnp.array(newcomers))
    state = mixed.evaluation_state(state)
    obs_dim, num_actions = mixed.task.obs_dim, mixed.task.num_actions
    obs = jax.random.normal(jax.random.key(2), (3, 2, obs_dim + num_actions))
    team, other = mixed.team, mixed.other
    own, h = team.policy(state.team)(obs, team.initial_hidden(3))
    foreign, other_h = other.policy(state.other)(
        obs[..., :obs_dim], other.initial_hidden(3)
    )
    logits, hidden = mixed.policy(state)(obs, mixed.initial_hidden(3))
    for agent, is_newcomer in enumerate(newcomers):
        expected = foreign if is_newcomer else own
        np.testing.assert_array_equal(logits[:, agent], expected[:, agent])
    jax.tree.map(np.testing.assert_array_equal, hidden, (h, other_h))
    # VDN does not explore in evaluations: one action is certain.
    assert float(jnp.min(jnp.max(jax.nn.softmax(foreign), axis=-1))) > 0.99


def test_a_team_without_newcomers_acts_as_it_does_alone(
    teams: tuple[MixedTeam, MixedTeamState],
):
    mixed, state = teams
    alone, beside = (
        jax.jit(x.evaluate, static_argnums=2)(x_state, jax.random.key(3), 6)
        for x, x_state in ((mixed.team, state.team), (mixed, state))
    )
    jax.tree.map(np.testing.assert_array_equal, beside, alone)


def link_run(path: str, seeds: int, **sizes: int) -> Run:
    system = ToyLink(channel=AWGN(snr_db=2.0), **sizes)
    states = {i: system.init(jax.random.key(i)) for i in range(seeds)}
    return make_run(path, system, states)


ENDS: Any = {"target_block_errors": 200, "max_blocks": 8192}


def test_the_diagonal_of_a_link_with_itself_is_its_error_rate():
    run = link_run("a", 2)
    results = cross_link(run, run, [4.0], **ENDS)
    own = evaluate_link(run, [4.0], **ENDS)["points"]
    cells = {(c["seed"], c["other_seed"], c["snr_db"]): c for c in results["cells"]}
    assert len(cells) == 4
    for point in own:
        for row in point["seeds"]:
            cell = cells[row["seed"], row["seed"], point["snr_db"]]
            for name in ("errors", "blocks", "bler", "bler_low", "bler_high"):
                assert cell[name] == row[name]
    # Codes that were drawn apart: a foreign receiver is wrong most of the time.
    assert cells[0, 1, 4.0]["bler"] > 0.4 > cells[0, 0, 4.0]["bler"]


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        ("team", "link", "b is not a run of a team; expected two teams, or two links"),
        ("link", "team", "b is not a run of a link"),
        ("link", "large", "b has 8 messages in 2 channel uses; expected those of a: 4"),
        ("team", "see", r"probe-see has 2 agents, 2 actions|probe-bandit has 2 agents"),
        ("toy", "toy", "a is not a run of a link"),
    ],
)
def test_runs_that_cannot_be_combined(one: str, other: str, message: str):
    def make(kind: str, path: str) -> Run:
        if kind == "team":
            return team_run(path, [0])
        if kind == "see":
            system = dataclasses.replace(small_team(), task=syntony.task("probe-see"))
            return make_run(path, system, {0: walk_state([0.0])})
        if kind == "toy":
            return make_run(path, Toy(), {0: walk_state([0.0])})
        return link_run(path, 1, messages=8 if kind == "large" else 4)

    pair = make(one, "a"), make(other, "b")
    with pytest.raises(InvalidInputError, match=message):
        cross_play(*pair) if one == "team" else cross_link(*pair)

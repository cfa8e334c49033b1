"""Spread's rewards and observations by hand, its ids there and back."""

import dataclasses
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Array, Key

from syntony.errors import InvalidInputError
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.tasks.particles.physics import ParticleState, at_rest
from syntony.tasks.particles.spread import (
    SimpleSpread,
    SpreadState,
    count_collisions,
    coverage_cost,
)
from syntony.tasks.rollout import rollout

MPE2 = {
    "distance_cost": 0.5,
    "collision_cost": 0.5,
    "self_collision": False,
    "shared_reward": False,
    "position_first": True,
}


def state(agents: list, landmarks: list, time: int = 0) -> SpreadState:
    place = at_rest(jnp.array(agents, jnp.float32))
    return SpreadState(place, jnp.array(landmarks, jnp.float32), jnp.array(time))


def all_rest(task: SimpleSpread, start: SpreadState) -> np.ndarray:
    """Returns the rewards, T by N, of an episode in which nobody acts."""
    none, rewards, told = jnp.zeros(task.players, jnp.int32), [], None
    step = jax.jit(task.step)
    for t in range(task.time_limit):
        assert told is None or not (told.truncated | told.terminated), t
        start, told = step(jax.random.key(0), start, none)
        rewards.append(told.reward)
    assert told is not None
    assert told.truncated
    return np.stack(rewards)


# Three agents far apart; of the landmarks one is 0.5 away from the nearest agent,
# as 0.3² + 0.4² = 0.5², one 0.2, and one has an agent on it.
AGENTS = [(-0.8, 0.0), (0.1, 0.1), (0.9, -0.5)]
LANDMARKS = [(-0.5, 0.4), (0.1, 0.3), (0.9, -0.5)]


def test_the_return_of_a_team_at_rest_by_hand():
    # Each agent loses 0.7, and 1 for touching itself; each is given the sum, −5.1.
    # The team's return counts it once for each of 3 agents, 25 times.
    rewards = all_rest(SimpleSpread(players=3), state(AGENTS, LANDMARKS))
    np.testing.assert_allclose(rewards, -5.1, rtol=1e-5)
    np.testing.assert_allclose(rewards.sum(), -382.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("players", "constant"), [(3, -225), (4, -400), (5, -625), (8, -1600)]
)
def test_even_a_perfect_team_loses_the_constant(players: int, constant: int):
    # −N²T: every landmark is covered, and each touches only itself.
    spots = [(float(i), 0.0) for i in range(players)]
    rewards = all_rest(SimpleSpread(players=players), state(spots, spots))
    assert rewards.sum() == constant == -(players**2) * 25


def test_the_return_of_a_team_at_rest_in_mpe2s_rules():
    # Half of 0.7 for each of 3 agents, 25 times.
    task = SimpleSpread(players=3, **MPE2)
    rewards = all_rest(task, state(AGENTS, LANDMARKS))
    np.testing.assert_allclose(rewards.sum(), -0.35 * 3 * 25, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_papers_reward_is_mpe2s_times_two_n_less_n_squared(seed: int):
    # Per step and for the whole team, from the same places.
    place, landmark = 0.4 * jax.random.normal(jax.random.key(seed), (2, 4, 2))
    board = SpreadState(at_rest(place), landmark, jnp.array(0))
    papers = SimpleSpread(players=4).reward(board).sum()
    mpe2s = SimpleSpread(players=4, **MPE2).reward(board).sum()
    np.testing.assert_allclose(papers, 2 * 4 * mpe2s - 4**2, rtol=1e-5)


def test_collisions_cost_those_who_touch():
    # The first touches both others, which do not touch each other.
    place = [(0.0, 0.0), (0.25, 0.0), (-0.25, 0.0)]
    assert count_collisions(jnp.array(place), include_self=False).tolist() == [2, 1, 1]
    assert count_collisions(jnp.array(place), include_self=True).tolist() == [3, 2, 2]
    alone = SimpleSpread(players=3, shared_reward=False, collision_cost=0.5)
    # All landmarks at (0, 0), which the first agent covers.
    rewards = alone.reward(state(place, [(0.0, 0.0)] * 3))
    assert rewards.tolist() == [-1.5, -1, -1]
    shared = dataclasses.replace(alone, shared_reward=True)
    assert shared.reward(state(place, [(0.0, 0.0)] * 3)).tolist() == [-3.5] * 3


def test_each_landmark_counts_its_nearest_agent():
    place = jnp.array([[0.0, 0.0], [3.0, 0.0]])
    landmark = jnp.array([[0.0, 2.0], [1.0, 0.0]])
    assert coverage_cost(place, landmark) == 3.0


def test_observations_by_hand():
    place = jnp.array([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]])
    velocity = jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    landmark = jnp.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    board = SpreadState(ParticleState(place, velocity), landmark, jnp.array(0))
    _, second, _ = SimpleSpread(players=3).observe(board)
    own, landmarks = [0.3, 0.4, 2, 3], [-1, -2, 0, -1, 1, 0]
    others, silence = [-2, -2, 3, 2], [0, 0, 0, 0]
    np.testing.assert_allclose(second, own + landmarks + others + silence, rtol=1e-6)


@pytest.mark.parametrize(("players", "size"), [(2, 12), (3, 18), (5, 30), (8, 48)])
def test_sizes_are_those_of_the_paper(players: int, size: int, key: Key[Array, ""]):
    task = SimpleSpread(players=players)
    board, obs = task.reset(key)
    assert obs.shape == (players, size) == (task.num_agents, task.obs_dim)
    assert task.action_mask(board).all()
    assert task.action_mask(board).shape == (players, 5)
    assert not board.agents.velocity.any()
    assert board.landmark_position.shape == (players, 2)


def test_episodes_are_cut_and_never_end(key: Key[Array, ""]):
    def rest(obs, memory):
        return jnp.zeros((*obs.shape[:2], 5)), memory

    task = SimpleSpread(players=2, time_limit=7)
    lived = rollout(task, rest, jnp.zeros(()), key, episodes=3)
    assert lived.num_steps == 21
    assert not lived.terminated.any()
    assert lived.truncated[-1].all()


def test_both_scales_of_a_shared_reward_are_reported(key: Key[Array, ""]):
    task = SimpleSpread(players=2, time_limit=3)
    team = MAA2C(task=task, actor_critic=ActorCriticConfig(num_envs=2, hidden=4))
    keys = jax.random.split(key)
    scores = team.evaluate(team.init(keys[0]), keys[1], 8)
    each = scores["eval/return_mean_per_agent"]
    np.testing.assert_allclose(each * 2, scores["eval/return_mean"], rtol=1e-6)


def test_one_scale_is_enough_if_each_is_given_its_own(key: Key[Array, ""]):
    task = SimpleSpread(players=2, time_limit=3, shared_reward=False)
    team = MAA2C(task=task, actor_critic=ActorCriticConfig(num_envs=2, hidden=4))

    def scores(key: Key[Array, ""]) -> Any:
        return team.evaluate(team.init(key), key, 8)

    with jax.debug_key_reuse(False):
        names = jax.eval_shape(scores, key)
    assert "eval/return_mean" in names
    assert "eval/return_mean_per_agent" not in names


def test_costs_can_be_traced(key: Key[Array, ""]):
    board, _ = SimpleSpread(players=3).reset(key)

    def pay(task: SimpleSpread) -> Array:
        assert "distance_cost=traced" in task.id
        return task.reward(board)

    task = SimpleSpread(players=3, distance_cost=0.0, collision_cost=2.0)
    hits = count_collisions(board.agents.position, include_self=True).sum()
    np.testing.assert_allclose(jax.jit(pay)(task), -2.0 * hits)


@given(
    st.builds(
        SimpleSpread,
        players=st.integers(2, 1000),
        distance_cost=st.floats(0, 1e6),
        collision_cost=st.floats(0, 1e6),
        self_collision=st.booleans(),
        shared_reward=st.booleans(),
        position_first=st.booleans(),
        time_limit=st.integers(1, 1000),
    )
)
def test_an_id_goes_there_and_back(task: SimpleSpread):
    assert SimpleSpread.parse(task.id) == task


@given(st.text() | st.from_regex(r"SimpleSpread[-0-9a-z]*(\?[a-z_]*=?[-0-9.e]*)?"))
def test_what_cannot_be_read_is_said_in_one_line(id: str):
    try:
        said = SimpleSpread.parse(id).id
    except InvalidInputError as wrong:
        said = str(wrong)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("SimpleSpread", "expected SimpleSpread-{players}, e.g. SimpleSpread-3"),
        ("SimpleSpread-5ag", "expected SimpleSpread-{players}, e.g. SimpleSpread-5"),
        ("SimpleSpread-1", "players is 1; expected 2 to 1000, e.g. SimpleSpread-2"),
        (
            "SimpleSpread-3?time_limit=0",
            "expected 1 to 1000000, e.g. SimpleSpread-3?ti",
        ),
        (
            "SimpleSpread-3?collision_cost=-1",
            "expected 0.0 to 1000000, e.g. SimpleSpre",
        ),
        ("SimpleSpread-3?self_colision=true", "did you mean 'self_collision'?"),
        ("SimpleSpread-3?shared_reward=1", "expected true or false, e.g. shared_rewar"),
    ],
)
def test_what_is_wrong_with_an_id_is_said(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        SimpleSpread.parse(id)

"""Simple spread: rewards and observations by hand, and ids."""

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
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
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
    "explicit_euler": True,
}


def state(agents: list, landmarks: list, time: int = 0) -> SpreadState:
    particles = at_rest(jnp.array(agents, jnp.float32))
    return SpreadState(particles, jnp.array(landmarks, jnp.float32), jnp.array(time))


def rest(task: SimpleSpread, start: SpreadState) -> np.ndarray:
    """Rewards, T by N, of an episode in which no agent moves."""
    none, rewards, timestep = jnp.zeros(task.players, jnp.int32), [], None
    step = jax.jit(task.step)
    for t in range(task.time_limit):
        assert timestep is None or not (timestep.truncated | timestep.terminated), t
        start, timestep = step(jax.random.key(0), start, none)
        rewards.append(timestep.reward)
    assert timestep is not None
    assert timestep.truncated
    return np.stack(rewards)


# Three agents far apart; the distances of the landmarks to the nearest agent are 0.5,
# as 0.3² + 0.4² = 0.5², 0.2, and 0.
AGENTS = [(-0.8, 0.0), (0.1, 0.1), (0.9, -0.5)]
LANDMARKS = [(-0.5, 0.4), (0.1, 0.3), (0.9, -0.5)]


def test_the_return_of_a_team_at_rest_by_hand():
    # Each agent's cost is 0.7, and 1 for its self-collision; each receives the sum,
    # −5.1. The team's return counts it for each of 3 agents, 25 times.
    rewards = rest(SimpleSpread(players=3), state(AGENTS, LANDMARKS))
    np.testing.assert_allclose(rewards, -5.1, rtol=1e-5)
    np.testing.assert_allclose(rewards.sum(), -382.5, rtol=1e-5)


@pytest.mark.parametrize(
    ("players", "constant"), [(3, -225), (4, -400), (5, -625), (8, -1600)]
)
def test_the_optimal_return_is_the_self_collision_cost(players: int, constant: int):
    # −N²T: every landmark is covered, and each agent collides only with itself.
    spots = [(float(i), 0.0) for i in range(players)]
    rewards = rest(SimpleSpread(players=players), state(spots, spots))
    assert rewards.sum() == constant == -(players**2) * 25


def test_the_return_of_a_team_at_rest_with_the_rules_of_mpe2():
    # Half of 0.7 for each of 3 agents, 25 times.
    task = SimpleSpread(players=3, **MPE2)
    rewards = rest(task, state(AGENTS, LANDMARKS))
    np.testing.assert_allclose(rewards.sum(), -0.35 * 3 * 25, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_the_reward_of_the_paper_is_two_n_times_that_of_mpe2_less_n_squared(seed: int):
    # Team reward per step, in the same state.
    position, landmark = 0.4 * jax.random.normal(jax.random.key(seed), (2, 4, 2))
    board = SpreadState(at_rest(position), landmark, jnp.array(0))
    paper = SimpleSpread(players=4).reward(board).sum()
    mpe2 = SimpleSpread(players=4, **MPE2).reward(board).sum()
    np.testing.assert_allclose(paper, 2 * 4 * mpe2 - 4**2, rtol=1e-5)


def test_collisions_by_hand():
    # The first agent overlaps both others, which do not overlap each other.
    position = [(0.0, 0.0), (0.25, 0.0), (-0.25, 0.0)]
    assert count_collisions(jnp.array(position), include_self=False).tolist() == [
        2,
        1,
        1,
    ]
    assert count_collisions(jnp.array(position), include_self=True).tolist() == [
        3,
        2,
        2,
    ]
    individual = SimpleSpread(players=3, shared_reward=False, collision_cost=0.5)
    # All landmarks are at (0, 0), covered by the first agent.
    rewards = individual.reward(state(position, [(0.0, 0.0)] * 3))
    assert rewards.tolist() == [-1.5, -1, -1]
    shared = dataclasses.replace(individual, shared_reward=True)
    assert shared.reward(state(position, [(0.0, 0.0)] * 3)).tolist() == [-3.5] * 3


def test_coverage_cost_uses_the_nearest_agent():
    position = jnp.array([[0.0, 0.0], [3.0, 0.0]])
    landmark = jnp.array([[0.0, 2.0], [1.0, 0.0]])
    assert coverage_cost(position, landmark) == 3.0


def test_observations_by_hand():
    position = jnp.array([[0.0, 1.0], [2.0, 3.0], [5.0, 5.0]])
    velocity = jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])
    landmark = jnp.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    board = SpreadState(ParticleState(position, velocity), landmark, jnp.array(0))
    _, second, _ = SimpleSpread(players=3).observe(board)
    own, landmarks = [0.3, 0.4, 2, 3], [-1, -2, 0, -1, 1, 0]
    others, messages = [-2, -2, 3, 2], [0, 0, 0, 0]
    np.testing.assert_allclose(second, own + landmarks + others + messages, rtol=1e-6)


@pytest.mark.parametrize(("players", "size"), [(2, 12), (3, 18), (5, 30), (8, 48)])
def test_sizes_are_those_of_the_paper(players: int, size: int, key: Key[Array, ""]):
    task = SimpleSpread(players=players)
    board, obs = task.reset(key)
    assert obs.shape == (players, size) == (task.num_agents, task.obs_dim)
    assert task.action_mask(board).all()
    assert task.action_mask(board).shape == (players, 5)
    assert not board.agents.velocity.any()
    assert board.landmark_position.shape == (players, 2)


def test_episodes_truncate_and_never_terminate(key: Key[Array, ""]):
    def uniform_policy(obs, hidden):
        return jnp.zeros((*obs.shape[:2], 5)), hidden

    task = SimpleSpread(players=2, time_limit=7)
    trajectory = rollout(task, uniform_policy, jnp.zeros(()), key, episodes=3)
    assert trajectory.num_steps == 21
    assert not trajectory.terminated.any()
    assert trajectory.truncated[-1].all()


def test_a_shared_reward_is_also_reported_per_agent(key: Key[Array, ""]):
    task = SimpleSpread(players=2, time_limit=3)
    system = MAA2C(task=task, actor_critic=ActorCriticConfig(num_envs=2, hidden=4))
    keys = jax.random.split(key)
    scores = system.evaluate(system.init(keys[0]), keys[1], 8)
    per_agent = scores["eval/return_mean_per_agent"]
    np.testing.assert_allclose(per_agent * 2, scores["eval/return_mean"], rtol=1e-6)


def test_an_individual_reward_is_not_reported_per_agent(key: Key[Array, ""]):
    task = SimpleSpread(players=2, time_limit=3, shared_reward=False)
    system = MAA2C(task=task, actor_critic=ActorCriticConfig(num_envs=2, hidden=4))

    def scores(key: Key[Array, ""]) -> Any:
        return system.evaluate(system.init(key), key, 8)

    with jax.debug_key_reuse(False):
        names = jax.eval_shape(scores, key)
    assert "eval/return_mean" in names
    assert "eval/return_mean_per_agent" not in names


def test_costs_can_be_traced(key: Key[Array, ""]):
    board, _ = SimpleSpread(players=3).reset(key)

    def traced_reward(task: SimpleSpread) -> Array:
        assert "distance_cost=traced" in task.id
        return task.reward(board)

    task = SimpleSpread(players=3, distance_cost=0.0, collision_cost=2.0)
    collisions = count_collisions(board.agents.position, include_self=True).sum()
    np.testing.assert_allclose(jax.jit(traced_reward)(task), -2.0 * collisions)


@given(
    st.builds(
        SimpleSpread,
        players=st.integers(2, 1000),
        distance_cost=st.floats(0, 1e6),
        collision_cost=st.floats(0, 1e6),
        self_collision=st.booleans(),
        shared_reward=st.booleans(),
        explicit_euler=st.booleans(),
        time_limit=st.integers(1, 1000),
    )
)
def test_id_round_trip(task: SimpleSpread):
    assert SimpleSpread.parse(task.id) == task


@given(st.text() | st.from_regex(r"SimpleSpread[-0-9a-z]*(\?[a-z_]*=?[-0-9.e]*)?"))
def test_a_malformed_id_is_reported_in_one_line(id: str):
    try:
        text = SimpleSpread.parse(id).id
    except InvalidInputError as error:
        text = str(error)
    assert text.isprintable()


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
def test_an_invalid_id_is_reported(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        SimpleSpread.parse(id)

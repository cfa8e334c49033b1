"""What teams see and learn from: normalized inputs, global states, kinds of reward."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import field, pytree_dataclass
from syntony.equations.running_stats import normalize_features
from syntony.errors import InvalidInputError
from syntony.presets.registry import default_preset, preset
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig, critic_values
from syntony.systems.marl.input_normalization import (
    init_input_stats,
    normalizes_inputs,
    update_input_stats,
)
from syntony.systems.marl.ppo import MAPPO
from syntony.systems.marl.rewards import init_reward_stats, learning_reward
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.value_decomposition import (
    QMIX,
    QLearningConfig,
    network_inputs,
    stored_episode,
    to_batch,
)
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import TimeStep
from syntony.training.devices import fast_compile_options

quick = partial(jax.jit, compiler_options=fast_compile_options())


class RoomState(NamedTuple):
    room: Int[Array, " N"]
    secret: Float[Array, ""]
    time: Int[Array, ""]


@pytree_dataclass
class FourRooms:
    """Each of ten steps shows one of four rooms; the action that names it earns 1."""

    scale: float = field(1.0)
    offset: float = field(0.0)

    id = "python:test_team_inputs:FourRooms"
    num_agents, num_actions, obs_dim, time_limit = 1, 4, 4, 10
    shared_reward = False

    def reset(self, key: Key[Array, ""]) -> tuple[RoomState, Float[Array, "N O"]]:
        room_key, secret_key = jax.random.split(key)
        room = jax.random.randint(room_key, (self.num_agents,), 0, 4)
        secret = jax.random.normal(secret_key)
        state = RoomState(room, secret, jnp.zeros((), jnp.int32))
        return state, self.observe(state)

    def observe(self, state: RoomState) -> Float[Array, "N O"]:
        return jax.nn.one_hot(state.room, 4) * self.scale + self.offset

    def action_mask(self, state: RoomState) -> Bool[Array, "N A"]:
        del state
        return jnp.ones((self.num_agents, 4), bool)

    def step(
        self, key: Key[Array, ""], state: RoomState, action: Int[Array, " N"]
    ) -> tuple[RoomState, TimeStep]:
        reward = (action == state.room).astype(jnp.float32)
        room = jax.random.randint(key, (self.num_agents,), 0, 4)
        state = state._replace(room=room, time=state.time + 1)
        ended = state.time >= self.time_limit
        return state, TimeStep(self.observe(state), reward, jnp.zeros((), bool), ended)


@pytree_dataclass
class TwoWithASecret(FourRooms):
    """Two agents, and a global state that no observation tells anything of."""

    id = "python:test_team_inputs:TwoWithASecret"
    num_agents = 2
    global_state_dim = 3

    def global_state(self, state: RoomState) -> Float[Array, " S"]:
        return 1e5 + 100.0 * state.secret * jnp.arange(3)


def small(kind: Any, on: Any, **config: Any) -> Any:
    constants: dict[str, Any] = {"num_envs": 4, "hidden": 8} | config
    if kind is QMIX:
        constants |= {"buffer_size": 4, "batch_size": 2}
        return QMIX(task=on, q_learning=QLearningConfig(**constants))
    return kind(task=on, actor_critic=ActorCriticConfig(**constants))


init = quick(lambda system, key: system.init(key))
step = quick(lambda system, state: system.step(state))
collect = quick(lambda system, state, key: system.collect_episodes(state, key, 4))


@pytest.fixture(scope="module")
def secret_episodes() -> Trajectory:
    system = small(MAA2C, TwoWithASecret())
    return collect(system, init(system, jax.random.key(0)), jax.random.key(1))


def test_benchmarks_with_published_results_keep_raw_inputs():
    published = (
        "Foraging-5x5-2p-1f-coop",
        "SimpleSpread-3",
        "SpeakerListener",
        "rware-tiny-2ag",
    )
    for id in published:
        assert not normalizes_inputs("auto", task(id))
        assert normalizes_inputs("on", task(id))
    small_task = task("Foraging-5x5-2p-1f-coop")
    for name in ("mappo", "qmix", "smpe"):
        system: Any = preset(name, default_preset(name), small_task)
        if name != "smpe":
            system = dataclasses.replace(system, last_action=True)
        state: Any = jax.eval_shape(system.init, jax.random.key(0))
        assert state.input_stats is None
    assert not normalizes_inputs("auto", task("probe-see"))
    own_task = TwoWithASecret()
    assert normalizes_inputs("auto", own_task)
    assert not normalizes_inputs("off", own_task)


def test_statistics_are_of_valid_steps_of_living_agents(secret_episodes):
    """Per agent; neither an end's repeated observation nor a finished agent counts."""
    rng = np.random.default_rng(0)
    shape = secret_episodes.alive.shape
    valid = np.arange(10)[:, None] < np.array([10, 3, 7, 1])
    alive = valid[..., None] & (rng.uniform(size=shape) < 0.6)
    episodes = secret_episodes._replace(
        valid=jnp.asarray(valid),
        alive=jnp.asarray(alive),
        obs=jnp.asarray(rng.normal(size=(11, 4, 2, 4)), jnp.float32)
        .at[:-1]
        .multiply(jnp.asarray(alive)[..., None]),
    )
    stats = update_input_stats(init_input_stats(TwoWithASecret()), episodes)
    assert stats is not None
    for i in range(2):
        seen = np.asarray(episodes.obs[:-1, :, i])[alive[..., i]]
        np.testing.assert_allclose(stats.obs.mean[i], seen.mean(0), atol=1e-5)
        np.testing.assert_allclose(stats.obs.std[i], seen.std(0), rtol=1e-4)
        assert float(stats.obs.num_samples[i]) == len(seen)
    known = np.asarray(episodes.global_state[:-1], np.float64)[valid]
    np.testing.assert_allclose(stats.global_state.mean, known.mean(0), rtol=1e-5)


@pytest.mark.parametrize("kind", [MAA2C, SMPE])
def test_the_statistics_that_acted_are_those_of_the_update(kind):
    """Then they include the episodes; before the first all inputs are zero."""
    system = small(kind, TwoWithASecret())
    state = init(system, jax.random.key(0))
    after, _ = step(system, state)
    assert float(after.input_stats.obs.num_samples[0]) == 4 * 10
    assert "input_stats" in system.params(after)
    obs = jax.random.normal(jax.random.key(1), (3, 2, 4))
    hidden = system.initial_hidden(3)
    for x in (state, after):
        logits, _ = system.policy(x)(obs, hidden)
        changed, _ = system.policy(x)(5.0 * obs, hidden)
        is_blind = x is state and kind is MAA2C
        assert np.array_equal(logits, changed) == is_blind


@pytest.mark.parametrize("kind", [MAA2C, MAPPO, QMIX, SMPE])
def test_central_values_see_the_global_state(kind, secret_episodes):
    """Values change with it, of a state that no observation tells anything of."""
    system = small(kind, TwoWithASecret())
    state = init(system, jax.random.key(0))
    stats: Any = update_input_stats(state.input_stats, secret_episodes)
    state = state._replace(input_stats=stats)
    other = secret_episodes._replace(global_state=secret_episodes.global_state[:, ::-1])

    def value(episodes: Trajectory) -> Array:
        if kind is QMIX:
            batch = to_batch(episodes, jnp.sum(episodes.reward, -1), "float32")
            batch = network_inputs(stats, batch)
            networks = state.learner.networks
            return system.td_loss(networks, networks, batch, episodes.valid)
        config, critic = system.actor_critic, state.critic_state.critic
        if kind is SMPE:
            inputs = system.standard_critic_inputs(state, episodes)
        else:
            inputs = system.critic_inputs(
                episodes._replace(
                    global_state=normalize_features(
                        stats.global_state, episodes.global_state
                    )
                )
            )
        assert inputs.shape[-2:] == (1, 3)
        assert float(jnp.max(jnp.abs(inputs))) <= 10.0
        return critic_values(config, critic, inputs, 2)

    assert not np.allclose(value(secret_episodes), value(other), rtol=1e-3)


def test_stored_observations_are_raw_and_finite(secret_episodes):
    """Half precision ends at 65,504: what is beyond is clipped, not infinite."""
    episodes = secret_episodes._replace(obs=1e6 * secret_episodes.obs)
    limits: Any = (("float32", 1e6), ("float16", 65_504.0))
    for dtype, largest in limits:
        batch = to_batch(episodes, jnp.sum(episodes.reward, -1), dtype)
        shapes = stored_episode(TwoWithASecret(), dtype)
        assert shapes.global_state is not None
        stored = batch.obs.astype(shapes.obs.dtype)
        assert float(stored.max()) == largest
    assert stored_episode(FourRooms(), "float32").global_state is None


def test_kinds_of_reward_by_hand(secret_episodes):
    reward = secret_episodes.reward.at[...].set(jnp.array([1.0, 3.0]))
    reward = reward.at[0].set(jnp.array([2.0, 7.0]))
    alive = secret_episodes.alive.at[5:, :, 0].set(False)
    reward = jnp.where(alive, reward, 0.0)
    episodes = secret_episodes._replace(reward=reward, alive=alive)
    kinds: Any = (("sum", 9.0), ("mean", 4.5), ("individual", [2.0, 7.0]))
    for kind, want in kinds:
        stats = init_reward_stats(kind, 2)
        _, got = learning_reward(kind, stats, episodes, normalized=False)
        np.testing.assert_allclose(got[0, 0], np.broadcast_to(want, 2))
    stats = init_reward_stats("individual", 2)
    _, got = learning_reward("individual", stats, episodes, normalized=True)
    for i, earned in enumerate((reward[:5, :, 0], reward[..., 1])):
        want = (np.asarray(earned) - earned.mean()) / earned.std()
        np.testing.assert_allclose(got[: len(want), :, i], want, rtol=1e-3, atol=1e-4)
    # Who has finished earns nothing: not what is below the mean.
    np.testing.assert_array_equal(got[5:, :, 0], 0.0)


def test_individual_returns_are_evaluated():
    system = small(MAA2C, TwoWithASecret(), reward="individual")
    system.check()
    state = init(system, jax.random.key(0))
    after, _ = step(system, state)
    assert after.reward_stats.mean.shape == (2,)
    samples = quick(lambda s, x: s.evaluate(x, jax.random.key(1), 5))(system, after)
    own = [np.asarray(samples[f"eval/return_mean_agent_{i}"]) for i in range(2)]
    np.testing.assert_allclose(own[0] + own[1], samples["eval/return_mean"], rtol=1e-6)


@pytest.mark.parametrize("kind", [QMIX, SMPE])
def test_who_learns_from_the_team_refuses_individual_rewards(kind):
    with pytest.raises(InvalidInputError, match="individual"):
        small(kind, TwoWithASecret(), reward="individual").check()
    small(kind, TwoWithASecret(), reward="mean").check()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["epymarl", "yu2022"])
def test_units_do_not_matter(name):
    """Ten of ten in every unit, and with an offset; the same program for all."""
    default: Any = preset("mappo", name, FourRooms())
    config = dataclasses.replace(default.actor_critic, hidden=32, num_envs=16)

    @quick
    def train(room: FourRooms) -> Array:
        system = dataclasses.replace(default, task=room, actor_critic=config)
        state = system.init(jax.random.key(0))
        state, _ = jax.lax.scan(lambda s, _: system.step(s), state, length=400)
        scores = system.evaluate(state, jax.random.key(1), 100)
        return jnp.mean(scores["eval/return_mean_greedy"])

    for scale, offset in ((1.0, 0.0), (1e4, 0.0), (1e-4, 0.0), (1.0, 1e6), (1e-30, 0)):
        unit: Any = jnp.asarray(scale), jnp.asarray(float(offset))
        assert float(train(FourRooms(scale=unit[0], offset=unit[1]))) > 9.9

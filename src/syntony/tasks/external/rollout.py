"""Rollouts in an environment on the host, with a compiled policy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.errors import InvalidInputError
from syntony.pytrees import HiddenT
from syntony.tasks.external.batch_warnings import warn_of_batch
from syntony.tasks.external.env_batch import BatchObservation, BatchStep
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.last_action import append_last_action
from syntony.tasks.rollout import ActFn, Trajectory, latest_signals


def rollout_external(
    task: ExternalEnv,
    act_fn: ActFn[HiddenT],
    initial_hidden: HiddenT,
    key: Key[Array, ""],
    *,
    episodes: int,
    num_envs: int,
    greedy: Bool[Array, ""] | bool = False,
    last_action: bool = False,
) -> Trajectory:
    """Runs whole episodes in parallel environments; their states are not recorded.

    Args:
        task: the environment.
        act_fn: the policy.
        initial_hidden: hidden state at the start of `num_envs` episodes.
        key: consumed.
        episodes: number of episodes E, run in rounds of `num_envs`.
        num_envs: number of environments.
        greedy: whether to take the most probable actions instead of sampling.
        last_action: whether to append the last action to observations, as the wrapper
            `LastAction` does.

    Raises:
        EnvironmentStepError: an environment raised an exception, or returned an invalid
            value.
    """
    rounds = -(-episodes // num_envs)
    run_round = partial(
        _rollout_batch,
        task,
        act_fn,
        initial_hidden,
        num_envs=num_envs,
        greedy=bool(greedy),
        last_action=last_action,
    )
    batches = [run_round(round_key) for round_key in jax.random.split(key, rounds)]
    return jax.tree.map(
        lambda *x: jnp.asarray(np.concatenate(x, axis=1)[:, :episodes]), *batches
    )


def _rollout_batch(
    task: ExternalEnv,
    act_fn: ActFn[HiddenT],
    hidden: HiddenT,
    key: Key[Array, ""],
    *,
    num_envs: int,
    greedy: bool,
    last_action: bool,
) -> Trajectory:
    shape = (task.time_limit, num_envs, task.num_agents, task.num_actions)
    seeds, noise = jax.device_get(_sample_seeds_and_noise(key, shape))
    noise = np.zeros_like(noise) if greedy else noise
    builder = _make_builder(task, num_envs, last_action=last_action)
    with task.acquire_batch(num_envs) as envs:
        builder.record_reset(envs.reset(seeds))
        for t in range(task.time_limit):
            active = builder.active(t)
            if not active.any():
                break
            obs, action_mask = builder.obs[t], builder.action_mask[t]
            action, log_prob, hidden = act_fn(obs, action_mask, noise[t], hidden)
            builder.record_action(t, np.asarray(action), np.asarray(log_prob))
            builder.record_signals(*latest_signals(hidden))
            builder.record_step(t, envs.step(builder.action[t], active))
        warn_of_batch(task, envs, builder.build())
    return builder.build()


def _make_builder(
    task: ExternalEnv, episodes: int, *, last_action: bool
) -> "TrajectoryBuilder":
    try:
        return TrajectoryBuilder(task, episodes, last_action=last_action)
    except MemoryError as error:
        raise InvalidInputError(
            f"{task.id}: {episodes} episodes of {task.time_limit:,} steps, "
            f"{task.num_agents} agents and {task.obs_dim:,} features do not fit into "
            "memory; expected fewer environments (--num-envs) or a shorter time_limit"
        ) from error


@partial(jax.jit, static_argnums=1)
def _sample_seeds_and_noise(
    key: Key[Array, ""], shape: tuple[int, int, int, int]
) -> tuple[Int[Array, " E"], Float[Array, "T E N A"]]:
    """Seed of each episode, and Gumbel noise of all actions, of shape T, E, N, A."""
    seed_key, noise_key = jax.random.split(key)
    # 31 bits, as some libraries accept no more.
    seeds = jax.random.randint(seed_key, shape[1:2], 0, np.iinfo(np.int32).max)
    return seeds, jax.random.gumbel(noise_key, shape)


class TrajectoryBuilder:
    """Records episodes step by step, as NumPy arrays in the layout of `Trajectory`.

    Args:
        task: the environment.
        episodes: number of episodes E.
        last_action: whether to append the last action to observations.
    """

    def __init__(self, task: ExternalEnv, episodes: int, *, last_action: bool):
        steps = task.time_limit
        shape = (steps, episodes, task.num_agents)
        obs_dim = task.obs_dim + last_action * task.num_actions
        self.obs = np.zeros((steps + 1, *shape[1:], obs_dim), np.float32)
        state_shape = (steps + 1, episodes, task.global_state_dim)
        self.global_state = np.zeros(state_shape, np.float32)
        # All True after an episode's end: a masked softmax needs an available action.
        self.action_mask = np.ones((*shape, task.num_actions), bool)
        self.action = np.zeros(shape, np.int32)
        self.log_prob = np.zeros(shape, np.float32)
        self.reward = np.zeros(shape, np.float32)
        self.terminated = np.zeros(shape[:2], bool)
        self.truncated = np.zeros(shape[:2], bool)
        self.valid = np.ones(shape[:2], bool)
        self.alive = np.zeros(shape, bool)
        self._sent: list[Float[np.ndarray, "E N C 2"]] = []
        self._received: list[Float[np.ndarray, "E N R"]] = []
        self._last_action = last_action

    def active(self, t: int) -> Bool[np.ndarray, " E"]:
        """Mask of the episodes that have not ended before step t."""
        return self.valid[t]

    def record_reset(self, observation: BatchObservation) -> None:
        """Records the initial observations of all episodes."""
        last_action = np.zeros_like(self.action_mask[0], np.float32)
        self.obs[0] = self._append(observation.obs, last_action)
        self.global_state[0] = observation.global_state
        self.action_mask[0] = observation.action_mask
        self.alive[0] = observation.alive

    def record_action(
        self, t: int, action: Int[np.ndarray, "E N"], log_prob: Float[np.ndarray, "E N"]
    ) -> None:
        """Records the actions of step t in the active episodes."""
        active = self.active(t)[:, None]
        self.action[t] = np.where(active, action, 0)
        self.log_prob[t] = np.where(active, log_prob, 0.0)

    def record_signals(
        self,
        sent: Float[Array, "E N C 2"] | None,
        received: Float[Array, "E N R"] | None,
    ) -> None:
        """Records what the agents have transmitted in a step, if they transmit."""
        if sent is not None and received is not None:
            self._sent.append(np.asarray(sent))
            self._received.append(np.asarray(received))

    @property
    def sent(self) -> Float[np.ndarray, "T E N C 2"] | None:
        """Symbols of all steps, zeros after the last one; None if nothing was sent."""
        return self._stack(self._sent)

    @property
    def received(self) -> Float[np.ndarray, "T E N R"] | None:
        """What was received in all steps, likewise."""
        return self._stack(self._received)

    def _stack(self, signals: list[np.ndarray]) -> np.ndarray | None:
        if not signals:
            return None
        steps = np.stack(signals)
        missing = len(self.valid) - len(steps)
        return np.pad(steps, [(0, missing), *[(0, 0)] * (steps.ndim - 1)])

    def record_step(self, t: int, step: BatchStep) -> None:
        """Records the result of step t in the active episodes."""
        active, observation = self.active(t).copy(), step.observation
        at_limit = t + 1 == len(self.valid)
        self.reward[t, active] = step.reward[active]
        self.terminated[t] = active & step.terminated
        self.truncated[t] = active & ~step.terminated & (step.truncated | at_limit)
        one_hot = np.eye(self.action_mask.shape[-1], dtype=np.float32)
        obs = self._append(observation.obs, one_hot[self.action[t]])
        self.obs[t + 1, active] = obs[active]
        self.global_state[t + 1, active] = observation.global_state[active]
        ended = self.terminated[t] | self.truncated[t]
        self.obs[t + 2 :, ended] = obs[ended]
        self.global_state[t + 2 :, ended] = observation.global_state[ended]
        self.valid[t + 1 :, ended] = False
        if not at_limit:
            ongoing = active & ~ended
            self.action_mask[t + 1, ongoing] = observation.action_mask[ongoing]
            self.alive[t + 1, ongoing] = observation.alive[ongoing]

    def _append(
        self, obs: Float[np.ndarray, "E N O"], last_action: Float[np.ndarray, "E N A"]
    ) -> Float[np.ndarray, "E N O2"]:
        return append_last_action(obs, last_action) if self._last_action else obs

    def build(self) -> Trajectory:
        """The recorded trajectory."""
        return Trajectory(
            state=(),
            **{n: getattr(self, n) for n in Trajectory._fields if n != "state"},
        )

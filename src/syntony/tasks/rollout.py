"""Rollouts of a policy: a batch of whole episodes.

A batch is reset once and stepped to the time limit; steps after an episode's end are
masked. (A reset costs as much as five to nine steps, so the scan contains none.)
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.equations import distributions
from syntony.pytrees import HiddenT, PyTree
from syntony.tasks.external.frames import FrameRecorder
from syntony.tasks.task import EnvStateT, Task, agents_alive, global_state

Policy = Callable[
    [Float[Array, "E N O"], HiddenT], tuple[Float[Array, "E N A"], HiddenT]
]
"""From observations and hidden state to action logits and the next hidden state."""
RolloutCarry = tuple[EnvStateT, Array, Array, Array]
"""State, observations, global state, and whether the episode goes on."""
Transition = tuple[tuple[EnvStateT, Array, Array], tuple[Array | None, ...]]
"""State, observations and global state, and the fields of a trajectory after them."""
CarryT = TypeVar("CarryT")
OutT = TypeVar("OutT")
ActFn = Callable[..., tuple[Int[Array, "E N"], Float[Array, "E N"], HiddenT]]
"""From observations, action mask, Gumbel noise and hidden state to actions, ln π, and
the next hidden state."""


class Trajectory(NamedTuple):
    """E episodes of T steps by N agents. Where `valid` is false, steps do not count."""

    state: PyTree[Array]
    """The task's states, T+1 of each of E episodes, for drawing; XLA removes them where
    they are not used."""
    obs: Float[Array, "T1 E N O"]
    """o_0 … o_T; after an episode's last step, its true final observation, repeated."""
    global_state: Float[Array, "T1 E S"]
    """As `obs`, of the environment; S = 0 where the task has none."""
    action_mask: Bool[Array, "T E N A"]
    action: Int[Array, "T E N"]
    log_prob: Float[Array, "T E N"]
    """ln π(a) of the policy that acted."""
    reward: Float[Array, "T E N"]
    """Zero after the end of an episode."""
    terminated: Bool[Array, "T E"]
    truncated: Bool[Array, "T E"]
    valid: Bool[Array, "T E"]
    """True up to and including the step that ended the episode."""
    alive: Bool[Array, "T E N"]
    """Which agents act: all, except those that have finished early. These observe zeros
    and earn no reward; later rewards of the team still count for their values."""
    sent: Float[Array, "T E N C 2"] | None = None
    """Symbols that each agent has sent at each step; None for a team that transmits
    nothing."""
    received: Float[Array, "T E N R"] | None = None
    """What each agent has received of its teammates when it acted, likewise."""

    @property
    def num_steps(self) -> Int[Array, ""]:
        """Number of valid environment steps."""
        return jnp.sum(self.valid, dtype=jnp.int32)

    @property
    def returns(self) -> Float[Array, " E"]:
        """Return of each episode: the sum of rewards over steps and agents."""
        return jnp.sum(self.reward, axis=(0, 2))


@runtime_checkable
class HoldsSignals(Protocol):
    """Hidden state of a policy whose agents transmit to each other before they act."""

    @property
    def sent(self) -> Float[Array, "E N C 2"]:
        """Symbols that each agent has sent in the latest step."""
        ...

    @property
    def received(self) -> Float[Array, "E N R"]:
        """Signal that each agent has received in the latest step."""
        ...


def latest_signals(hidden: object) -> tuple[Array, Array] | tuple[None, None]:
    """Signals sent and received in the latest step; None if nothing is transmitted.

    Args:
        hidden: hidden state of the policy after the step.
    """
    if isinstance(hidden, HoldsSignals):
        return hidden.sent, hidden.received
    return None, None


@runtime_checkable
class SteppedOnHost(Task, Protocol):
    """A task that is a black box: stepped on the host, never in compiled code.

    Its `reset` and `step` raise an error; whole episodes are collected instead.
    """

    def rollout(
        self,
        act_fn: ActFn[HiddenT],
        initial_hidden: HiddenT,
        key: Key[Array, ""],
        *,
        episodes: int,
        num_envs: int,
        greedy: Bool[Array, ""] | bool = False,
        last_action: bool = False,
    ) -> Trajectory:
        """Runs whole episodes in parallel environments.

        Args:
            act_fn: the policy.
            initial_hidden: its hidden state at the start of `num_envs` episodes.
            key: consumed.
            episodes: number of episodes E.
            num_envs: number of environments.
            greedy: whether to take the most probable actions instead of sampling.
            last_action: whether to append the last action to observations.

        Raises:
            EnvironmentStepError: an environment failed.
        """
        ...

    def shape_only_task(self) -> Task:
        """A task of the same shapes that can be compiled."""
        ...

    def close(self) -> None:
        """Closes the open environments."""
        ...


@runtime_checkable
class RecordsFrames(SteppedOnHost, Protocol):
    """Capability of a task whose environments draw images of themselves."""

    def recording(self, recorder: FrameRecorder) -> SteppedOnHost:
        """The same task; a recorder gets the images of its episodes.

        Args:
            recorder: gets the images, in the order of the episodes of `rollout`.
        """
        ...


def rollout(
    task: Task[EnvStateT],
    policy: Policy[HiddenT],
    initial_hidden: HiddenT,
    key: Key[Array, ""],
    *,
    episodes: int,
    greedy: Bool[Array, ""] | bool = False,
    on_host: bool = False,
) -> Trajectory:
    """Runs a batch of whole episodes with a policy.

    Args:
        task: the environment.
        policy: from observations and hidden state to logits and hidden state.
        initial_hidden: hidden state of the policy at the start of every episode.
        key: consumed.
        episodes: number of episodes E.
        greedy: whether to take the most probable actions instead of sampling.
        on_host: whether the policy contains a black box: it is called in Python, and
            the steps of the task are compiled one by one.
    """
    reset, step = (_jitted_reset, _jitted_step) if on_host else (_reset, _step)
    start, randomness = reset(task, key, jnp.asarray(greedy), episodes)

    def env_step(
        carry: tuple[RolloutCarry[EnvStateT], HiddenT], randomness: tuple[Array, Array]
    ) -> tuple[tuple[RolloutCarry[EnvStateT], HiddenT], Transition[EnvStateT]]:
        world, hidden = carry
        logits, hidden = policy(world[1], hidden)
        world, (seen, taken) = step(task, world, logits, *randomness)
        return (world, hidden), (seen, (*taken, *latest_signals(hidden)))

    scan = _scan_on_host if on_host else jax.lax.scan
    ((*last, _), _), (seen, taken) = scan(env_step, (start, initial_hidden), randomness)
    return Trajectory(*jax.tree.map(_append, seen, tuple(last)), *taken)


def _reset(
    task: Task[EnvStateT], key: Key[Array, ""], greedy: Bool[Array, ""], episodes: int
) -> tuple[RolloutCarry[EnvStateT], tuple[Array, Array]]:
    """Start of the episodes, and keys and noise of all steps."""
    reset_key, task_key, noise_key = jax.random.split(key, 3)
    state, obs = jax.vmap(task.reset)(jax.random.split(reset_key, episodes))
    ongoing = jnp.ones(episodes, bool)
    # One draw for all steps: on a CPU, one draw per step costs half of the rollout.
    shape = (task.time_limit, episodes, task.num_agents, task.num_actions)
    noise = jnp.where(greedy, 0.0, jax.random.gumbel(noise_key, shape))
    randomness = (jax.random.split(task_key, task.time_limit), noise)
    return (
        state,
        obs,
        jax.vmap(partial(global_state, task))(state),
        ongoing,
    ), randomness


def _step(
    task: Task[EnvStateT],
    carry: RolloutCarry[EnvStateT],
    logits: Float[Array, "E N A"],
    task_key: Key[Array, ""],
    noise: Float[Array, "E N A"],
) -> tuple[RolloutCarry[EnvStateT], Transition[EnvStateT]]:
    """Episodes after a step with actions of these logits, and what is recorded."""
    state, obs, global_obs, ongoing = carry
    action_mask = jax.vmap(task.action_mask)(state)
    action, log_prob = sample_actions(logits, action_mask, noise)
    task_keys = jax.random.split(task_key, len(ongoing))
    next_state, step = jax.vmap(task.step)(task_keys, state, action)
    alive = ongoing[:, None] & jax.vmap(partial(agents_alive, task))(state)
    reward = jnp.where(alive, step.reward, 0.0)
    ended = (ongoing & step.terminated, ongoing & step.truncated)
    taken = (action_mask, action, log_prob, reward, *ended, ongoing, alive)
    transition = (state, obs, global_obs), taken
    # After an episode's end, a task's observations may be anything, also NaN.
    obs = jnp.where(ongoing[:, None, None], step.obs, obs)
    next_global_obs = jax.vmap(partial(global_state, task))(next_state)
    global_obs = jnp.where(ongoing[:, None], next_global_obs, global_obs)
    ongoing = ongoing & ~(step.terminated | step.truncated)
    return (next_state, obs, global_obs, ongoing), transition


# One program for all rollouts of a task, beside a policy that cannot be compiled.
_jitted_reset = jax.jit(_reset, static_argnames="episodes")
_jitted_step = jax.jit(_step)


def _scan_on_host(
    body: Callable[[CarryT, tuple[Array, Array]], tuple[CarryT, OutT]],
    carry: CarryT,
    xs: tuple[Array, Array],
) -> tuple[CarryT, OutT]:
    """`jax.lax.scan` in Python."""
    outputs: list[OutT] = []
    for i in range(len(jax.tree.leaves(xs)[0])):
        carry, output = body(carry, jax.tree.map(lambda x, i=i: x[i], xs))
        outputs.append(output)
    return carry, jax.tree.map(lambda *x: jnp.stack(x), *outputs)


def _append(steps: Array, end: Array) -> Array:
    return jnp.concatenate([steps, end[None]])


def sample_actions(
    logits: Float[Array, "E N A"],
    action_mask: Bool[Array, "E N A"],
    noise: Float[Array, "E N A"],
) -> tuple[Int[Array, "E N"], Float[Array, "E N"]]:
    """Samples available actions, with their log-probabilities ln π.

    Args:
        logits: unmasked logits of the policy.
        action_mask: available actions.
        noise: Gumbel noise; if it is zero, the most probable actions are taken.
    """
    logits = distributions.masked_logits(logits, action_mask)
    action = distributions.categorical_sample(noise, logits)
    return action, distributions.categorical_log_prob(logits, action)

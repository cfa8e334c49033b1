"""Endings of agents and episodes: exact returns, and values in closed form."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.config import field, pytree_dataclass
from syntony.equations.returns import generalized_advantage, n_step_targets
from syntony.equations.values import td_target
from syntony.errors import EnvironmentStepError
from syntony.tasks.external.adapter import agent_rewards
from syntony.tasks.external.endings import agent_flags
from syntony.tasks.external.external_env import ExternalEnv, make_env
from syntony.tasks.external.rollout import rollout_external
from syntony.tasks.registry import task
from syntony.tasks.rollout import Trajectory, rollout
from syntony.tasks.task import TimeStep

pytest.importorskip("gymnasium")

SCRIPTED = "pettingzoo:scripted_envs?kind=scripted&time_limit=9&script="
FLAGGED = "gymnasium:scripted_envs:Flagged-v0?time_limit=9&script="
TERMINATED, TRUNCATED = True, False
ABSENT = ("zeros", "empty", "nan", "missing")


def act(obs: Any, action_mask: Any, noise: Any, hidden: int) -> tuple[Any, Any, int]:
    """Policy that takes the last available action."""
    del obs, noise
    action = action_mask.shape[-1] - 1 - np.argmax(action_mask[..., ::-1], axis=-1)
    return action, np.zeros(action.shape), hidden


def play(id: str, episodes: int = 1) -> Trajectory:
    env = task(id)
    assert isinstance(env, ExternalEnv)
    key = jax.random.key(0)
    trajectory = rollout_external(env, act, 0, key, episodes=episodes, num_envs=1)
    env.close()
    return jax.device_get(trajectory)


def ending(trajectory: Trajectory) -> tuple[float, int, bool]:
    """Return and length of the first episode, and whether it terminated."""
    terminated = bool(trajectory.terminated[:, 0].any())
    assert terminated != trajectory.truncated[:, 0].any()
    return float(trajectory.returns[0]), int(trajectory.valid[:, 0].sum()), terminated


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        # Finished agents stay in the list: 2 + 3 + 5 steps.
        ("abc::|abc:a:|abc:b:|abc::|abc:c:", (10.0, 5, TERMINATED)),
        ("abc::|abc:a:|abc::b|abc::|abc::c", (10.0, 5, TRUNCATED)),
        # They leave it in the same step, or a step later.
        ("abc::|bc:a:|c:b:|c::|:c:", (10.0, 5, TERMINATED)),
        ("abc::|abc:a:|bc:b:|c::|c:c:", (10.0, 5, TERMINATED)),
        # They report their end in every later step as well.
        ("abc::|abc:a:|abc:ab:|abc:ab:|abc:abc:", (10.0, 5, TERMINATED)),
        # They leave without a report; the list is empty at the end.
        ("ab::|ab::|::", (7.0, 3, TERMINATED)),
        ("::", (3.0, 1, TERMINATED)),
        # An agent that left acts again where it is listed again: steps 1, 4 and 5.
        ("ab:c:|ab::|abc::|abc::|:abc:", (13.0, 5, TERMINATED)),
        ("abc:c:|ab::|abc::|:abc:", (10.0, 4, TERMINATED)),
        # One that never left does not.
        ("abc:c:|abc::|abc::|abc:ab:", (9.0, 4, TERMINATED)),
        # Mixed endings: those in the last step decide.
        ("abc::|abc:ab:c", (6.0, 2, TRUNCATED)),
        ("abc::a|abc:bc:", (5.0, 2, TERMINATED)),
        ("abc:a:|abc::bc", (5.0, 2, TRUNCATED)),
        # Both reports of one agent are a termination.
        ("abc::|abc:abc:abc", (6.0, 2, TERMINATED)),
        # No end before the time limit of 9 steps, of three agents or of one.
        ("abc::", (27.0, 9, TRUNCATED)),
        ("abc:ab:|abc::", (11.0, 9, TRUNCATED)),
    ],
)
def test_returns_and_endings_of_listed_agents(
    script: str, expected: tuple[float, int, bool]
):
    assert ending(play(f"{SCRIPTED}{script}")) == expected


@pytest.mark.parametrize("gone", ABSENT)
def test_observations_of_finished_agents_may_be_missing(gone: str):
    script = "abc::|abc:a:|bc:b:|bc::|abc::|abc:ac:"
    trajectory = play(f"{SCRIPTED}{script}&gone={gone}")
    assert ending(trajectory) == (3 + 3 + 2 + 1 + 1 + 2, 6, TERMINATED)
    alive = [[1, 1, 1]] * 2 + [[0, 1, 1], [0, 0, 1], [0, 0, 1], [1, 0, 1]]
    np.testing.assert_array_equal(trajectory.alive[:6, 0], alive)
    np.testing.assert_array_equal(trajectory.obs[:6, 0, :, 0], alive)


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("abc::|abc:x:", (6.0, 2, TERMINATED)),
        ("abc::|abc::x", (6.0, 2, TRUNCATED)),
        ("abc::|::x", (6.0, 2, TRUNCATED)),
    ],
)
def test_a_flag_for_all_agents(script: str, expected: tuple[float, int, bool]):
    assert ending(play(f"{SCRIPTED}{script}&shared=true&gone=missing")) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (":|:|0:1", (6.0, 3, TRUNCATED)),
        (":|:|1:0", (6.0, 3, TRUNCATED)),
        (":|:|01:", (6.0, 3, TERMINATED)),
        (":|:|:01", (6.0, 3, TRUNCATED)),
        (":|0:|:|1:", (6.0, 4, TERMINATED)),
        # The flags of a finished agent are raised in one step only, or in all.
        (":0|:|1:", (4.0, 3, TERMINATED)),
        ("0:|0:|0:1", (4.0, 3, TRUNCATED)),
        ("1:|:", (10.0, 9, TRUNCATED)),
    ],
)
def test_returns_and_endings_of_flags(script: str, expected: tuple[float, int, bool]):
    """The environment asserts that finished agents take action 0."""
    assert ending(play(FLAGGED + script)) == expected


@pytest.mark.parametrize("form", ["list", "tuple", "array", "dict", "nested"])
@pytest.mark.parametrize("reward", ["each", "team"])
def test_types_of_flags_and_rewards(form: str, reward: str):
    """A team's reward is that of the agents which act."""
    trajectory = play(f"{FLAGGED}:0|:|1:&form={form}&reward={reward}")
    assert ending(trajectory) == (4.0, 3, TERMINATED)
    assert trajectory.reward[:3, 0].tolist() == [[1, 1], [0, 1], [0, 1]]


def test_finished_agents_are_not_alive_and_observe_zeros():
    for gone in ("zeros", "empty", "nan"):
        trajectory = play(f"{FLAGGED}:|0:|:|1:&gone={gone}")
        alive = [[True, True]] * 2 + [[False, True]] * 2 + [[False, False]] * 5
        np.testing.assert_array_equal(trajectory.alive[:, 0], alive)
        np.testing.assert_array_equal(trajectory.obs[:9, 0, :, 0], alive)
        assert trajectory.action_mask[2:4, 0, 0].tolist() == [[True, False, False]] * 2


def test_one_flag_ends_the_episode_of_all():
    assert ending(play(f"{FLAGGED}:|:|01:&form=one")) == (6.0, 3, TERMINATED)
    assert ending(play(f"{FLAGGED}:|:|:01&form=one")) == (6.0, 3, TRUNCATED)


def test_flags_of_another_length_are_reported():
    with pytest.raises(EnvironmentStepError, match="terminated has 2 entries; expec"):
        agent_flags("terminated", [True, False], "abc")


@pytest.mark.parametrize(
    ("rewards", "expected"),
    [
        ({"agent 0": 2, "agent 1": np.float32(3)}, [2, 0]),
        # A finished agent's reward may be anything.
        ({"agent 0": 2, "agent 1": None}, [2, 0]),
        ({"agent 1": 3}, [0, 0]),
        ([np.int64(2), np.nan], [2, 0]),
        (np.array([2, 3]), [2, 0]),
        (np.array(4), [4, 0]),
        (5, [5, 0]),
    ],
)
def test_rewards_of_agents_that_acted(rewards: Any, expected: list[float]):
    env = make_env(FLAGGED + ":")
    acted = np.array([True, False])
    assert agent_rewards(rewards, env.adapters, acted).tolist() == expected


def test_agents_beside_possible_agents_are_reported():
    with pytest.raises(
        EnvironmentStepError, match="agent 'd' is not in possible_agents; expected all"
    ):
        play(f"{SCRIPTED}abcd::")


# Values in closed form: a reward of 1 in each of T = 10 steps, γ = 0.9, and one value V
# for all states, as observations are constant.

GAMMA, STEPS, LAMBDA = 0.9, 10, 0.95


@pytree_dataclass
class Constant:
    """One agent that observes a constant, earns 1, and ends after ten steps."""

    terminates: bool = field(True, static=True)
    id: str = field("constant", static=True)
    num_agents: int = field(1, static=True)
    num_actions: int = field(2, static=True)
    obs_dim: int = field(1, static=True)
    time_limit: int = field(STEPS, static=True)
    shared_reward: bool = field(False, static=True)

    def reset(self, key: Any) -> tuple[Any, Any]:
        del key
        return jnp.zeros((), jnp.int32), jnp.ones((1, 1))

    def action_mask(self, state: Any) -> Any:
        del state
        return jnp.ones((1, 2), bool)

    def step(self, key: Any, state: Any, action: Any) -> tuple[Any, TimeStep]:
        del key, action
        over = state + 1 >= STEPS
        terminated = over & self.terminates
        end = terminated, over & ~terminated
        return state + 1, TimeStep(jnp.ones((1, 1)), jnp.ones(1), *end)


def constant_jax(terminates: bool) -> Trajectory:
    def policy(obs: Any, hidden: Any) -> tuple[Any, Any]:
        return jnp.zeros((*obs.shape[:-1], 2)), hidden

    return rollout(
        Constant(terminates=terminates), policy, 0, jax.random.key(0), episodes=1
    )


def constant_pettingzoo(terminates: bool) -> Trajectory:
    """All agents end in step 10 of an episode that may last 12."""
    end = "abc:abc:" if terminates else "abc::abc"
    script = "|".join(["abc::"] * (STEPS - 1) + [end])
    return play(f"{SCRIPTED.replace('=9', '=12')}{script}")


def constant_gymnasium(terminates: bool) -> Trajectory:
    end = "01:" if terminates else "0:1"
    script = "|".join([":"] * (STEPS - 1) + [end])
    return play(f"{FLAGGED.replace('=9', '=12')}{script}")


def constant_inner_limit(terminates: bool) -> Trajectory:
    """An environment that reports its own limit of ten steps as a termination."""
    limit = "duration=10" if terminates else "max_steps=10&duration=10"
    return play(f"gymnasium:external_envs:Duo-v0?time_limit=12&{limit}")


def fixed_point(target_fn: Callable[..., Any], trajectory: Trajectory) -> float:
    """The value V of all states that is the mean of its targets over valid steps.

    Targets are linear in V, so two values of V tell it.
    """
    trajectory = jax.tree.map(jnp.asarray, trajectory)
    reward = trajectory.reward[:, 0, 0] / trajectory.reward[0, 0, 0]
    ends = trajectory.terminated[:, 0], trajectory.truncated[:, 0]

    def mean_target(value: float) -> float:
        values = jnp.full(len(reward), value)
        target = target_fn(reward, values, values, *ends)
        return float(jnp.mean(target[trajectory.valid[:, 0]]))

    at_zero, at_one = mean_target(0.0), mean_target(1.0)
    return at_zero / (1 - (at_one - at_zero))


def n_step(n: int) -> Callable[..., Any]:
    def targets(*args: Any) -> Any:
        return n_step_targets(*args, gamma=GAMMA, n=n)

    return targets


def lambda_return(reward: Any, values: Any, *rest: Any) -> Any:
    advantage = generalized_advantage(
        reward, values, *rest, gamma=GAMMA, gae_lambda=LAMBDA
    )
    return advantage + values


def one_step(reward: Any, values: Any, next_values: Any, end: Any, cut: Any) -> Any:
    del values, cut
    return td_target(reward, next_values, end, gamma=GAMMA)


# Without the warnings of a batch whose episodes all end at the same step.
KINDS = [constant_jax, constant_pettingzoo, constant_gymnasium, constant_inner_limit]


@pytest.mark.filterwarnings("ignore:.*episodes (ended|are truncated) after")
@pytest.mark.parametrize("constant", KINDS)
@pytest.mark.parametrize(
    ("target_fn", "ended"),
    [
        (n_step(1), 5.263),
        (one_step, 5.263),
        (n_step(5), 4.770),
        (n_step(10), 4.138),
        (lambda_return, 4.283),
    ],
)
def test_values_of_a_constant_observation(
    constant: Callable[[bool], Trajectory], target_fn: Callable[..., Any], ended: float
):
    """Values by hand, with the sum of m rewards S_m = (1 − γᵐ) / (1 − γ).

    Cut, every target of n ≤ T steps bootstraps: V = S_m + γᵐ V for all m, so that
    V = 1 / (1 − γ) = 10.

    Ended, the target of step t has m = min(n, T − t) rewards, and bootstraps only if
    t + n < T: in T − n of the steps. So

        T V = (T − n) (S_n + γⁿ V) + Σ_{m=1..n} S_m
        V = ((T − n) S_n + Σ_{m≤n} S_m) / (T − (T − n) γⁿ)

    n = 1 (also Q-learning without memory): 10 / (10 − 9 · 0.9) = 5.263;
    n = 5: (5 · 4.0951 + 13.1441) / (10 − 5 · 0.59049) = 4.770;
    n = 10: Σ_{m≤10} S_m / 10 = 4.138, as then no target bootstraps.

    GAE: the advantages of all steps sum to zero. With c = γλ, the error δ_k of step k
    is in those of steps 0 … k, with weight w_k = (1 − cᵏ⁺¹) / (1 − c). Errors are
    1 − (1 − γ) V, and 1 − V in the last step if ended. So with W = Σ w_k = 36.789 and
    w_9 = 5.457

        V = W / ((1 − γ) (W − w_9) + w_9) = 4.283

    and V = 1 / (1 − γ) = 10 if cut.
    """
    assert fixed_point(target_fn, constant(False)) == pytest.approx(10.0, rel=1e-4)
    value = fixed_point(target_fn, constant(True))
    assert value == pytest.approx(ended, abs=6e-4)


@pytest.mark.filterwarnings("ignore:.*episodes (ended|are truncated) after")
@pytest.mark.parametrize("constant", KINDS)
def test_values_where_the_time_is_remembered(constant: Callable[[bool], Trajectory]):
    """Q-learning with memory, as QMIX: a value V_t for every step.

    Ended, V_{T−1} = 1 and V_t = 1 + γ V_{t+1}: V_t = (1 − γ^{T−t}) / (1 − γ), from
    6.513 in the first step to 1 in the last. Cut, V_T is the value of the final state,
    which its own targets never reach: the network continues V_{T−1}, and from
    V_{T−1} = 1 + γ V_{T−1} follow 10 there and V_t = 10 in all steps.
    """
    for terminates in (False, True):
        trajectory = jax.tree.map(jnp.asarray, constant(terminates))
        reward = trajectory.reward[:STEPS, 0, 0] / trajectory.reward[0, 0, 0]
        end = trajectory.terminated[:STEPS, 0]

        def last(value: float, r: Any = reward[-1], end: Any = end[-1]) -> float:
            return float(td_target(r, jnp.asarray(value), end, gamma=GAMMA))

        values = [last(0.0) / (1 - (last(1.0) - last(0.0)))]
        for t in reversed(range(STEPS - 1)):
            value = td_target(reward[t], jnp.asarray(values[0]), end[t], gamma=GAMMA)
            values.insert(0, float(value))
        remaining = STEPS - np.arange(STEPS)
        exact = (1 - GAMMA**remaining) / (1 - GAMMA) if terminates else 10.0
        np.testing.assert_allclose(values, exact, rtol=1e-4)

"""Simulators that step many environments at once, for tests."""

from typing import Any

import numpy as np

FIELDS = ("obs", "reward", "terminated", "truncated", "info")


class Countdown:
    """Two agents count down from a number in 1 … 4, of which agent 1 stops at 1.

    Agent 0 earns its action, agent 1 earns 10 a step. Odd episodes terminate at 0, even
    ones are truncated. Ended episodes observe NaN.

    Args:
        num_envs: number of environments.
        fault: field of the second step, or attribute, with a wrong value.
        value: that value.
        team_reward: whether there is one reward for both.
    """

    num_agents, num_actions, obs_dim, time_limit, global_state_dim = 2, 3, 2, 6, 1

    def __init__(
        self,
        num_envs: int,
        fault: str = "",
        value: Any = None,
        team_reward: bool = False,
    ):
        self.num_envs, self.fault, self.value = num_envs, fault, value
        self.team_reward = team_reward
        self.is_open = True
        if fault in ("num_agents", "obs_dim"):
            setattr(self, fault, value)

    def reset_batch(self, seeds: np.ndarray) -> tuple[Any, Any]:
        self.start = 1 + seeds % 4
        self.left, self.time = self.start.copy(), 0
        return self.observe(), self.info()

    def step_batch(self, actions: np.ndarray) -> Any:
        self.left, self.time = self.left - 1, self.time + 1
        ended, odd = self.left <= 0, self.start % 2 == 1
        reward = np.stack([actions[:, 0], np.full(self.num_envs, 10)], axis=1)
        if self.team_reward:
            reward = np.full(self.num_envs, 6.0)
        flags = ended & odd, ended & ~odd
        result: dict[str, Any] = dict(
            zip(FIELDS, (self.observe(), reward, *flags, self.info()), strict=True)
        )
        if self.fault == "exception" and self.time == 2:
            raise OSError("no\nserver")
        if self.time == 2:
            part = result if self.fault in result else result["info"]
            part[self.fault] = self.value
        return self.value if self.fault == "result" else tuple(result.values())

    def observe(self) -> np.ndarray:
        obs = np.stack([self.left, self.start], axis=1)[:, None].repeat(2, axis=1)
        return np.where(self.left[:, None, None] < 0, np.nan, obs)

    def info(self) -> dict[str, Any]:
        alive = np.stack([self.left > 0, self.left > 1], axis=1)
        mask = np.ones((self.num_envs, 2, 3), bool)
        mask[:, 0, 0] = False
        state = self.left[:, None] * 100.0
        return {"alive": alive, "action_mask": mask, "global_state": state}

    def close(self) -> None:
        self.is_open = False


def no_simulator(num_envs: int) -> int:
    return num_envs

"""An environment that fails in many ways, for a process of its own with any Python.

It imports nothing of Syntony, and is readable by Python 3.8.
"""

import contextlib
import os
import signal
import sys
import time

import numpy as np
from gymnasium import spaces

if os.environ.get("FRAGILE_IMPORT"):
    raise RuntimeError("the simulator\nhas no license")


class Fragile:
    """Two agents count to three; the first may only take actions of its mask.

    Args:
        fault: what happens in the second step.
        max_cycles: number of steps of an episode.
        alone: whether it must be in a process without Syntony.
    """

    def __init__(self, fault="", max_cycles=3, alone=True):
        assert not (alone and {"syntony", "jax"} & set(sys.modules))
        print("hello from the environment")
        self.fault = fault
        self.max_cycles = max_cycles
        self.possible_agents = ["first", 2]

    def observation_space(self, agent):
        parts = {"a": spaces.Box(-1, 9, (2,), np.float64), "b": spaces.Discrete(3)}
        return spaces.Dict(parts) if agent == 2 else spaces.Box(0, 9, (1,), np.int8)

    def action_space(self, agent):
        assert agent in self.possible_agents
        return spaces.Discrete(3, start=1)

    def reset(self, seed=0):
        self.time, self.seed = 0, seed % 9
        self.agents = list(self.possible_agents)
        return self.observe()

    def observe(self):
        second = {"a": np.array([self.time, self.seed], ">f8"), "b": np.int64(1)}
        obs = {"first": np.array([self.time], np.int8), 2: second}
        odd = {"nested": [object(), {1: (2.0, None)}], "text": np.str_("x")}
        mask = np.array([True, True, False])
        return obs, {"first": dict(odd, action_mask=mask), 2: odd}

    def step(self, actions):
        self.time += 1
        if self.time == 2 and self.fault:
            getattr(self, self.fault)()
        obs, infos = self.observe()
        reward = {"first": np.float32(actions["first"]), 2: 0.5}
        over = self.time == self.max_cycles
        flags = dict.fromkeys(self.agents, over)
        if over:
            self.agents = []
        return obs, reward, dict.fromkeys(flags, False), flags, infos

    def render(self):
        if self.fault == "blind":
            return None
        return np.full((4, 6, 3), 40 * self.time, np.uint8)

    def blind(self):
        pass

    def close(self):
        if self.fault == "stay":
            time.sleep(60)

    def kill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def leave(self):
        os.write(2, b"last \x1b[31mwords\n\n")
        os._exit(7)

    def sleep(self):
        time.sleep(60)

    def crash(self):
        raise KeyError("no\nserver")

    def exit(self):
        sys.exit("out of memory")

    def garble(self):
        """Writes to every file that is open, also to that of the protocol."""
        for file in range(3, 20):
            with contextlib.suppress(OSError):
                os.write(file, b"#" * 64)

    def chat(self):
        sys.stdout.write("#" * 100000)
        os.write(1, b"#" * 100000)

    def stay(self):
        pass


parallel_env = Fragile

"""Starts runs at no cost: each is a fork of this process, which has imported all.

Reads a system's name and a folder from each line, and answers with the number of the
process; then, when that has ended, with its exit code.
"""

import os
import sys
from typing import Any

import jax
from toy_system import Toy

from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.tasks.registry import task
from syntony.training import recorder, seed_scheduler
from syntony.training.loop import train
from syntony.training.signals import TrainingInterrupted

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
BACKBONE = ActorCriticConfig(num_envs=2, hidden=8)
BELIEFS = BeliefConfig(
    latent_dim=4, belief_update_interval=60, belief_minibatches=2, buffer_size=20
)
SYSTEMS = {
    "toy": Toy(),
    "maa2c": MAA2C(task=TASK, actor_critic=BACKBONE),
    "smpe": SMPE(task=TASK, actor_critic=BACKBONE, beliefs=BELIEFS),
    "link": Link(messages=4, uses=1),
}
STEPS = {"toy": 1600, "maa2c": 4000, "smpe": 4000, "link": 1600}
OPTIONS: dict[str, Any] = {"seeds": 2, "eval_episodes": 20, "quiet": True}


def run(name: str, path: str) -> int:
    """Trains, writing as often as one can."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not path.endswith("whole"):
        seed_scheduler.TARGET_CHUNK_SECONDS = 1e-9
        recorder.CHECKPOINT_INTERVAL_SECONDS = -1.0
    steps = STEPS[name]
    try:
        train(SYSTEMS[name], out=path, steps=steps, eval_every=steps // 20, **OPTIONS)
    except TrainingInterrupted as stop:
        return 128 + stop.signum
    return 0


def main() -> None:
    for line in sys.stdin:
        name, path = line.split()
        pid = os.fork()
        if pid == 0:
            os._exit(run(name, path))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

"""Starts training processes quickly, as forks of this process with all imports done.

Reads the name of a system and a run folder from each line. Prints the pid of the
process, and its exit code when it has ended.
"""

import os
import sys
from typing import Any

import jax
from toy_system import Toy

from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.tasks.registry import task
from syntony.training import recorder, seed_scheduler
from syntony.training.loop import train
from syntony.training.signals import TrainingInterrupted

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
ACTOR_CRITIC = ActorCriticConfig(num_envs=2, hidden=8)
BELIEFS = BeliefConfig(
    latent_dim=4, belief_update_interval=60, belief_minibatches=2, buffer_size=20
)
SYSTEMS = {
    "toy": Toy(),
    "maa2c": MAA2C(task=TASK, actor_critic=ACTOR_CRITIC),
    "smpe": SMPE(task=TASK, actor_critic=ACTOR_CRITIC, beliefs=BELIEFS),
    "link": Link(messages=4, uses=1),
}
STEPS = {"toy": 1600, "maa2c": 4000, "smpe": 4000, "link": 1600}
OPTIONS: dict[str, Any] = {"seeds": 2, "eval_episodes": 20, "quiet": True}


def run(name: str, path: str) -> int:
    """Trains a system, with chunks and checkpoints as often as possible."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not path.endswith("whole"):
        seed_scheduler.TARGET_CHUNK_SECONDS = 1e-9
        recorder.CHECKPOINT_INTERVAL_SECONDS = -1.0
    steps = STEPS[name]
    try:
        train(SYSTEMS[name], out=path, steps=steps, eval_every=steps // 20, **OPTIONS)
    except TrainingInterrupted as interrupt:
        return 128 + interrupt.signum
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

"""Starts runs at no cost: each is a fork of this process, which has imported all.

Reads a system's name and a folder from each line, and answers with the number of the
process; then, when that has ended, with its exit code.
"""

import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import jax
from toy import Toy

from syntony.run import books, lanes
from syntony.run.stop import Interrupted
from syntony.run.train import train
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.link import Link
from syntony.systems.maa2c import Maa2c
from syntony.systems.smpe import Smpe
from syntony.tasks.ids import task

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
BACKBONE = Backbone(environments=2, hidden=8)
BELIEFS = Beliefs(latent=4, burst_every=60, minibatches=2, replay=20)
SYSTEMS = {
    "toy": Toy(),
    "maa2c": Maa2c(task=TASK, backbone=BACKBONE),
    "smpe": Smpe(task=TASK, backbone=BACKBONE, beliefs=BELIEFS),
    "link": Link(messages=4, uses=1),
}
STEPS = {"toy": 1600, "maa2c": 4000, "smpe": 4000, "link": 1600}
OPTIONS: dict[str, Any] = {"seeds": 2, "eval_episodes": 20, "quiet": True}


def run(name: str, path: str) -> int:
    """Trains, writing as often as one can."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not path.endswith("whole"):
        lanes.CHUNK_SECONDS = 1e-9
        books.SAVE_SECONDS = -1.0
    steps = STEPS[name]
    try:
        train(SYSTEMS[name], out=path, steps=steps, eval_every=steps // 20, **OPTIONS)
    except Interrupted as stop:
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

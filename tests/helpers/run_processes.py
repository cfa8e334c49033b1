"""Starts training processes quickly, as forks of this process with all imports done.

Reads the name of a system and a run folder from each line. Prints the pid of the
process, and its exit code when it has ended.
"""

import os
import sys
from typing import Any

import jax
from toy_system import Toy

from syntony.channels.black_box import BlackBoxChannel
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import IA2C, MAA2C, ActorCriticConfig
from syntony.systems.marl.ppo import IPPO, MAPPO
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.value_decomposition import QMIX, VDN, QLearningConfig
from syntony.tasks.registry import task
from syntony.training import recorder, seed_scheduler
from syntony.training.loop import train
from syntony.training.signals import TrainingInterrupted

TASK = task("Foraging-2s-5x5-2p-1f-coop?time_limit=5")
ACTOR_CRITIC = ActorCriticConfig(num_envs=2, hidden=8)
BELIEFS = BeliefConfig(
    latent_dim=4, belief_update_interval=60, belief_minibatches=2, buffer_size=20
)
Q_LEARNING = QLearningConfig(num_envs=2, hidden=8, buffer_size=20, batch_size=4)
AEC = task("pettingzoo:mpe2.simple_spread_v3?max_cycles=5")
GYM = task("gymnasium:lbforaging:Foraging-8x8-2p-1f-v3?max_episode_steps=5")


def radio(x: Any) -> Any:
    """A channel in NumPy without a random number: the same in every run."""
    return 0.9 * x + 0.1 * x**2


SYSTEMS = {
    "toy": Toy(),
    "toy with tensorboard": Toy(),
    "ia2c": IA2C(task=TASK, actor_critic=ACTOR_CRITIC),
    "mappo": MAPPO(task=TASK, actor_critic=ACTOR_CRITIC),
    "ippo": IPPO(task=TASK, actor_critic=ACTOR_CRITIC),
    "vdn": VDN(task=TASK, q_learning=Q_LEARNING),
    "qmix": QMIX(task=TASK, q_learning=Q_LEARNING),
    "pettingzoo": MAA2C(task=AEC, actor_critic=ACTOR_CRITIC),
    "gymnasium": MAA2C(task=GYM, actor_critic=ACTOR_CRITIC),
    "black box": Link(messages=4, uses=1, channel=BlackBoxChannel(function=radio)),
    "maa2c": MAA2C(task=TASK, actor_critic=ACTOR_CRITIC),
    "smpe": SMPE(task=TASK, actor_critic=ACTOR_CRITIC, beliefs=BELIEFS),
    "link": Link(messages=4, uses=1),
}
STEPS = {"toy": 1600, "toy with tensorboard": 1600, "link": 1600, "black box": 400}
TEAM_STEPS = 4000
OPTIONS: dict[str, Any] = {"seeds": 2, "eval_episodes": 20, "quiet": True}


def run(name: str, path: str) -> int:
    """Trains a system, with chunks and checkpoints as often as possible."""
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if not path.endswith("whole"):
        seed_scheduler.TARGET_CHUNK_SECONDS = 1e-9
        recorder.CHECKPOINT_INTERVAL_SECONDS = -1.0
    steps = STEPS.get(name, TEAM_STEPS)
    tensorboard = name.endswith("tensorboard")
    try:
        train(
            SYSTEMS[name],
            out=path,
            steps=steps,
            eval_every=steps // 20,
            tensorboard=tensorboard,
            **OPTIONS,
        )
    except TrainingInterrupted as interrupt:
        return 128 + interrupt.signum
    return 0


def main() -> None:
    for line in sys.stdin:
        name, path = line.strip().split("\t")
        pid = os.fork()
        if pid == 0:
            os._exit(run(name, path))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()

"""SMPE² compared with MAA2C, its actor-critic without beliefs and exploration bonus.

Two agents that observe one cell around themselves must load food together. Both systems
have the same task, number of steps and seeds; the figure shows each seed and the mean.

    python examples/cooperate.py              about three minutes on two cores
    python examples/cooperate.py 20000        a short run: environment steps per seed
"""

import sys
from pathlib import Path

import syntony

TASK = syntony.task("Foraging-1s-6x6-2p-2f-coop")
SYSTEMS = {"SMPE²": syntony.SMPE(task=TASK), "MAA2C": syntony.MAA2C(task=TASK)}


def compare(steps: int) -> None:
    """Trains both systems, prints their mean returns, and plots learning curves."""
    curves, out = {}, Path(f"runs/cooperate-{steps}")
    for name, system in SYSTEMS.items():
        print(f"{name} on {TASK.id}")
        run = syntony.train(
            system, steps=steps, seeds=2, out=out / name, eval_every=steps // 10
        )
        for seed, scores in run.evaluate(episodes=500).items():
            mean_return = scores["eval/return_mean"].mean()
            print(f"  seed {seed}: mean return {mean_return:.3f} of 1")
        curves[name] = syntony.read_learning_curve(run.path)
    figure = syntony.plot_learning_curves(curves, title=TASK.id)
    print(*syntony.save_figure(figure, out / "comparison"), sep="\n")


if __name__ == "__main__":
    compare(steps=int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)

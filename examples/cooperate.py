"""Does it help to infer what teammates see? SMPE² beside its backbone, MAA2C.

Two agents that see one cell around themselves must lift food together. Both systems get
the same task, budget and seeds; the picture shows each seed and the mean.

    python examples/cooperate.py              about three minutes on two cores
    python examples/cooperate.py 20000        a glance: so many steps a seed
"""

import sys
from pathlib import Path

import syntony
from syntony.evaluation.learning_curves import read_learning_curve
from syntony.visualization import figures

TASK = syntony.task("Foraging-1s-6x6-2p-2f-coop")
TEAMS = {"SMPE²": syntony.SMPE(task=TASK), "MAA2C": syntony.MAA2C(task=TASK)}


def compare(steps: int) -> None:
    """Trains both teams, prints what they earn, and draws how they learned."""
    curves, out = {}, Path(f"runs/cooperate-{steps}")
    for name, team in TEAMS.items():
        print(f"{name} on {TASK.id}")
        run = syntony.train(
            team, steps=steps, seeds=2, out=out / name, eval_every=steps // 10
        )
        for seed, scores in run.evaluate(episodes=500).items():
            print(f"  seed {seed} earns {scores['eval/return_mean'].mean():.3f} of 1")
        curves[name] = read_learning_curve(run.path)
    picture = figures.plot_learning_curves(curves, title=TASK.id)
    print(*figures.save_figure(picture, out / "comparison"), sep="\n")


if __name__ == "__main__":
    compare(steps=int(sys.argv[1]) if len(sys.argv) > 1 else 300_000)

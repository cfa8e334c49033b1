"""Draws the scenes of built-in tasks that the documentation shows.

    python benchmarks/draw_tasks.py

Writes `docs/images/task-NAME.svg`: the state of each of `TASKS` after some steps with
random actions.
"""

from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure

import syntony
from syntony.visualization.figures import save_figure
from syntony.visualization.scene_drawing import draw_scene
from syntony.visualization.scenes import episode_scene

IMAGES = Path(__file__).parents[1] / "docs" / "images"
TASKS = {
    "foraging": "Foraging-2s-8x8-3p-2f-coop",
    "warehouse": "rware-tiny-2ag-hard",
    "particles": "SimpleSpread-3",
}
NUM_STEPS = 6
INCHES = 2.6


def main() -> None:
    """Draws the scene of each task."""
    for name, id in TASKS.items():
        save_figure(draw(id), IMAGES / f"task-{name}", ["svg"])


def draw(id: str) -> Figure:
    """Scene of a task after some random steps."""
    task = syntony.task(id)
    state, _ = jax.jit(task.reset)(jax.random.key(1))
    act = jax.jit(task.step)
    for number in range(NUM_STEPS):
        key = jax.random.key(number)
        logits = np.where(task.action_mask(state), 0.0, -np.inf)
        action = jax.random.categorical(key, logits)
        state, _ = act(key, state, action)
    scene = episode_scene(task, jax.tree.map(lambda x: np.asarray(x)[None], state), 1)
    assert scene is not None
    *_, width, height = scene.bounds
    figure = Figure(figsize=(INCHES, INCHES * height / width), layout="constrained")
    draw_scene(figure.subplots(), scene, 0)
    return figure


if __name__ == "__main__":
    main()

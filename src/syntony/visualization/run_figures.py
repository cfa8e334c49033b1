"""All pictures of one run for print: how it learned, and what it does now."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from syntony.errors import InvalidInputError
from syntony.evaluation.episodes import collect_median_episode, decode_beliefs
from syntony.evaluation.learning_curves import LearningCurve
from syntony.report.runs import ReportRun, load_report_runs
from syntony.report.sections.learning_curves import (
    metric_display_name,
    read_metric_curve,
)
from syntony.systems.link.link import Link
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe import SMPE
from syntony.tasks.foraging.rules import Foraging
from syntony.training.progress import metric_label
from syntony.training.run import Run
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization import figures, link_figures, output_files
from syntony.visualization.scene_builders import episode_scene, is_renderable

EVALUATION_FILE = "evaluation.json"
"""In a run's folder: what `evaluate` last measured over SNR."""
NUM_EPISODES = 31
"""Lived to show the one of median length."""
BONUS_METRICS = ("train/bonus", "train/bonus_error_correlation")

PrintFn = Callable[[str], None]
NamedFigure = tuple[str, Figure]
"""What its file is called, without the ending; and what it shows."""


def save_run_figures(
    path: Path,
    formats: Sequence[str] = ("svg", "png"),
    *,
    print_fn: PrintFn = lambda _: None,
) -> list[Path]:
    """Draws a run into the folder `figures` in its own; returns the files.

    Args:
        path: the run's folder.
        formats: svg, pdf or png, one or several.
        say: is told what could not be drawn, and why.

    Raises:
        BadInput: there is no such run, nothing of it can be drawn, or not there.
    """
    (subject,) = load_report_runs([str(path)])
    folder = path / "figures"
    # Before anything that takes long.
    output_files.create_folder(folder)
    notes: list[str] = [subject.load_error] if subject.run is None else []
    pictures = _link_run_figures if subject.is_link else _team_run_figures
    drawn = dict(pictures(subject, notes))
    if not drawn:
        measured = "nothing has been measured in it yet"
        raise InvalidInputError(
            f"{path} cannot be drawn: {'; '.join([measured, *notes])}"
        )
    for note in notes:
        print_fn(note)
    try:
        saved = [figures.save_figure(f, folder / n, formats) for n, f in drawn.items()]
    except OSError as failure:
        raise output_files.write_error(folder, failure) from None
    return [file for same in saved for file in same]


def save_evaluation(run: Run, evaluation: dict[str, Any]) -> None:
    """Keeps what a link was measured to do over SNR, to be drawn without measuring.

    Args:
        run: the link.
        found: what `evaluate_link` returned; of a single SNR nothing is kept.
    """
    if len(evaluation["points"]) > 1:
        known = {"steps": [*run.steps.values()]} | evaluation
        output_files.write_file(run.path / EVALUATION_FILE, json.dumps(known).encode())


def _team_run_figures(report_run: ReportRun, notes: list[str]) -> Iterator[NamedFigure]:
    score = "eval/return_mean"
    if curve := read_metric_curve(report_run, score):
        yield (
            "learning_curve",
            figures.plot_learning_curves(
                {report_run.system: curve},
                title=report_run.task_or_channel,
                ylabel=f"{metric_label(score)} of an episode",
            ),
        )
    for name, scores in (
        ("losses", _loss_metrics(report_run)),
        ("bonus", BONUS_METRICS),
    ):
        if curves := _metric_curves(report_run, scores):
            heading = f"{report_run.system} on {report_run.task_or_channel}"
            yield name, figures.plot_metric_panels(curves, title=heading)
    if report_run.run is not None:
        yield from _episode_figures(report_run.run, notes)


def _episode_figures(run: Run, notes: list[str]) -> Iterator[NamedFigure]:
    """Yields an episode of the first seed from above, and from inside an agent."""
    system: Any = run.system
    if not isinstance(system, MultiAgentSystem):
        return
    if not is_renderable(system.task):
        notes.append(f"nobody knows how to draw {system.task.id}")
        return
    seed = run.config.seed
    state = run.states[seed]
    episode = collect_median_episode(
        system, state, seed_keys(seed).post_training_eval, NUM_EPISODES
    )
    above = episode_scene(system.task, episode.states, episode.length + 1)
    assert above is not None
    heading = (
        f"An episode of the team after {run.steps[seed]:,} steps, "
        f"of {NUM_EPISODES} the one of median length"
    )
    yield (
        "episode",
        figures.plot_episode_frames(above, episode.cumulative_rewards, title=heading),
    )
    if isinstance(system, SMPE) and isinstance(system.task, Foraging):
        middle = episode.length // 2
        obs = jnp.asarray(episode.obs[middle])
        belief = jax.device_get(jax.jit(decode_beliefs)(system, state, obs))
        yield (
            "beliefs",
            figures.plot_beliefs(
                *(belief.others[0], belief.prediction[0], belief.weights[0]),
                task=system.task,
                scene=above,
                step=middle,
                agent=0,
                title=f"What agent 1 believes at step {middle}",
            ),
        )


def _link_run_figures(report_run: ReportRun, notes: list[str]) -> Iterator[NamedFigure]:
    heading = report_run.task_or_channel
    if {"messages", "uses"} <= report_run.system_settings.keys():
        size = "{messages} messages in {uses} uses".format(**report_run.system_settings)
        heading += f", {size}"
    if curve := read_metric_curve(report_run, "eval/bler"):
        name = f"{report_run.system_settings.get('gradient', 'its')} gradient"
        yield (
            "training",
            link_figures.plot_bler_over_training({name: curve}, title=heading),
        )
    if curves := _metric_curves(report_run, _loss_metrics(report_run)):
        yield (
            "losses",
            figures.plot_metric_panels(
                curves, title=heading, xlabel="iterations", steps_per_unit=1.0, log=True
            ),
        )
    if report_run.run is not None and isinstance(report_run.run.system, Link):
        codebook = report_run.run.transmit(np.arange(report_run.run.system.messages))
        yield "constellation", link_figures.plot_constellation(codebook, title=heading)
    yield from _bler_figure(report_run, heading, notes)


def _bler_figure(
    report_run: ReportRun, heading: str, notes: list[str]
) -> Iterator[NamedFigure]:
    """Yields what `evaluate` has found, if it is of the link as it now is."""
    file = report_run.path / EVALUATION_FILE
    again = f"repeat syntony evaluate {report_run.path} --snr-db LOW:HIGH:STEP"
    if not file.is_file():
        notes.append(f"error rates over SNR were not measured yet; {again}")
        return
    try:
        found = json.loads(file.read_bytes())
        figure, steps = link_figures.plot_bler(found, title=heading), found["steps"]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise InvalidInputError(f"{file} is damaged; {again}") from None
    if report_run.run is not None and steps != [*report_run.run.steps.values()]:
        notes.append(f"error rates were measured before it learned more; {again}")
        return
    yield "bler", figure


def _loss_metrics(report_run: ReportRun) -> list[str]:
    names = {name for line in report_run.records for name in line}
    return sorted(n for n in names if n.startswith("train/") and n.endswith("_loss"))


def _metric_curves(
    report_run: ReportRun, metrics: Sequence[str]
) -> dict[str, LearningCurve]:
    """Returns those that were measured, by what they are called."""
    found = {
        metric_display_name(score): read_metric_curve(report_run, score)
        for score in metrics
    }
    return {name: curve for name, curve in found.items() if curve is not None}

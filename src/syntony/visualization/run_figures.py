"""All figures of one run for print: learning curves, an episode, a constellation.

Curves are drawn of the metrics that were logged, everything else of the capabilities of
the system.
"""

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from syntony.errors import InvalidInputError
from syntony.evaluation.bler_curves import bler_curves
from syntony.evaluation.bler_table import rate_cells
from syntony.evaluation.episodes import collect_median_episode
from syntony.evaluation.learning_curves import LearningCurve
from syntony.evaluation.link import LinkEvaluation
from syntony.evaluation.metric_info import metric_display_name
from syntony.evaluation.over_snr import evaluate_over_snr
from syntony.evaluation.stored_run import (
    StoredRun,
    read_metric_curve,
    read_stored_run,
    run_path,
)
from syntony.evaluation.transmissions import (
    agent_codes,
    collect_transmissions,
)
from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import (
    ActsInEpisodes,
    HasBeliefs,
    TransmitsMessages,
    TransmitsObservations,
)
from syntony.tasks.task import Drawable
from syntony.training.progress import metric_label
from syntony.training.run import Run
from syntony.training.safe_io import read_json, visible_json
from syntony.training.seed_scheduler import seed_keys
from syntony.visualization import (
    figures,
    link_figures,
    output_files,
    transmission_figures,
)
from syntony.visualization.obs_features import obs_features
from syntony.visualization.output_files import PrintFn
from syntony.visualization.print_options import DEFAULT_PRINT_OPTIONS, PrintOptions
from syntony.visualization.scenes import add_symbols, episode_scene

MAX_EVALUATION_BYTES = 2**24
EVALUATION_FILE = "evaluation.json"
"""File in a run folder with the last result of `evaluate_link` at several SNRs."""
DAMAGED = KeyError, TypeError, IndexError, AttributeError
"""Errors of a stored evaluation whose JSON is not that of one."""
NUM_EPISODES = 31
"""Collected episodes, of which the one of median length is drawn."""
NUM_TRANSMISSION_EPISODES = 400
"""Episodes of which observations are taken, and of each point over the SNR."""
MAX_TRANSMISSIONS = 1_000
"""Observations whose symbols are drawn at most."""
MIN_STEPS_IN_MILLIONS = 100_000
"""Training steps from which they are counted in millions."""
BONUS_METRICS = ("train/exploration_bonus", "train/bonus_error_correlation")

NamedFigure = tuple[str, Figure]
"""Name of the file without its ending, and the figure."""


@standard_jax_settings()
def save_run_figures(
    run: Path | Run,
    formats: Sequence[str] = ("svg", "png"),
    *,
    options: PrintOptions = DEFAULT_PRINT_OPTIONS,
    print_fn: PrintFn = lambda _: None,
    trust: bool = False,
) -> list[Path]:
    """Draws all figures of a run into its folder `figures`; returns the files.

    Args:
        run: the run folder; or the run, as `load` gives it.
        formats: svg, pdf, png or csv, one or several.
        options: width, font and titles.
        print_fn: called with a line for everything that cannot be drawn.
        trust: whether to import what the run names; see `load`.

    Raises:
        InvalidInputError: there is no such run, nothing was measured in it, or the
            files cannot be written.
    """
    path = run_path(run)
    stored_run = read_stored_run(run, trust=trust)
    folder = path / "figures"
    # Before anything slow.
    output_files.create_folder(folder)
    notes: list[str] = [stored_run.load_error] if stored_run.run is None else []
    named = dict(_run_figures(stored_run, notes))
    if not named:
        reason = "nothing has been measured in it yet"
        raise InvalidInputError(
            f"{path} cannot be drawn: {'; '.join([reason, *notes])}"
        )
    for note in notes:
        print_fn(note)
    try:
        saved = [
            figures.save_figure(figure, folder / name, formats, options)
            for name, figure in named.items()
        ]
    except OSError as error:
        raise output_files.write_error(folder, error) from None
    return [file for files in saved for file in files]


def save_evaluation(run: Run, evaluation: LinkEvaluation) -> None:
    """Stores an evaluation of a link in its run folder, for `save_run_figures`.

    Args:
        run: run of a link.
        evaluation: result of `evaluate_link`; one at a single SNR is not stored, so
            that it does not replace one at several.
    """
    points = evaluation["points"]
    if len(points) > 1 or points[0]["snr_db"] is None:
        content = {"steps": [*run.steps.values()], **evaluation}
        file = run.path / EVALUATION_FILE
        output_files.write_file(file, json.dumps(content).encode())


def _run_figures(stored_run: StoredRun, notes: list[str]) -> Iterator[NamedFigure]:
    """Yields the figures of the logged metrics, then those of the capabilities."""
    yield from _curve_figures(stored_run)
    run = stored_run.run
    if run is not None and isinstance(run.system, ActsInEpisodes):
        yield from _episode_figures(run, notes)
    if run is not None and isinstance(run.system, TransmitsObservations):
        yield from _transmission_figures(run, run.system, _heading(stored_run))
    if run is not None and isinstance(run.system, TransmitsMessages):
        codebook = run.transmit(np.arange(run.system.messages))
        heading = _heading(stored_run)
        yield "constellation", link_figures.plot_constellation(codebook, title=heading)
    if "eval/bler" in stored_run.logged_metrics or (
        run is not None and isinstance(run.system, TransmitsMessages)
    ):
        yield from _bler_figure(stored_run, _heading(stored_run), notes)


def _heading(stored_run: StoredRun) -> str:
    """Title of a figure: the system, its task or channel, and the size of a code."""
    task_or_channel = stored_run.task_or_channel
    if {"messages", "uses"} <= stored_run.system_settings.keys():
        size = "{messages} messages in {uses} uses".format(**stored_run.system_settings)
        return ", ".join(filter(None, [task_or_channel, size]))
    if not task_or_channel:
        return stored_run.system
    return f"{stored_run.system} on {task_or_channel}"


def _curve_figures(stored_run: StoredRun) -> Iterator[NamedFigure]:
    """Yields figures of the logged metrics over training."""
    steps, steps_per_unit = _step_axis(stored_run)
    if curve := read_metric_curve(stored_run, "eval/return_mean"):
        yield (
            "learning_curve",
            figures.plot_learning_curves(
                {stored_run.system: curve},
                title=stored_run.task_or_channel,
                xlabel=steps,
                steps_per_unit=steps_per_unit,
                ylabel=f"{metric_label('eval/return_mean')} of an episode",
            ),
        )
    heading = _heading(stored_run)
    if curve := read_metric_curve(stored_run, "eval/bler"):
        name = f"{stored_run.system_settings.get('gradient', 'its')} gradient"
        yield (
            "training",
            link_figures.plot_bler_over_training(
                {name: curve}, title=heading, xlabel=stored_run.step_unit
            ),
        )
    for name, metrics in (
        ("losses", _loss_metrics(stored_run)),
        ("bonus", BONUS_METRICS),
    ):
        if curves := _metric_curves(stored_run, metrics):
            figure = figures.plot_metric_panels(
                curves,
                title=heading,
                xlabel=steps,
                steps_per_unit=steps_per_unit,
                # Cross-entropies of a link fall by orders of magnitude.
                log="eval/bler" in stored_run.logged_metrics,
            )
            yield name, figure


def _step_axis(stored_run: StoredRun) -> tuple[str, float]:
    """Label of the axis of training steps, and the steps in one of its units."""
    if stored_run.last_step >= MIN_STEPS_IN_MILLIONS:
        return f"million {stored_run.step_unit}", 1e6
    return stored_run.step_unit, 1.0


def _episode_figures(run: Run, notes: list[str]) -> Iterator[NamedFigure]:
    """Yields an episode of the first seed, and the beliefs of one agent in it."""
    system = run.system
    if not isinstance(system, ActsInEpisodes):
        return
    if not isinstance(system.task, Drawable):
        notes.append(f"{system.task.id} cannot be drawn: it has no method `render`")
        return
    seed = run.seeds[0]
    state = run.states[seed]
    episode = collect_median_episode(
        system, state, seed_keys(seed).post_training_eval, NUM_EPISODES
    )
    num_frames = episode.length + 1
    scene = episode_scene(system.task, episode.states, num_frames)
    scene = add_symbols(scene, episode.sent, num_frames)
    assert scene is not None
    heading = (
        f"Episode of median length of {NUM_EPISODES}, "
        f"after {run.steps[seed]:,} training steps"
    )
    yield (
        "episode",
        figures.plot_episode_frames(scene, episode.cumulative_rewards, title=heading),
    )
    if isinstance(system, HasBeliefs):
        middle = episode.length // 2
        obs = jnp.asarray(episode.obs[middle])
        belief = jax.device_get(jax.jit(system.decode_beliefs)(state, obs))
        yield (
            "beliefs",
            figures.plot_beliefs(
                *(belief.others[0], belief.prediction[0], belief.filter_weights[0]),
                features=obs_features(system.task),
                scene=scene,
                step=middle,
                agent=0,
                title=f"Belief of agent A at step {middle}",
            ),
        )


def _transmission_figures(
    run: Run, system: TransmitsObservations, heading: str
) -> Iterator[NamedFigure]:
    """Yields what the agents of the first seed send, and returns over the SNR."""
    seed = run.seeds[0]
    samples = collect_transmissions(
        system,
        run.states[seed],
        seed_keys(seed).post_training_eval,
        episodes=NUM_TRANSMISSION_EPISODES,
        max_samples=MAX_TRANSMISSIONS,
    )
    codes = agent_codes(samples, obs_features(system.task))
    plot = transmission_figures.plot_symbols
    yield "symbols", plot(samples, codes, title=heading)
    plot = transmission_figures.plot_energy_per_feature
    yield "energy_per_feature", plot(codes, title=heading)
    snrs_db = transmission_figures.plotted_snrs_db(system)
    if snrs_db:
        over_snr = evaluate_over_snr(run, snrs_db, episodes=NUM_TRANSMISSION_EPISODES)
        plot = transmission_figures.plot_return_over_snr
        yield "return_over_snr", plot(over_snr, title=heading)


def _bler_figure(
    stored_run: StoredRun, heading: str, notes: list[str]
) -> Iterator[NamedFigure]:
    """Yields the stored evaluation, if it is of the current state of the link."""
    command = f"run syntony evaluate {stored_run.path} --snr-db LOW:HIGH:STEP"
    evaluation = read_evaluation(stored_run)
    if evaluation is None:
        notes.append(f"error rates over SNR have not been measured yet; {command}")
        return
    if len(evaluation["points"]) < 2:
        return
    try:
        figure = link_figures.plot_bler(evaluation, title=heading)
    except (ValueError, *DAMAGED):
        raise _damaged_evaluation(stored_run.path) from None
    if stored_run.run is not None and not is_current(evaluation, stored_run.run):
        notes.append(f"the error rates are of an earlier training step; {command}")
        return
    yield "bler", figure


def read_evaluation(stored_run: StoredRun) -> LinkEvaluation | None:
    """Stored evaluation of a link, which may be anyone's; None if there is none.

    Raises:
        InvalidInputError: the file is damaged.
    """
    file = stored_run.path / EVALUATION_FILE
    if not os.path.lexists(file):
        return None
    try:
        # Untrusted: its types are checked by their use.
        content = visible_json(read_json(file, MAX_EVALUATION_BYTES))
        evaluation = cast(LinkEvaluation, content)
        points, _ = evaluation["points"], cast(dict[str, object], content)["steps"]
        curves = bler_curves(points, evaluation.get("analytic"))
        for name in curves.baselines:
            curves.baseline(name)
        for point in points:
            rate_cells(point)
    except (OSError, ValueError, *DAMAGED):
        raise _damaged_evaluation(stored_run.path) from None
    return evaluation


def is_current(evaluation: LinkEvaluation, run: Run) -> bool:
    """Whether a stored evaluation is of the present states of a run."""
    return evaluation.get("steps") == [*run.steps.values()]


def _damaged_evaluation(path: Path) -> InvalidInputError:
    return InvalidInputError(
        f"{path / EVALUATION_FILE} is damaged; run syntony evaluate {path} "
        "--snr-db LOW:HIGH:STEP"
    )


def _loss_metrics(stored_run: StoredRun) -> list[str]:
    names = stored_run.logged_metrics
    return sorted(n for n in names if n.startswith("train/") and n.endswith("loss"))


def _metric_curves(
    stored_run: StoredRun, metrics: Sequence[str]
) -> dict[str, LearningCurve]:
    """Curves of those of the metrics that were logged, by their titles."""
    curves = {
        metric_display_name(metric): read_metric_curve(stored_run, metric)
        for metric in metrics
    }
    return {title: curve for title, curve in curves.items() if curve is not None}

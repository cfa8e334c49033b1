"""All pictures of one run for print: how it learned, and what it does now."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from syntony.errors import BadInput
from syntony.run.lanes import keys
from syntony.run.load import Run
from syntony.run.progress import title
from syntony.study import figures, files, link_figures
from syntony.study.curves import Curve
from syntony.study.episodes import believe, typical_episode
from syntony.study.report_curves import curve_of, words_of
from syntony.study.report_runs import Subject, subjects
from syntony.study.scenes import is_drawn, scene
from syntony.systems.link import Link
from syntony.systems.smpe import Smpe
from syntony.systems.team import Team
from syntony.tasks.foraging import Foraging

EVALUATION = "evaluation.json"
"""In a run's folder: what `evaluate` last measured over SNR."""
EPISODES = 31
"""Lived to show the one of median length."""
BONUS = ("train/bonus", "train/bonus_error_correlation")

Say = Callable[[str], None]
Picture = tuple[str, Figure]
"""What its file is called, without the ending; and what it shows."""


def draw(
    path: Path, formats: Sequence[str] = ("svg", "png"), *, say: Say = lambda _: None
) -> list[Path]:
    """Draws a run into the folder `figures` in its own; returns the files.

    Args:
        path: the run's folder.
        formats: svg, pdf or png, one or several.
        say: is told what could not be drawn, and why.

    Raises:
        BadInput: there is no such run, nothing of it can be drawn, or not there.
    """
    (subject,) = subjects([str(path)])
    folder = path / "figures"
    # Before anything that takes long.
    files.make(folder)
    notes: list[str] = [subject.obstacle] if subject.run is None else []
    pictures = _of_link if subject.is_link else _of_team
    drawn = dict(pictures(subject, notes))
    if not drawn:
        measured = "nothing has been measured in it yet"
        raise BadInput(f"{path} cannot be drawn: {'; '.join([measured, *notes])}")
    for note in notes:
        say(note)
    try:
        saved = [figures.save(f, folder / n, formats) for n, f in drawn.items()]
    except OSError as failure:
        raise files.cannot_write(folder, failure) from None
    return [file for same in saved for file in same]


def remember(run: Run, found: dict[str, Any]) -> None:
    """Keeps what a link was measured to do over SNR, to be drawn without measuring.

    Args:
        run: the link.
        found: what `evaluate_link` returned; of a single SNR nothing is kept.
    """
    if len(found["points"]) > 1:
        known = {"steps": [*run.steps.values()]} | found
        files.write(run.path / EVALUATION, json.dumps(known).encode())


def _of_team(subject: Subject, notes: list[str]) -> Iterator[Picture]:
    score = "eval/return_mean"
    if curve := curve_of(subject, score):
        yield (
            "learning_curve",
            figures.learning_curves(
                {subject.system: curve},
                title=subject.world,
                ylabel=f"{title(score)} of an episode",
            ),
        )
    for name, scores in (("losses", _losses(subject)), ("bonus", BONUS)):
        if curves := _curves(subject, scores):
            heading = f"{subject.system} on {subject.world}"
            yield name, figures.panels(curves, title=heading)
    if subject.run is not None:
        yield from _of_episode(subject.run, notes)


def _of_episode(run: Run, notes: list[str]) -> Iterator[Picture]:
    """Yields an episode of the first seed from above, and from inside an agent."""
    system: Any = run.system
    if not isinstance(system, Team):
        return
    if not is_drawn(system.task):
        notes.append(f"nobody knows how to draw {system.task.id}")
        return
    seed = run.plan.seed
    state = run.states[seed]
    episode = typical_episode(system, state, keys(seed).assess, EPISODES)
    above = scene(system.task, episode.states, episode.steps + 1)
    assert above is not None
    heading = (
        f"An episode of the team after {run.steps[seed]:,} steps, "
        f"of {EPISODES} the one of median length"
    )
    yield "episode", figures.film_strip(above, episode.returns, title=heading)
    if isinstance(system, Smpe) and isinstance(system.task, Foraging):
        middle = episode.steps // 2
        obs = jnp.asarray(episode.obs[middle])
        belief = jax.device_get(jax.jit(believe)(system, state, obs))
        yield (
            "beliefs",
            figures.belief_panel(
                *(belief.others[0], belief.belief[0], belief.weights[0]),
                task=system.task,
                scene=above,
                moment=middle,
                agent=0,
                title=f"What agent 1 believes at step {middle}",
            ),
        )


def _of_link(subject: Subject, notes: list[str]) -> Iterator[Picture]:
    heading = subject.world
    if {"messages", "uses"} <= subject.constants.keys():
        size = "{messages} messages in {uses} uses".format(**subject.constants)
        heading += f", {size}"
    if curve := curve_of(subject, "eval/bler"):
        name = f"{subject.constants.get('gradient', 'its')} gradient"
        yield "training", link_figures.convergence({name: curve}, title=heading)
    if curves := _curves(subject, _losses(subject)):
        yield (
            "losses",
            figures.panels(
                curves, title=heading, xlabel="iterations", unit=1.0, log=True
            ),
        )
    if subject.run is not None and isinstance(subject.run.system, Link):
        codebook = subject.run.transmit(np.arange(subject.run.system.messages))
        yield "constellation", link_figures.constellation(codebook, title=heading)
    yield from _error_rates(subject, heading, notes)


def _error_rates(subject: Subject, heading: str, notes: list[str]) -> Iterator[Picture]:
    """Yields what `evaluate` has found, if it is of the link as it now is."""
    file = subject.path / EVALUATION
    again = f"repeat syntony evaluate {subject.path} --snr-db LOW:HIGH:STEP"
    if not file.is_file():
        notes.append(f"error rates over SNR were not measured yet; {again}")
        return
    try:
        found = json.loads(file.read_bytes())
        figure, steps = link_figures.error_rates(found, title=heading), found["steps"]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        raise BadInput(f"{file} is damaged; {again}") from None
    if subject.run is not None and steps != [*subject.run.steps.values()]:
        notes.append(f"error rates were measured before it learned more; {again}")
        return
    yield "bler", figure


def _losses(subject: Subject) -> list[str]:
    names = {name for line in subject.lines for name in line}
    return sorted(n for n in names if n.startswith("train/") and n.endswith("_loss"))


def _curves(subject: Subject, scores: Sequence[str]) -> dict[str, Curve]:
    """Returns those that were measured, by what they are called."""
    found = {words_of(score): curve_of(subject, score) for score in scores}
    return {name: curve for name, curve in found.items() if curve is not None}

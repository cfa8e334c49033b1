"""How runs of a report learned: every number that was measured on the way."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from syntony.errors import BadInput
from syntony.run.progress import RATES, duration, title
from syntony.study.curves import Curve, read_curve
from syntony.study.report_parts import (
    Plot,
    Rows,
    Section,
    Trace,
    band,
    decades,
    faint,
    figure,
    line,
    literal,
    span,
)
from syntony.study.report_runs import Subject, file_name
from syntony.study.statistics import mean_over_seeds

POINTS = 300
"""Most points of a curve."""
SURE = 3
"""Seeds from which an interval is drawn: that of two fills the picture."""
FIRST = ("eval/return_mean", "eval/bler")
"""What a run is judged by."""
SEEN = 1e-7
"""Error rates below are not drawn: nothing was counted there."""

TITLES = {
    "eval/bler": "block error rate",
    "eval/gradient_cosine": "agreement of gradients",
    "eval/return_mean_greedy": "return, most likely actions",
    "eval/return_mean_per_agent": "return per agent",
    "eval/length_mean": "length of an episode",
    "train/kl_loss": "KL loss",
    "train/return": "return while learning",
}
"""What some numbers are called; others by their own names."""
MEANINGS = {
    "train/actor_loss": "The actors' loss, −ln π(a) (G − V) − β_H H; it need not fall.",
    "train/critic_loss": "The central critic's loss, (G − V)².",
    "train/filtered_critic_loss": "The loss of the critic of the filtered state.",
    "train/entropy": "Entropy of the policies, in nats: 0 leaves nothing to chance.",
    "train/bonus": "Mean novelty bonus β / √n, which falls as beliefs are met again.",
    "train/bonus_error_correlation": "Correlation of an agent's bonus with the error "
    "of its teammates' beliefs about it: above 0, what is new to one surprises others.",
    "train/reconstruction_loss": "How far beliefs are from what teammates see.",
    "train/kl_loss": "How much beliefs say: KL(q_ω ‖ N(0, I)), in nats.",
    "train/norm_loss": "−‖w‖²: lower where filters let more pass.",
    "train/filter_weight": "Mean weight of the filters: 1 lets everything pass.",
    "train/return": "Return of the episodes that the team learned from.",
    "train/receiver_loss": "Cross-entropy of the receiver, in nats a block.",
    "train/transmitter_loss": "Mean loss that came back to the transmitter.",
    "eval/return_mean": "Return of an episode with sampled actions.",
    "eval/return_mean_greedy": "Return of an episode with the most likely actions.",
    "eval/length_mean": "Steps of an episode.",
    "eval/return_mean_per_agent": "Return of an episode, divided by the agents.",
    "eval/gradient_cosine": "Mean cosine of the gradients of independent batches: "
    "s / (1 + s), where s is the signal-to-noise ratio of a batch's gradient.",
    "eval/bler": "Share of blocks that are taken for another message.",
}


def learning(subjects: Sequence[Subject]) -> list[Section]:
    """Returns a section for each task or channel, with all runs on it overlaid."""
    worlds = dict.fromkeys((s.is_link, s.world) for s in subjects)
    found = []
    for number, (is_link, world) in enumerate(worlds):
        there = [s for s in subjects if (s.is_link, s.world) == (is_link, world)]
        names = _scores(there)
        plots = [_plot(name, there) for name in names]
        parts: list[Any] = [plot for plot in plots if plot is not None]
        if is_link:
            parts = [*_phases(there), *parts]
        notes = [] if parts else ["Nothing has been measured yet."]
        title = f"Learning: {world or 'no task'}"
        found.append(Section(f"learning-{number}", title, parts, notes))
    return found


def overview(subjects: Sequence[Subject]) -> Section:
    """Returns all runs in a table."""
    heads = ["run", "system", "task or channel", "seeds", "steps", "score", "time"]
    rows = [_row(subject) for subject in subjects]
    caption = (
        "Scores are those of the last evaluation that all seeds of a run had: mean "
        "over seeds, and its 95 % interval (Student's)."
    )
    notes = [
        f"{s.label}: only what was measured is shown; {s.obstacle}."
        for s in subjects
        if s.run is None
    ]
    return Section("overview", "Runs", [Rows("", heads, rows, caption)], notes)


def score_of(subject: Subject) -> str:
    """Returns a run's score at its end, in words."""
    for name in FIRST:
        curve = curve_of(subject, name)
        if curve is None:
            continue
        end = mean_over_seeds(curve.scores[:, -1:])
        form = ".2e" if name in RATES else ".3f"
        mean, low, high = (float(edge[0]) for edge in end)
        text = f"{title(name)} {mean:{form}}"
        # Of few seeds an interval may reach below any rate.
        low = max(low, 0.0) if name in RATES else low
        return text if np.isnan(low) else f"{text} [{low:{form}}, {high:{form}}]"
    return "not measured yet"


def curve_of(subject: Subject, score: str) -> Curve | None:
    """Returns a run's curve; None where the seeds have no steps in common."""
    try:
        curve = read_curve(subject.path, score)
    except (BadInput, TypeError, ValueError):
        return None
    if not len(curve.steps):
        return None
    last = len(curve.steps) - 1
    kept = np.unique(np.linspace(0, last, min(POINTS, last + 1)).round().astype(int))
    return Curve(curve.steps[kept], curve.scores[:, kept])


def _row(subject: Subject) -> list[str]:
    settings = subject.settings
    seconds = subject.wall_s
    return [
        subject.label,
        subject.system,
        subject.world,
        str(settings.get("seeds", "")),
        f"{subject.step:,}",
        score_of(subject),
        "" if seconds is None else duration(seconds),
    ]


def _scores(subjects: Iterable[Subject]) -> list[str]:
    """Returns what was measured, scores first."""
    names = {n: None for s in subjects for x in s.lines for n in x if "/" in n}
    ends = ("_low", "_high")
    edges = {n for n in names if n.endswith(ends) and n[: n.rindex("_")] in names}
    kept = names.keys() - edges
    return sorted(kept, key=lambda n: (n not in FIRST, n.startswith("train/"), n))


def _plot(score: str, subjects: Sequence[Subject]) -> Plot | None:
    """Returns the curves of one score, a colour for each run."""
    rate = score in RATES
    traces: list[Trace] = []
    drawn: list[np.ndarray] = []
    for subject in subjects:
        curve = curve_of(subject, score)
        if curve is None or not np.isfinite(curve.scores).any():
            continue
        shown = np.where(curve.scores > SEEN, curve.scores, np.nan)
        curve = Curve(curve.steps, shown) if rate else curve
        traces += _curve(curve, subject, log=rate)
        drawn.append(curve.scores)
    if not traces:
        return None
    words = words_of(score)
    axis = decades(drawn) if rate else {"range": span(drawn)}
    unit = "iterations" if subjects[0].is_link else "environment steps"
    plot = figure(traces, x=unit, y=words, yaxis=axis, hovermode="x unified")
    meaning = MEANINGS.get(score, "")
    alt = f"Line chart of {words} over {unit}, for {_names(subjects)}. {meaning}"
    return Plot(
        name=file_name(f"{subjects[0].world}-{words}"),
        title=words[0].upper() + words[1:],
        alt=alt,
        caption=f"{meaning} {_what(subjects)}".strip(),
        figure=plot,
        width="wide" if score in FIRST else "third",
    )


def words_of(score: str) -> str:
    """Returns what a number is called."""
    plain = score.rpartition("/")[2].removesuffix("_mean").replace("_", " ")
    return TITLES.get(score) or plain


def _curve(curve: Curve, subject: Subject, *, log: bool = False) -> list[Trace]:
    """Returns a mean, its interval where it says something, and every seed."""
    look, name = subject.look, literal(subject.label)
    middle = mean_over_seeds(curve.scores)
    traces = []
    if len(curve.scores) >= SURE:
        low = np.maximum(middle.low, SEEN) if log else middle.low
        there = np.isfinite(low) & np.isfinite(middle.high)
        edges = curve.steps[there], low[there], middle.high[there]
        traces.append(band(*edges, look, name))
    if len(curve.scores) > 1:
        traces += [faint(curve.steps, seed, look, name) for seed in curve.scores]
    seeds = len(curve.scores)
    said = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    return [*traces, line(curve.steps, middle.mean, said, look, legendgroup=name)]


def _phases(subjects: Sequence[Subject]) -> list[Plot]:
    """Returns for each link what both of its halves learned by, in one figure."""
    found = []
    names = ("train/receiver_loss", "train/transmitter_loss")
    for subject in subjects:
        curves = {name: curve_of(subject, name) for name in names}
        known = {n: c for n, c in curves.items() if c is not None}
        traces = []
        for number, (name, curve) in enumerate(known.items()):
            mean = mean_over_seeds(curve.scores).mean
            mean = np.where(mean > SEEN, mean, np.nan)
            look = subject.look._replace(dash=("solid", "dash")[number])
            words = name.partition("/")[2].replace("_", " ")
            traces.append(line(curve.steps, mean, words, look))
        if traces:
            found.append(_both_phases(subject, traces))
    return found


def _both_phases(subject: Subject, traces: list[Trace]) -> Plot:
    warm = subject.constants.get("schedule.warm_up")
    alone = f" In the first {warm} iterations only the receiver learns." if warm else ""
    axis = decades([trace["y"] for trace in traces])
    tempered = subject.constants.get("exploration.temperature", 1.0)
    hot = ""
    if tempered != 1.0:
        hot = f" Its losses are those of logits divided by {tempered:g}."
    unit = "nats a block"
    if subject.constants.get("exploration.criterion") == "odds":
        unit = "nats or odds a block"
        hot += " They are odds against the message, without a unit."
    return Plot(
        name=file_name(f"{subject.label}-phases"),
        title=f"Both phases: {subject.label}",
        alt=f"Line chart of both losses of {subject.label} over iterations.",
        caption="What the receiver descends, and what comes back to the transmitter "
        f"while it explores; means over seeds.{hot}{alone}",
        figure=figure(traces, x="iterations", y=unit, yaxis=axis),
        width="wide",
    )


def _names(subjects: Sequence[Subject]) -> str:
    return ", ".join(subject.label for subject in subjects)


def _what(subjects: Sequence[Subject]) -> str:
    counts = [len({line["seed"] for line in s.lines}) for s in subjects]
    if max(counts) >= SURE:
        return "Mean over seeds with its 95 % interval; thin lines are seeds."
    return "Mean over seeds; thin lines are seeds." if max(counts) > 1 else "One seed."

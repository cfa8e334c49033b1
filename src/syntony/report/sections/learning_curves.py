"""How runs of a report learned: every number that was measured on the way."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from syntony.errors import InvalidInputError
from syntony.evaluation.learning_curves import LearningCurve, read_learning_curve
from syntony.evaluation.statistics import mean_over_seeds
from syntony.report.components import (
    Plot,
    Section,
    Table,
    Trace,
    axis_range,
    background_line_trace,
    band_trace,
    escape_html,
    line_trace,
    log_axis,
    plotly_figure,
)
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.training.progress import ERROR_RATE_METRICS, format_duration, metric_label

MAX_CURVE_POINTS = 300
"""Most points of a curve."""
MIN_SEEDS_FOR_INTERVAL = 3
"""Seeds from which an interval is drawn: that of two fills the picture."""
PRIMARY_METRICS = ("eval/return_mean", "eval/bler")
"""What a run is judged by."""
MIN_PLOTTED_RATE = 1e-7
"""Error rates below are not drawn: nothing was counted there."""

METRIC_TITLES = {
    "eval/bler": "block error rate",
    "eval/gradient_cosine": "agreement of gradients",
    "eval/return_mean_greedy": "return, most likely actions",
    "eval/return_mean_per_agent": "return per agent",
    "eval/length_mean": "length of an episode",
    "train/kl_loss": "KL loss",
    "train/return": "return while learning",
}
"""What some numbers are called; others by their own names."""
METRIC_DESCRIPTIONS = {
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


def learning_sections(report_runs: Sequence[ReportRun]) -> list[Section]:
    """Returns a section for each task or channel, with all runs on it overlaid."""
    worlds = dict.fromkeys((s.is_link, s.task_or_channel) for s in report_runs)
    found = []
    for number, (is_link, world) in enumerate(worlds):
        there = [
            s for s in report_runs if (s.is_link, s.task_or_channel) == (is_link, world)
        ]
        names = _metric_names(there)
        plots = [_metric_plot(name, there) for name in names]
        parts: list[Any] = [plot for plot in plots if plot is not None]
        if is_link:
            parts = [*_link_loss_plots(there), *parts]
        notes = [] if parts else ["Nothing has been measured yet."]
        title = f"Learning: {world or 'no task'}"
        found.append(Section(f"learning-{number}", title, parts, notes))
    return found


def overview_section(report_runs: Sequence[ReportRun]) -> Section:
    """Returns all runs in a table."""
    heads = ["run", "system", "task or channel", "seeds", "steps", "score", "time"]
    rows = [_overview_row(subject) for subject in report_runs]
    caption = (
        "Scores are those of the last evaluation that all seeds of a run had: mean "
        "over seeds, and its 95 % interval (Student's)."
    )
    notes = [
        f"{s.label}: only what was measured is shown; {s.load_error}."
        for s in report_runs
        if s.run is None
    ]
    return Section("overview", "Runs", [Table("", heads, rows, caption)], notes)


def final_score_text(report_run: ReportRun) -> str:
    """Returns a run's score at its end, in words."""
    for name in PRIMARY_METRICS:
        curve = read_metric_curve(report_run, name)
        if curve is None:
            continue
        end = mean_over_seeds(curve.scores[:, -1:])
        form = ".2e" if name in ERROR_RATE_METRICS else ".3f"
        mean, low, high = (float(edge[0]) for edge in end)
        text = f"{metric_label(name)} {mean:{form}}"
        # Of few seeds an interval may reach below any rate.
        low = max(low, 0.0) if name in ERROR_RATE_METRICS else low
        return text if np.isnan(low) else f"{text} [{low:{form}}, {high:{form}}]"
    return "not measured yet"


def read_metric_curve(report_run: ReportRun, metric: str) -> LearningCurve | None:
    """Returns a run's curve; None where the seeds have no steps in common."""
    try:
        curve = read_learning_curve(report_run.path, metric)
    except (InvalidInputError, TypeError, ValueError):
        return None
    if not len(curve.steps):
        return None
    last = len(curve.steps) - 1
    kept = np.unique(
        np.linspace(0, last, min(MAX_CURVE_POINTS, last + 1)).round().astype(int)
    )
    return LearningCurve(curve.steps[kept], curve.scores[:, kept])


def _overview_row(report_run: ReportRun) -> list[str]:
    settings = report_run.settings
    seconds = report_run.wall_s
    return [
        report_run.label,
        report_run.system,
        report_run.task_or_channel,
        str(settings.get("seeds", "")),
        f"{report_run.last_step:,}",
        final_score_text(report_run),
        "" if seconds is None else format_duration(seconds),
    ]


def _metric_names(report_runs: Iterable[ReportRun]) -> list[str]:
    """Returns what was measured, scores first."""
    names = {n: None for s in report_runs for x in s.records for n in x if "/" in n}
    ends = ("_low", "_high")
    edges = {n for n in names if n.endswith(ends) and n[: n.rindex("_")] in names}
    kept = names.keys() - edges
    return sorted(
        kept, key=lambda n: (n not in PRIMARY_METRICS, n.startswith("train/"), n)
    )


def _metric_plot(metric: str, report_runs: Sequence[ReportRun]) -> Plot | None:
    """Returns the curves of one score, a colour for each run."""
    rate = metric in ERROR_RATE_METRICS
    traces: list[Trace] = []
    drawn: list[np.ndarray] = []
    for subject in report_runs:
        curve = read_metric_curve(subject, metric)
        if curve is None or not np.isfinite(curve.scores).any():
            continue
        shown = np.where(curve.scores > MIN_PLOTTED_RATE, curve.scores, np.nan)
        curve = LearningCurve(curve.steps, shown) if rate else curve
        traces += _curve_traces(curve, subject, log_scale=rate)
        drawn.append(curve.scores)
    if not traces:
        return None
    words = metric_display_name(metric)
    axis = log_axis(drawn) if rate else {"range": axis_range(drawn)}
    unit = "iterations" if report_runs[0].is_link else "environment steps"
    plot = plotly_figure(
        traces, xlabel=unit, ylabel=words, yaxis=axis, hovermode="x unified"
    )
    meaning = METRIC_DESCRIPTIONS.get(metric, "")
    alt = (
        f"Line chart of {words} over {unit}, for {_join_labels(report_runs)}. {meaning}"
    )
    return Plot(
        name=sanitize_filename(f"{report_runs[0].task_or_channel}-{words}"),
        title=words[0].upper() + words[1:],
        alt=alt,
        caption=f"{meaning} {_interval_note(report_runs)}".strip(),
        figure=plot,
        width="wide" if metric in PRIMARY_METRICS else "third",
    )


def metric_display_name(metric: str) -> str:
    """Returns what a number is called."""
    plain = metric.rpartition("/")[2].removesuffix("_mean").replace("_", " ")
    return METRIC_TITLES.get(metric) or plain


def _curve_traces(
    curve: LearningCurve, report_run: ReportRun, *, log_scale: bool = False
) -> list[Trace]:
    """Returns a mean, its interval where it says something, and every seed."""
    look, name = report_run.style, escape_html(report_run.label)
    middle = mean_over_seeds(curve.scores)
    traces = []
    if len(curve.scores) >= MIN_SEEDS_FOR_INTERVAL:
        low = np.maximum(middle.low, MIN_PLOTTED_RATE) if log_scale else middle.low
        there = np.isfinite(low) & np.isfinite(middle.high)
        edges = curve.steps[there], low[there], middle.high[there]
        traces.append(band_trace(*edges, look, name))
    if len(curve.scores) > 1:
        traces += [
            background_line_trace(curve.steps, seed, look, name)
            for seed in curve.scores
        ]
    seeds = len(curve.scores)
    said = f"{name} ({seeds} seed{'s' if seeds > 1 else ''})"
    return [*traces, line_trace(curve.steps, middle.mean, said, look, legendgroup=name)]


def _link_loss_plots(report_runs: Sequence[ReportRun]) -> list[Plot]:
    """Returns for each link what both of its halves learned by, in one figure."""
    found = []
    names = ("train/receiver_loss", "train/transmitter_loss")
    for subject in report_runs:
        curves = {name: read_metric_curve(subject, name) for name in names}
        known = {n: c for n, c in curves.items() if c is not None}
        traces = []
        for number, (name, curve) in enumerate(known.items()):
            mean = mean_over_seeds(curve.scores).mean
            mean = np.where(mean > MIN_PLOTTED_RATE, mean, np.nan)
            look = subject.style._replace(dash=("solid", "dash")[number])
            words = name.partition("/")[2].replace("_", " ")
            traces.append(line_trace(curve.steps, mean, words, look))
        if traces:
            found.append(_link_loss_plot(subject, traces))
    return found


def _link_loss_plot(report_run: ReportRun, traces: list[Trace]) -> Plot:
    warm = report_run.system_settings.get("schedule.receiver_warmup_iterations")
    alone = f" In the first {warm} iterations only the receiver learns." if warm else ""
    axis = log_axis([trace["y"] for trace in traces])
    tempered = report_run.system_settings.get("perturbation.temperature", 1.0)
    hot = ""
    if tempered != 1.0:
        hot = f" Its losses are those of logits divided by {tempered:g}."
    unit = "nats a block"
    if report_run.system_settings.get("perturbation.feedback_loss") == "odds":
        unit = "nats or odds a block"
        hot += " They are odds against the message, without a unit."
    return Plot(
        name=sanitize_filename(f"{report_run.label}-phases"),
        title=f"Both phases: {report_run.label}",
        alt=f"Line chart of both losses of {report_run.label} over iterations.",
        caption="What the receiver descends, and what comes back to the transmitter "
        f"while it explores; means over seeds.{hot}{alone}",
        figure=plotly_figure(traces, xlabel="iterations", ylabel=unit, yaxis=axis),
        width="wide",
    )


def _join_labels(report_runs: Sequence[ReportRun]) -> str:
    return ", ".join(subject.label for subject in report_runs)


def _interval_note(report_runs: Sequence[ReportRun]) -> str:
    counts = [len({line["seed"] for line in s.records}) for s in report_runs]
    if max(counts) >= MIN_SEEDS_FOR_INTERVAL:
        return "Mean over seeds with its 95 % interval; thin lines are seeds."
    return "Mean over seeds; thin lines are seeds." if max(counts) > 1 else "One seed."

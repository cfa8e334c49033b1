"""Learning sections of a report: an overview table, and a curve of every metric."""

from collections.abc import Iterable, Sequence

import numpy as np

from syntony.evaluation.learning_curves import LearningCurve
from syntony.evaluation.metric_info import metric_display_name, metric_meaning
from syntony.evaluation.statistics import MIN_SEEDS_FOR_INTERVAL
from syntony.evaluation.stored_run import StoredRun, read_metric_curve
from syntony.report.components import (
    Plot,
    Section,
    SectionPart,
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
from syntony.training.primary_metrics import ERROR_RATE_METRICS, PRIMARY_METRICS
from syntony.training.progress import format_duration, metric_label
from syntony.visualization.style import (
    MIN_PLOTTED_RATE,
    mask_low_rates,
    seeds_label,
)


def learning_sections(report_runs: Sequence[ReportRun]) -> list[Section]:
    """One section per task or channel, with the curves of all runs on it overlaid."""
    groups: dict[tuple[str, str], list[ReportRun]] = {}
    for report_run in report_runs:
        key = report_run.stored.step_unit, report_run.stored.task_or_channel
        groups.setdefault(key, []).append(report_run)
    sections = []
    for index, ((_, environment), group) in enumerate(groups.items()):
        plots = [_metric_plot(name, group) for name in _metric_names(group)]
        drawn = [plot for plot in plots if plot is not None]
        parts: list[SectionPart] = [*_link_loss_plots(group), *drawn]
        notes = [] if parts else ["Nothing has been measured yet."]
        title = f"Learning: {environment or 'no task'}"
        sections.append(
            Section(f"learning-{index}", title, parts, notes, collapsed=True)
        )
    return sections


def overview_section(report_runs: Sequence[ReportRun]) -> Section:
    """Section with a table of all runs."""
    header = ["run", "score", "system", "task or channel", "seeds", "steps", "time"]
    rows = [_overview_row(report_run) for report_run in report_runs]
    caption = (
        "Scores are those of the last evaluation that all seeds of a run had: mean "
        "over seeds, and its 95 % interval (Student's), of two seeds both."
    )
    notes = [
        f"{r.label}: only logged metrics are shown; {r.stored.load_error}."
        for r in report_runs
        if r.stored.run is None
    ]
    return Section("overview", "Runs", [Table("", header, rows, caption)], notes)


def final_score_text(stored_run: StoredRun) -> str:
    """Final value of a run's primary metric, with the interval over seeds."""
    for name in PRIMARY_METRICS:
        curve = read_metric_curve(stored_run, name)
        if curve is None:
            continue
        final = curve._replace(scores=curve.scores[:, -1:]).over_seeds()
        form = ".2e" if name in ERROR_RATE_METRICS else ".3f"
        mean, low, high = (float(bound[0]) for bound in final)
        text = f"{metric_label(name)} {mean:{form}}"
        if len(curve.scores) == 1:
            return text
        if len(curve.scores) < MIN_SEEDS_FOR_INTERVAL:
            seeds = ", ".join(f"{score:{form}}" for score in curve.scores[:, -1])
            return f"{text} ({seeds})"
        return f"{text} [{low:{form}}, {high:{form}}]"
    return "not measured yet"


def _overview_row(report_run: ReportRun) -> list[str]:
    stored = report_run.stored
    return [
        report_run.label,
        final_score_text(stored),
        stored.system,
        stored.task_or_channel,
        _num_seeds_text(stored.settings.get("seeds", "")),
        f"{stored.last_step:,}",
        "" if stored.wall_s is None else format_duration(stored.wall_s),
    ]


def _num_seeds_text(seeds: object) -> str:
    """Number of seeds; the settings hold it, or a list of the seeds."""
    return str(len(seeds) if isinstance(seeds, list) else seeds)


def _metric_names(report_runs: Iterable[ReportRun]) -> list[str]:
    """Keys of the logged metrics, primary ones first, without interval bounds."""
    rows = [row for report_run in report_runs for row in report_run.stored.records]
    names = {name for row in rows for name in row if "/" in name}
    suffixes = ("_low", "_high")
    bounds = {n for n in names if n.endswith(suffixes) and n[: n.rindex("_")] in names}
    return sorted(
        names - bounds,
        key=lambda n: (n not in PRIMARY_METRICS, n.startswith("train/"), n),
    )


def _metric_plot(metric: str, report_runs: Sequence[ReportRun]) -> Plot | None:
    """Plot of one metric, a color for each run; None if no run logged it."""
    is_rate = metric in ERROR_RATE_METRICS
    traces: list[Trace] = []
    scores: list[np.ndarray] = []
    for report_run in report_runs:
        curve = read_metric_curve(report_run.stored, metric)
        if curve is None or not np.isfinite(curve.scores).any():
            continue
        if is_rate:
            curve = curve._replace(scores=mask_low_rates(curve.scores))
        traces += _curve_traces(curve, report_run, log_scale=is_rate)
        scores.append(curve.scores)
    if not traces:
        return None
    title = metric_display_name(metric)
    axis = log_axis(scores) if is_rate else {"range": axis_range(scores)}
    first = report_runs[0].stored
    unit = first.step_unit
    labels = ", ".join(report_run.label for report_run in report_runs)
    description = metric_meaning(metric)
    return Plot(
        name=sanitize_filename(f"{first.task_or_channel}-{title}"),
        title=title[0].upper() + title[1:],
        alt=f"Line chart of {title} over {unit}, for {labels}. {description}",
        caption=f"{description} {_interval_note(report_runs)}".strip(),
        figure=plotly_figure(
            traces, xlabel=unit, ylabel=title, yaxis=axis, hovermode="x unified"
        ),
        width="wide" if metric in PRIMARY_METRICS else "third",
    )


def _curve_traces(
    curve: LearningCurve, report_run: ReportRun, *, log_scale: bool = False
) -> list[Trace]:
    """Traces of the interval of the mean, of each seed, and of the mean over seeds."""
    style, name = report_run.style, escape_html(report_run.label)
    num_seeds = len(curve.scores)
    over_seeds = curve.over_seeds()
    traces = []
    if num_seeds >= MIN_SEEDS_FOR_INTERVAL:
        low, high = over_seeds.low, over_seeds.high
        low = np.maximum(low, MIN_PLOTTED_RATE) if log_scale else low
        finite = np.isfinite(low) & np.isfinite(high)
        interval = curve.steps[finite], low[finite], high[finite]
        traces.append(band_trace(*interval, style, name))
    if num_seeds > 1:
        traces += [
            background_line_trace(curve.steps, scores, style, name)
            for scores in curve.scores
        ]
    label = seeds_label(name, num_seeds)
    mean = line_trace(curve.steps, over_seeds.mean, label, style, legendgroup=name)
    return [*traces, mean]


def _link_loss_plots(report_runs: Sequence[ReportRun]) -> list[Plot]:
    """One plot per run that logged losses of a receiver, as links do."""
    plots = []
    names = ("train/receiver_loss", "train/transmitter_loss")
    for report_run in report_runs:
        curves = {name: read_metric_curve(report_run.stored, name) for name in names}
        logged = {n: c for n, c in curves.items() if c is not None}
        # A team that transmits has no receiver's loss, and its transmitters' is a
        # difference of losses, which a logarithmic axis does not show.
        if names[0] not in logged:
            continue
        traces = []
        for index, (name, curve) in enumerate(logged.items()):
            mean = mask_low_rates(curve.over_seeds().mean)
            style = report_run.style._replace(dash=("solid", "dash")[index])
            label = name.partition("/")[2].replace("_", " ")
            traces.append(line_trace(curve.steps, mean, label, style))
        plots.append(_link_loss_plot(report_run, traces))
    return plots


def _link_loss_plot(report_run: ReportRun, traces: list[Trace]) -> Plot:
    settings = report_run.stored.system_settings
    steps, notes = report_run.stored.step_unit, ""
    temperature = settings.get("perturbation.temperature", 1.0)
    if temperature != 1.0:
        notes += f" Its losses are those of logits divided by {temperature:g}."
    unit = "nats per block"
    if settings.get("perturbation.feedback_loss") == "odds":
        unit = "nats or inverse odds per block"
        notes += " They are inverse odds of the message, without a unit."
    warmup = settings.get("schedule.receiver_warmup_iterations")
    if warmup:
        notes += f" In the first {warmup} {steps} only the receiver is trained."
    axis = log_axis([trace["y"] for trace in traces])
    return Plot(
        name=sanitize_filename(f"{report_run.label}-phases"),
        title=f"Losses: {report_run.label}",
        alt=f"Line chart of both losses of {report_run.label} over {steps}.",
        caption="Loss of the receiver, and loss that the transmitter receives for its "
        f"perturbed blocks; means over seeds.{notes}",
        figure=plotly_figure(traces, xlabel=steps, ylabel=unit, yaxis=axis),
        width="wide",
    )


def _interval_note(report_runs: Sequence[ReportRun]) -> str:
    counts = [len({row["seed"] for row in r.stored.records}) for r in report_runs]
    if max(counts) >= MIN_SEEDS_FOR_INTERVAL:
        return "Mean over seeds with its 95 % interval; thin lines are seeds."
    return "Mean over seeds; thin lines are seeds." if max(counts) > 1 else "One seed."

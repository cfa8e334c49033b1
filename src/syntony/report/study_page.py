"""Report on a study: best settings, slices of the settings, learning curves, cost.

It is made from the journal of the study and the metrics logs of its runs: no run is
loaded or evaluated.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from syntony.evaluation.learning_curves import (
    LearningCurve,
    align_curves,
    points_by_seed,
)
from syntony.evaluation.statistics import MIN_SEEDS_FOR_INTERVAL, mean_over_seeds
from syntony.report.components import (
    Plot,
    PlotlyFigure,
    PlotlyObject,
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
    run_styles,
)
from syntony.report.runs import sanitize_filename
from syntony.studies.scores import to_objective
from syntony.studies.status import (
    Budget,
    StudyStatus,
    read_study_status,
    stored_budgets,
)
from syntony.studies.study_folder import StudyFolder
from syntony.studies.trial import TrialRecord
from syntony.training import metrics_log
from syntony.training.primary_metrics import ERROR_RATE_METRICS
from syntony.training.progress import format_duration, metric_label
from syntony.training.run_folder import RunFolder
from syntony.visualization.style import BLUE

MAX_BEST = 5
"""Settings of a cell in the table of the best ones."""
MAX_CURVES = 8
"""Settings of a cell whose learning curves are drawn, the best ones."""
MAX_CURVE_POINTS = 200
MAX_CELLS = 500
"""Systems on tasks that are shown."""
MAX_VARIED = 50
"""Flags whose values are shown."""
MAX_POINTS = 2000
"""Settings in a plot over the values of a flag, the best ones."""
MAX_VALUE_TICKS = 5
"""Distinct values of a flag at most that are all ticks of its axis."""
MAX_FAILURES = 50
"""Failed trials in the table."""
FIXED_FLAGS = {"task", "channel", "preset"}
"""Flags that are those of a cell, not of a setting."""


class SettingResult(NamedTuple):
    """A setting and all of its trials."""

    flags: Mapping[str, str | int | float]
    """Flags that vary in its cell."""
    records: list[TrialRecord]

    @property
    def label(self) -> str:
        """The flags that vary, as text."""
        return ", ".join(f"{k}={v}" for k, v in self.flags.items()) or "as given"

    @property
    def metric(self) -> str:
        """Metric of the scores; empty before the first evaluation."""
        return next((x.metric for x in self.records if x.metric), "")

    @property
    def score(self) -> float | None:
        """Mean over the seeds of all trials that are done."""
        scored = [x for x in self.records if x.score is not None and x.state == "done"]
        count = sum(len(x.seeds) for x in scored)
        total = sum((x.score or 0.0) * len(x.seeds) for x in scored)
        return total / count if count else None

    @property
    def objective(self) -> float:
        """Score where more is better; of a setting without one, −∞."""
        score = self.score
        return -np.inf if score is None else to_objective(score, self.metric)


def study_sections(folder: StudyFolder) -> list[Section]:
    """Sections of the report on a study, in their order on the page.

    Raises:
        InvalidInputError: the folder has no study.
    """
    content, status = folder.read_study(), read_study_status(folder.path)
    found = stored_budgets(content)
    by_cell: dict[str, list[TrialRecord]] = {}
    for record in folder.records().values():
        by_cell.setdefault(record.cell, []).append(record)
    sections = [_overview(status, str(content.get("budget_note", "")))]
    for index, cell in enumerate(status.cells[:MAX_CELLS]):
        results = _settings(by_cell.get(cell.title, []))
        parts = [_best_table(results), *_slices(results)]
        if (curves := _curves_plot(cell.title, results, folder)) is not None:
            parts.append(curves)
        sections.append(Section(f"cell-{index}", cell.title, parts, []))
    sections.append(_cost(found, by_cell))
    if status.failures:
        sections.append(_failures(status.failures))
    return sections


def _overview(status: StudyStatus, note: str) -> Section:
    """Section with the trials of every cell."""
    header = ["system and task", "best", "done", "running", "failed", "stopped early"]
    rows = [
        [
            cell.title,
            _score_text(cell.best.score, cell.best.metric) if cell.best else "",
            f"{cell.done} of {cell.total}",
            *map(str, (cell.running, cell.failed, cell.pruned)),
        ]
        for cell in status.cells
    ]
    caption = "Scores are means over seeds of the last evaluation."
    notes = [f"{note[:1].upper()}{note[1:]}."] if note else []
    return Section("overview", "Study", [Table("", header, rows, caption)], notes)


def _settings(records: Sequence[TrialRecord]) -> list[SettingResult]:
    """The settings of a cell, the best first."""
    varied = _varied_flags(records)
    grouped: dict[str, list[TrialRecord]] = {}
    for record in records:
        key = f"{record.setting(0).id} {record.number}"
        grouped.setdefault(key, []).append(record)
    results = [
        SettingResult({n: group[0].flags.get(n, "") for n in varied}, group)
        for group in grouped.values()
    ]
    return sorted(results, key=lambda x: x.objective, reverse=True)


def _varied_flags(records: Sequence[TrialRecord]) -> list[str]:
    """Names of the flags that differ between trials, in alphabetical order."""
    values: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for record in records:
        counts.update([*record.flags])
        for name, value in record.flags.items():
            values.setdefault(name, set()).add(str(value))
    varied = [x for x in values if len(values[x]) > 1 or counts[x] < len(records)]
    return sorted({*varied} - FIXED_FLAGS)[:MAX_VARIED]


def _best_table(results: Sequence[SettingResult]) -> Table:
    names = [*results[0].flags] if results else []
    header = ["rank", "score", *names, "seeds", "trial"]
    rows = [
        [
            str(rank),
            _score_text(result.score, result.metric),
            *(str(value) for value in result.flags.values()),
            str(sum(len(x.seeds) for x in result.records)),
            result.records[0].name,
        ]
        for rank, result in enumerate(results[:MAX_BEST], 1)
    ]
    return Table("Best settings", header, rows)


def _slices(results: Sequence[SettingResult]) -> Iterator[Plot]:
    """Yields a plot of the scores over the values of each flag that varies."""
    scored = [x for x in results if x.score is not None][:MAX_POINTS]
    names = [*scored[0].flags] if scored else []
    labels = [escape_html(x.label) for x in scored]
    others = "; the other flags vary as well" if len(names) > 1 else ""
    for name in names:
        metric = scored[0].metric
        flags = [x.flags[name] for x in scored]
        values = [escape_html(x) if isinstance(x, str) else x for x in flags]
        trace: Trace = {
            "type": "scatter",
            "mode": "markers",
            "x": values,
            "y": [x.score for x in scored],
            "text": labels,
            "name": escape_html(name),
            "marker": {"color": BLUE, "size": 8, "opacity": 0.7},
        }
        yield Plot(
            name=sanitize_filename(f"slice-{name}"),
            title=name,
            alt=f"Scores of all settings over their values of {name}.",
            caption=f"Each point is a setting{others}.",
            figure=_slice_figure(trace, name, metric, values),
        )


def _slice_figure(
    trace: Trace, name: str, metric: str, values: Sequence[object]
) -> PlotlyFigure:
    numbers = [x for x in values if isinstance(x, int | float)]
    positive = len(numbers) == len(values) and min(numbers) > 0.0
    is_wide = positive and max(numbers) > 30.0 * min(numbers)
    xaxis: PlotlyObject = {"type": "log"} if is_wide else {}
    # Ticks at the values themselves: others would have prefixes, as in 100µ.
    if len(set(numbers)) <= MAX_VALUE_TICKS:
        xaxis |= {"tickvals": numbers, "ticktext": [f"{x:g}" for x in numbers]}
    else:
        xaxis |= {"exponentformat": "power"}
    if len(numbers) < len(values):
        xaxis = {"type": "category"}
    yaxis = {"type": "log"} if metric in ERROR_RATE_METRICS else {}
    return plotly_figure(
        [trace], xlabel=name, ylabel=metric_label(metric), xaxis=xaxis, yaxis=yaxis
    )


def _curves_plot(
    title: str, results: Sequence[SettingResult], folder: StudyFolder
) -> Plot | None:
    """Learning curves of the best settings; None before the first evaluation."""
    traces: list[Trace] = []
    scores: list[np.ndarray] = []
    drawn = [x for x in results if x.score is not None][:MAX_CURVES]
    styles = run_styles([result.label for result in drawn])
    for result, style in zip(drawn, styles, strict=True):
        curve, name = _read_curve(result, folder), escape_html(result.label)
        if curve is None:
            continue
        band = mean_over_seeds(curve.scores)
        if len(curve.scores) >= MIN_SEEDS_FOR_INTERVAL:
            traces.append(band_trace(curve.steps, band.low, band.high, style, name))
        elif len(curve.scores) > 1:
            traces += [
                background_line_trace(curve.steps, seed_scores, style, name)
                for seed_scores in curve.scores
            ]
        traces.append(line_trace(curve.steps, band.mean, name, style, legendgroup=name))
        scores += [curve.scores, band.mean]
    if not traces:
        return None
    metric = drawn[0].metric
    axis = {"range": axis_range(scores)}
    if metric in ERROR_RATE_METRICS:
        axis = log_axis(scores)
    return Plot(
        name=sanitize_filename(f"curves-{title}"),
        title="Learning curves",
        alt=f"Line chart of {metric} over steps, for the best settings of {title}.",
        caption="Means over seeds: of three or more with their 95 % intervals "
        "(Student's), of two with a thin line for each.",
        figure=plotly_figure(
            traces, xlabel="steps", ylabel=metric_label(metric), yaxis=axis
        ),
        width="wide",
    )


def _read_curve(result: SettingResult, folder: StudyFolder) -> LearningCurve | None:
    """Curves of all seeds of a setting, at few common steps; None without any."""
    points = []
    for record in result.records:
        if record.state != "done":
            continue
        path = RunFolder(folder.run_path(record.name)).metrics_path
        rows = metrics_log.read_rows(path)
        points += [(x, y) for x, y in points_by_seed(rows, result.metric).values()]
    if not points:
        return None
    curve = align_curves(points)
    if not len(curve.steps):
        return None
    last = len(curve.steps) - 1
    count = min(MAX_CURVE_POINTS, last + 1)
    kept = np.unique(np.linspace(0, last, count).round().astype(int))
    return LearningCurve(curve.steps[kept], curve.scores[:, kept])


def _cost(
    found: Sequence[Budget], by_cell: Mapping[str, Sequence[TrialRecord]]
) -> Section:
    """Section with the budget of each cell, and what it has used."""
    header = ["system and task", "settings", "seeds", "steps", "budget", "used", "time"]
    rows = []
    for x in found[:MAX_CELLS]:
        own = by_cell.get(x.title, [])
        used = sum(record.steps * len(record.seeds) for record in own)
        seconds = sum((record.seconds for record in own), 0.0)
        counts = (x.settings, x.seeds, x.steps, x.total_steps, used)
        rows.append([x.title, *(f"{n:,}" for n in counts), format_duration(seconds)])
    caption = (
        "Budget and used: steps of all seeds of all settings. Time: of all trials, one "
        "after the other, with those that failed."
    )
    return Section("cost", "Cost", [Table("", header, rows, caption)], [])


def _failures(failures: Sequence[TrialRecord]) -> Section:
    """Section with the trials that failed, and their errors."""
    rows = [[x.name, str(x.failures), x.error] for x in failures[:MAX_FAILURES]]
    return Section(
        "failures", "Failures", [Table("", ["trial", "starts", "error"], rows)], []
    )


def _score_text(score: float | None, metric: str) -> str:
    if score is None:
        return ""
    form = ".2e" if metric in ERROR_RATE_METRICS else ".4g"
    return f"{metric_label(metric)} {score:{form}}"

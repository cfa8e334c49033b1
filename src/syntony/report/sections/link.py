"""Section of a link: error rates, constellation, feedback, and gradient quality."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Complex, Float, Int, Key

from syntony.channels.channel import AnyChannel, transmit
from syntony.channels.feedback import Feedback
from syntony.channels.snr import finite_snr_db
from syntony.equations import limits
from syntony.equations.signal import pairs_to_complex
from syntony.equations.statistics import wilson_interval
from syntony.errors import InvalidInputError
from syntony.evaluation.bler import BATCH_SIZE
from syntony.evaluation.bler_curves import BLERCurves, LinkPoint, bler_curves
from syntony.evaluation.bler_table import (
    format_rate,
    rate_cells,
    reference_sources,
    snr_cell,
)
from syntony.evaluation.gradients import sample_gradients
from syntony.evaluation.link import LinkEvaluation, evaluate_link
from syntony.report.components import (
    LineStyle,
    Plot,
    Section,
    SectionPart,
    Table,
    Trace,
    band_trace,
    line_trace,
    log_axis,
    plotly_figure,
    step_histogram_trace,
)
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.report.sections.codebook import constellation_plot, distance_plots
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.system import (
    HasSnapshots,
    LearnsFromFeedback,
    StateT,
    TransmitsMessages,
)
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import seed_keys
from syntony.training.snapshots import read_history
from syntony.visualization.codebook_history import CodebookHistory, codebook_history
from syntony.visualization.run_figures import is_current, read_evaluation
from syntony.visualization.style import (
    MIN_PLOTTED_RATE,
    SCREEN_GRAY,
    SCREEN_LINE_COLORS,
    mask_low_rates,
)

MIN_ERRORS, MAX_BLOCKS = 200, 80_000
"""Block errors at which the measurement of a point ends, and blocks at which it ends in
any case: precise enough for a plot."""
SNR_OFFSETS_DB = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0)
"""SNRs of the BLER plot, relative to the SNR of the run's channel, in dB."""
NUM_GRADIENT_BATCHES = 60
"""Batches for the estimate of a gradient's signal-to-noise ratio."""
PER_MESSAGE_BLER = 0.05
"""Error rate near which messages are compared: lower ones need too many blocks."""
NUM_HISTOGRAM_LOSSES = 20_000
"""Losses in the histogram of the feedback link."""
MAX_MARKERS = 9
"""Markers of a line, so that they do not cover it."""
REFERENCE_MARKERS = ("square-open", "triangle-up-open", "diamond-open", "x")
BOUND_DASHES = ("solid", "longdash", "dashdot", "dot")


def link_section(index: int, report_run: ReportRun) -> Section:
    """Section of a run of a link: error rates of all seeds, the rest of the first seed.

    Args:
        index: index of the run in the report.
        report_run: the run, with its trained states.
    """
    run = report_run.stored.run
    assert run is not None
    link = run.system
    assert isinstance(link, TransmitsMessages)
    seed, channel = run.seeds[0], link.channel
    state = run.states[seed]
    notes: list[str] = []
    parts: list[SectionPart] = []
    evaluation = _evaluation(report_run, channel, notes)
    if evaluation is not None:
        if len(evaluation["points"]) > 1:
            parts.append(_bler_plot(report_run, evaluation))
        parts.append(_rates_table(evaluation, finite_snr_db(channel)))
        if finite_snr_db(channel) is not None and not channel.is_black_box:
            channel = channel.with_snr(_snr_db_at_per_message_bler(evaluation))
    snapshots = _read_snapshots(report_run, link, seed, notes)
    parts += _codebook_plots(report_run, link, state, snapshots)
    if not channel.is_black_box:
        parts.append(_per_message_plot(report_run, link, state, channel))
        if isinstance(link, LearnsFromFeedback) and link.feedback == Feedback():
            notes.append("Feedback is perfect: the transmitter receives every loss.")
        elif isinstance(link, LearnsFromFeedback):
            parts.append(_feedback_plot(report_run, link, state))
    parts.append(_summary_table(link, state, seed))
    if len(run.seeds) > 1:
        notes.append(
            f"Error rates are of all {len(run.seeds)} seeds, everything else is of "
            f"seed {seed}, the first."
        )
    return Section(f"link-{index}", f"Link: {report_run.label}", parts, notes)


def _evaluation(
    report_run: ReportRun, channel: AnyChannel, notes: list[str]
) -> LinkEvaluation | None:
    """Error rates around the SNR of the training; of a black box those that are stored.

    A black box may be a slow radio.
    """
    run = report_run.stored.run
    assert run is not None
    if not channel.is_black_box:
        snr_db = finite_snr_db(channel)
        offsets = () if snr_db is None else SNR_OFFSETS_DB
        return evaluate_link(
            run,
            None if snr_db is None else [snr_db + offset for offset in offsets],
            target_block_errors=MIN_ERRORS,
            max_blocks=MAX_BLOCKS,
        )
    notes.append(
        "The channel is a black box: a report transmits nothing over it. Error rates "
        "are those of the last syntony evaluate, if any."
    )
    try:
        evaluation = read_evaluation(report_run.stored)
    except InvalidInputError as error:
        notes.append(f"{error}.")
        return None
    if evaluation is not None and is_current(evaluation, run):
        return evaluation
    return None


def _codebook_plots(
    report_run: ReportRun,
    link: TransmitsMessages[StateT],
    state: StateT,
    snapshots: CodebookHistory | None,
) -> list[Plot]:
    name, fading = sanitize_filename(report_run.label), link.channel.has_unknown_gain
    codebook = np.asarray(pairs_to_complex(link.codewords(state)), complex)
    stored = report_run.stored
    constellation = constellation_plot(name, codebook, snapshots, stored.last_step)
    distances = distance_plots(name, codebook, snapshots, fading, stored.step_unit)
    return [constellation, *distances]


def _read_snapshots(
    report_run: ReportRun, link: TransmitsMessages, seed: int, notes: list[str]
) -> CodebookHistory | None:
    """Codebooks of the training, if the system stores them."""
    if not isinstance(link, HasSnapshots):
        return None
    try:
        history = read_history(RunFolder(report_run.stored.path), seed)
        if history is not None:
            return codebook_history(history, link.messages, link.uses)
    except InvalidInputError as error:
        notes.append(f"{error}.")
        return None
    notes.append("The run has no history of its codebook: its version had none.")
    return None


def _bler_plot(report_run: ReportRun, evaluation: LinkEvaluation) -> Plot:
    """Plot of block error rates over SNR: of the link, classical codes, and bounds."""
    curves = bler_curves(evaluation["points"], evaluation.get("analytic"))
    traces = _learned_bler_traces(curves, report_run.style)
    traces += _reference_traces(curves)
    # Bands have width 0. Bounds are added later: they may lie far below all rates.
    measured = [trace["y"] for trace in traces if trace["line"]["width"]]
    analytic = curves.analytic
    for index, (name, rates) in enumerate(analytic["bounds"].items()):
        style = LineStyle(SCREEN_GRAY, BOUND_DASHES[index % len(BOUND_DASHES)])
        bound = line_trace(analytic["snr_db"], mask_low_rates(rates), name, style)
        traces.append(bound)
    size = f"{evaluation['messages']} messages in {evaluation['uses']} channel uses"
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-bler",
        title="Block error rate",
        alt="Line chart of block error rates over SNR from "
        f"{curves.snr_db[0]:g} to {curves.snr_db[-1]:g} dB: the link, classical codes, "
        "and bounds.",
        caption=f"{evaluation['channel']}, {size}. Every seed with its 95 % interval "
        f"(Wilson), of {MIN_ERRORS} block errors or {MAX_BLOCKS:,} blocks. Gray with "
        "markers: classical codes. Gray: lower bounds of any code, unless the name "
        "says approximation.",
        figure=plotly_figure(
            traces,
            xlabel="Es/N0 (dB)",
            ylabel="block error rate",
            yaxis=log_axis(measured, 0.5),
            height=460,
        ),
        width="wide",
    )


def _reference_traces(curves: BLERCurves) -> Iterator[Trace]:
    """Yields the traces of classical codes: gray, each with its own marker."""
    for index, name in enumerate(curves.baselines):
        snr_db, rates = curves.baseline(name)
        gray, measured = LineStyle(SCREEN_GRAY, "dash"), curves.baselines[name]
        if (measured.low < measured.high).any():
            low = np.maximum(measured.low, MIN_PLOTTED_RATE)
            yield band_trace(curves.snr_db, low, measured.high, gray, name)
        marker = REFERENCE_MARKERS[index % len(REFERENCE_MARKERS)]
        yield line_trace(
            *(snr_db, mask_low_rates(rates), name, gray),
            mode="lines+markers",
            legendgroup=name,
            marker={"symbol": marker, "size": 8, "maxdisplayed": MAX_MARKERS},
        )


def _rates_table(evaluation: LinkEvaluation, snr_db: float | None) -> Table:
    """Table of block error rates: of the link, of references, and of a bound.

    Args:
        snr_db: SNR for which the bit error rate is told.
    """
    points = evaluation["points"]
    rows = [[snr_cell(point), *rate_cells(point).values()] for point in points]
    caption = "Means over all seeds."
    if "ml_bler" in points[0]:
        caption += (
            " By ML: maximum-likelihood detection of the learned codebook; / ML: how "
            "many times as often the learned receiver errs."
        )
    if sources := reference_sources(points):
        caption += f" References: {'; '.join(sources)}."
    caption += _bit_error_rate(points, snr_db)
    header = ["Es/N0 (dB)", *rate_cells(points[0])]
    return Table("Error rates", header, rows, caption)


def _bit_error_rate(points: list[LinkPoint], snr_db: float | None) -> str:
    """Sentence on the bit error rate at an SNR; empty where there is none."""
    at = [point["seeds"] for point in points if point["snr_db"] == snr_db]
    rates = [float(row["ber"]) for row in at[0] if "ber" in row] if at else []
    if not rates:
        return ""
    where = "" if snr_db is None else f" at {snr_db:g} dB"
    rate = format_rate(sum(rates) / len(rates))
    return (
        f" Bit error rate of the learned link{where}: {rate}, "
        "with the bit labels of model.npz, which are chosen so that codewords near "
        "each other differ in few bits."
    )


def _learned_bler_traces(curves: BLERCurves, style: LineStyle) -> list[Trace]:
    traces: list[Trace] = []
    for index, (rates, low, high) in enumerate(curves.seeds):
        low = np.maximum(low, MIN_PLOTTED_RATE)
        traces.append(band_trace(curves.snr_db, low, high, style, "learned"))
        first = {"showlegend": index == 0}
        markers = {"mode": "lines+markers", "legendgroup": "learned"} | first
        rates = mask_low_rates(rates)
        traces.append(line_trace(curves.snr_db, rates, "learned", style, **markers))
        if curves.ml_bler:
            name, dotted = "learned, ML detection", style._replace(dash="dot")
            rates = mask_low_rates(curves.ml_bler[index])
            group = {"legendgroup": name} | first
            traces.append(line_trace(curves.snr_db, rates, name, dotted, **group))
    return traces


def _snr_db_at_per_message_bler(evaluation: LinkEvaluation) -> float:
    """SNR of the point whose error rate is nearest to `PER_MESSAGE_BLER`."""
    distances = [
        abs(np.log(max(point["bler"], MIN_PLOTTED_RATE) / PER_MESSAGE_BLER))
        for point in evaluation["points"]
    ]
    snr_db = evaluation["points"][int(np.argmin(distances))]["snr_db"]
    assert snr_db is not None, "the channel has an SNR"
    return snr_db


def _per_message_plot(
    report_run: ReportRun,
    link: TransmitsMessages[StateT],
    state: StateT,
    channel: AnyChannel,
) -> Plot:
    """Plot of the error rate of each message, in ascending order."""
    run = report_run.stored.run
    assert run is not None
    blocks, errors = _count_message_errors(link, state, channel, run.seeds[0])
    rates, mean = errors / blocks, errors.sum() / blocks.sum()
    snr_db = finite_snr_db(channel)
    snr = "" if snr_db is None else f" at {snr_db:g} dB"
    ratio = f"{rates.max() / mean:.1f} times" if mean > 0 else "just"
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-messages",
        title="Error rate of each message",
        alt=f"Line chart of the error rate of each message{snr}, lowest first; the "
        f"mean is {mean:.3f}, the highest {rates.max():.3f}.",
        caption=f"Error rates of all messages{snr}, lowest first, with 95 % "
        f"intervals (Wilson); about {int(blocks.mean())} blocks each. Dashed: the "
        f"mean. The highest error rate is {ratio} as high as the mean.",
        figure=plotly_figure(
            _sorted_bler_traces(blocks, errors),
            xlabel="messages, by their error rate",
            ylabel="error rate",
        ),
        width="half",
    )


def _sorted_bler_traces(
    num_blocks: Int[np.ndarray, " M"], num_errors: Int[np.ndarray, " M"]
) -> list[Trace]:
    """Traces of error rates in ascending order, their intervals, and their mean."""
    rates, mean = num_errors / num_blocks, num_errors.sum() / num_blocks.sum()
    order = np.argsort(rates, kind="stable")
    intervals = [
        wilson_interval(int(errors), int(blocks))
        for errors, blocks in zip(num_errors, num_blocks, strict=True)
    ]
    low, high = np.array(intervals)[order].T
    rank = np.arange(1, len(rates) + 1)
    style, text = (
        LineStyle(SCREEN_LINE_COLORS[0], "solid"),
        [f"message {m}" for m in order],
    )
    hidden = {"showlegend": False}
    return [
        band_trace(rank, low, high, style, "interval"),
        line_trace(rank, rates[order], "message", style, text=text, **hidden),
        line_trace(
            rank[[0, -1]],
            [mean, mean],
            "mean",
            LineStyle(SCREEN_GRAY, "dash"),
            **hidden,
        ),
    ]


def _count_message_errors(
    link: TransmitsMessages[StateT], state: StateT, channel: AnyChannel, seed: int
) -> tuple[Int[np.ndarray, " M"], Int[np.ndarray, " M"]]:
    """Blocks sent and block errors, by message."""
    num_batches = max(1, min(MAX_BLOCKS, 400 * link.messages) // BATCH_SIZE)
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 1)
    keys = jax.random.split(key, num_batches)
    count = jax.jit(_scan_message_errors)
    blocks, errors = np.asarray(count(link, state, channel, keys))
    return np.maximum(blocks, 1), errors


def _scan_message_errors(
    link: TransmitsMessages[StateT],
    state: StateT,
    channel: AnyChannel,
    batch_keys: Key[Array, " batches"],
) -> Int[Array, "2 M"]:
    codebook = link.codewords(state)

    def count_batch(
        counts: Int[Array, "2 M"], key: Key[Array, ""]
    ) -> tuple[Int[Array, "2 M"], None]:
        message_key, channel_key = jax.random.split(key)
        message = sample_messages(message_key, BATCH_SIZE, link.messages)
        sent = codebook[message]
        _, y = transmit(channel, channel_key, link.channel_state(state), sent)
        logits = link.message_logits(state, y)
        is_error = jnp.argmax(logits, axis=-1) != message
        added = jnp.stack([jnp.ones_like(message), is_error.astype(int)])
        return counts.at[:, message].add(added), None

    zeros = jnp.zeros((2, link.messages), int)
    return jax.lax.scan(count_batch, zeros, batch_keys)[0]


def _feedback_plot(
    report_run: ReportRun, link: LearnsFromFeedback[StateT], state: StateT
) -> Plot:
    """Histogram of the losses that the receiver sends and the transmitter receives."""
    run = report_run.stored.run
    assert run is not None
    sent, received, arrived = _sample_losses(link, state, run.seeds[0])
    received = received[arrived]
    mean_received = received.mean() if arrived.any() else float("nan")
    feedback = link.feedback.id
    traces = _loss_histogram_traces(sent, received)
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-feedback",
        title="Feedback link",
        alt="Histogram of the receiver's losses as sent and as received by the "
        f"transmitter, over the feedback link {feedback}.",
        caption=f"Feedback link: {feedback}. Losses of {len(sent):,} perturbed blocks "
        f"of the trained link; mean {sent.mean():.4f} as sent, {mean_received:.4f} as "
        f"received; {1.0 - arrived.mean():.0%} were erased, and losses are delayed by "
        f"{link.feedback.delay_iterations} iterations.",
        figure=plotly_figure(
            traces,
            xlabel=link.feedback_unit,
            ylabel="share of blocks",
            yaxis=log_axis([trace["y"] for trace in traces]),
        ),
        width="half",
    )


def _loss_histogram_traces(
    sent: Float[np.ndarray, " B"], received: Float[np.ndarray, " R"]
) -> list[Trace]:
    """Outlines of both histograms, on bins up to the 99.9 % quantile of the losses."""
    high = float(np.quantile(np.concatenate([sent, received]), 0.999))
    low = float(min(0.0, sent.min(), received.min(initial=0.0)))
    edges = np.linspace(low, max(high, low + 1e-6), 60)
    traces = []
    for label, losses, color in (
        ("as sent", sent, SCREEN_LINE_COLORS[0]),
        ("as received", received, SCREEN_LINE_COLORS[1]),
    ):
        shares = np.histogram(losses, edges)[0] / len(sent)
        heights = np.where(shares > 0, shares, np.nan)
        style = LineStyle(color, "solid")
        traces.append(step_histogram_trace(edges, heights, label, style))
    return traces


def _sample_losses(
    link: LearnsFromFeedback[StateT], state: StateT, seed: int
) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"], Bool[np.ndarray, " B"]]:
    """Losses of perturbed blocks as sent and as received, and whether they arrived."""
    sample_batch = jax.jit(link.sample_feedback)
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 2)
    batch_size = jax.eval_shape(sample_batch, state, key).sent.size
    keys = jax.random.split(key, max(1, NUM_HISTOGRAM_LOSSES // batch_size))
    batches = [jax.device_get(sample_batch(state, key)) for key in keys]
    sent, received, arrived = map(np.concatenate, zip(*batches, strict=True))
    return sent, received, arrived


def _summary_table(link: TransmitsMessages[StateT], state: StateT, seed: int) -> Table:
    """Table of single numbers of the trained link."""
    codebook: Complex[np.ndarray, "M C"] = np.asarray(
        pairs_to_complex(link.codewords(state)), complex
    )
    low, high = limits.energy_range(codebook)
    rows, caption = [], ""
    if isinstance(link, LearnsFromFeedback):
        rows += [["gradient", link.gradient], ["feedback link", link.feedback.id]]
    rows += [
        ["minimum distance of two codewords", f"{limits.min_distance(codebook):.3f}"],
        ["energy per use, of single codewords", f"{low:.2f} to {high:.2f}"],
    ]
    if isinstance(link, LearnsFromFeedback) and not link.channel.is_black_box:
        ratio = _gradient_snr_text(link, state, seed)
        rows.append(["signal-to-noise ratio of a gradient, at the end", ratio])
        caption = (
            "Signal-to-noise ratio: squared norm of the mean of a batch's gradient in "
            "the codebook, over the mean squared norm of its deviation; of "
            f"{NUM_GRADIENT_BATCHES} batches."
        )
    return Table("Summary", ["", ""], rows, caption, width="half")


def _gradient_snr_text(
    link: LearnsFromFeedback[StateT], state: StateT, seed: int
) -> str:
    """Signal-to-noise ratio of a batch's gradient in dB, if it can be estimated."""
    n = NUM_GRADIENT_BATCHES
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 3)
    gradients = sample_gradients(link, state, key, n)[0].astype(np.float64)
    total, squares = gradients.sum(axis=0), float(np.sum(gradients**2))
    # Inner products of different batches: their noise is independent.
    signal = (float(total @ total) - squares) / (n * (n - 1))
    noise = squares / n - signal
    if signal <= 0.0 or noise <= 0.0:
        return f"too small to estimate from {n} batches"
    return f"{10 * np.log10(signal / noise):.1f} dB"

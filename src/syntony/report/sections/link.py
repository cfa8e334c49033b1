"""A link in a report: how often it errs, what it sends, and what is fed back."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from syntony.equations import limits
from syntony.equations.signal import pairs_to_complex, perturb
from syntony.equations.statistics import wilson_interval
from syntony.errors import InvalidInputError
from syntony.evaluation.bler import BATCH_SIZE
from syntony.evaluation.gradients import sample_gradients
from syntony.evaluation.link import evaluate_link
from syntony.report.components import (
    COLORS,
    GRAY,
    LineStyle,
    Plot,
    Section,
    Table,
    Trace,
    band_trace,
    line_trace,
    log_axis,
    plotly_figure,
)
from syntony.report.runs import ReportRun, sanitize_filename
from syntony.report.sections.codebook import constellation_plot, distance_plots
from syntony.systems.link.gradient_estimators import (
    sample_messages,
    sample_perturbations,
)
from syntony.systems.link.link import Link
from syntony.training import codebook_history
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import seed_keys

MIN_ERRORS, MAX_BLOCKS = 200, 80_000
"""Wrong blocks that make a point sure enough for a picture, and blocks to stop at."""
SNR_OFFSETS_DB = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0)
"""SNRs of the picture, from that of the training."""
MIN_PLOTTED_RATE = 1e-7
NUM_GRADIENT_BATCHES = 60
"""Batches of which a gradient's noise is told."""
PER_MESSAGE_BLER = 0.05
"""The error rate at which messages are compared: rarer ones take too long."""
NUM_HISTOGRAM_LOSSES = 20_000
"""Losses in a histogram."""


def link_section(index: int, report_run: ReportRun) -> Section:
    """Returns what is to be seen of a trained link: of its first seed, rates of all."""
    assert report_run.run is not None
    learner = report_run.run.system
    assert isinstance(learner, Link)
    seed = report_run.run.config.seed
    state = report_run.run.states[seed]
    notes: list[str] = []
    common_db = learner.channel.snr_db
    parts: list[Any] = []
    if learner.channel.is_black_box:
        notes.append("The channel is a black box: a report sends nothing through it.")
    elif common_db is not None:
        snrs_db = [float(common_db) + step for step in SNR_OFFSETS_DB]
        found = evaluate_link(
            report_run.run,
            snrs_db,
            target_block_errors=MIN_ERRORS,
            max_blocks=MAX_BLOCKS,
        )
        parts.append(_bler_plot(report_run, found))
        common_db = _snr_db_at_per_message_bler(found)
    past = _read_snapshots(report_run, seed, notes)
    parts += _codebook_plots(report_run, learner, state, past)
    if not learner.channel.is_black_box:
        at = (
            learner.channel
            if common_db is None
            else learner.channel.with_snr(common_db)
        )
        parts.append(_per_message_plot(report_run, learner, state, at))
        parts.append(_feedback_plot(report_run, learner, state))
    parts.append(_summary_table(learner, state, seed))
    if report_run.run.config.seeds > 1:
        notes.append(
            f"Error rates are of all {report_run.run.config.seeds} seeds, all else of seed "
            f"{seed}, the first."
        )
    return Section(f"run-{index}", f"Link: {report_run.label}", parts, notes)


def _codebook_plots(
    report_run: ReportRun,
    link: Link,
    state: Any,
    snapshots: codebook_history.CodebookHistory | None,
) -> list[Plot]:
    name, fading = sanitize_filename(report_run.label), link.channel.has_unknown_gain
    codebook = np.asarray(pairs_to_complex(link.codebook(state.transmitter)), complex)
    symbols = constellation_plot(name, codebook, snapshots, report_run.last_step)
    return [symbols, *distance_plots(name, codebook, snapshots, fading)]


def _read_snapshots(
    report_run: ReportRun, seed: int, notes: list[str]
) -> codebook_history.CodebookHistory | None:
    try:
        past = codebook_history.read_history(RunFolder(report_run.path), seed)
    except InvalidInputError as failure:
        notes.append(f"{failure}.")
        return None
    if past is None:
        notes.append("How its codebook moved is not known: an older version made it.")
    return past


def _bler_plot(report_run: ReportRun, evaluation: Mapping[str, Any]) -> Plot:
    """Returns block error rates over SNR, beside other codes and bounds."""
    points = evaluation["points"]
    snr_db = [point["snr_db"] for point in points]
    traces = _learned_bler_traces(snr_db, points, report_run.style)
    for number, other in enumerate(points[0]["others"]):
        rates = [point["others"][other]["bler"] for point in points]
        look = LineStyle(COLORS[(number + 1) % len(COLORS)], "dash")
        traces.append(line_trace(snr_db, _mask_low_rates(rates), other, look))
    measured = [trace["y"] for trace in traces if trace["line"]["width"]]
    dashes = ("solid", "longdash", "dashdot", "dot")
    for number, bound in enumerate(points[0]["bounds"]):
        rates = [point["bounds"][bound] for point in points]
        look = LineStyle(GRAY, dashes[number % len(dashes)])
        traces.append(line_trace(snr_db, _mask_low_rates(rates), bound, look))
    size = f"{evaluation['messages']} messages in {evaluation['uses']} channel uses"
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-bler",
        title="Block error rate",
        alt=f"Line chart of block error rates over SNR from {snr_db[0]:g} to "
        f"{snr_db[-1]:g} dB: the link, codes that do not learn, and bounds.",
        caption=f"{evaluation['channel']}, {size}. Every seed with its 95 % interval "
        f"(Wilson), of {MIN_ERRORS} wrong blocks or {MAX_BLOCKS:,} blocks. Grey: what no code can "
        "be below, unless it is called an approximation.",
        figure=plotly_figure(
            traces,
            xlabel="SNR, dB a channel use",
            ylabel="block error rate",
            yaxis=log_axis(measured, 0.5),
            height=460,
        ),
        width="wide",
    )


def _learned_bler_traces(
    snr_db: Sequence[float], points: Sequence[Mapping[str, Any]], style: LineStyle
) -> list[Trace]:
    traces: list[Trace] = []
    for number in range(len(points[0]["seeds"])):
        lines = [point["seeds"][number] for point in points]
        low, high = ([x[f"bler_{end}"] for x in lines] for end in ("low", "high"))
        traces.append(
            band_trace(
                snr_db, np.maximum(low, MIN_PLOTTED_RATE), high, style, "learned"
            )
        )
        dots = {"mode": "lines+markers", "showlegend": number == 0}
        rates = _mask_low_rates([x["bler"] for x in lines])
        traces.append(
            line_trace(snr_db, rates, "learned", style, legendgroup="learned", **dots)
        )
        if "ml_bler" in lines[0]:
            rates = _mask_low_rates([x["ml_bler"] for x in lines])
            said, dotted = "learned, best decoder", style._replace(dash="dot")
            group = {"legendgroup": said, "showlegend": number == 0}
            traces.append(line_trace(snr_db, rates, said, dotted, **group))
    return traces


def _mask_low_rates(rates: Sequence[float]) -> np.ndarray:
    found = np.asarray(rates, float)
    return np.where(found > MIN_PLOTTED_RATE, found, np.nan)


def _snr_db_at_per_message_bler(evaluation: Mapping[str, Any]) -> float:
    far = [
        abs(np.log(max(p["bler"], MIN_PLOTTED_RATE) / PER_MESSAGE_BLER))
        for p in evaluation["points"]
    ]
    return float(evaluation["points"][int(np.argmin(far))]["snr_db"])


def _per_message_plot(
    report_run: ReportRun, link: Link, state: Any, channel: Any
) -> Plot:
    """Returns how often each message is mistaken, and whether that is chance."""
    assert report_run.run is not None
    sent, wrong = _count_message_errors(
        link, state, channel, report_run.run.config.seed
    )
    rate, mean = wrong / sent, wrong.sum() / sent.sum()
    where = "" if channel.snr_db is None else f" at {float(channel.snr_db):g} dB"
    worst = f"{rate.max() / mean:.1f} times" if mean > 0 else "just"
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-messages",
        title="Errors of each message",
        alt=f"Line chart of the error rate of each message{where}, lowest first; the "
        f"mean is {mean:.3f}, the highest {rate.max():.3f}.",
        caption=f"Error rates of all messages{where}, lowest first, with 95 % "
        f"intervals (Wilson); about {int(sent.mean())} blocks each. Dashed: the mean. "
        f"The worst message is mistaken {worst} as often as the mean.",
        figure=plotly_figure(
            _sorted_bler_traces(sent, wrong),
            xlabel="messages, by their error rate",
            ylabel="error rate",
        ),
        width="half",
    )


def _sorted_bler_traces(num_blocks: np.ndarray, num_errors: np.ndarray) -> list[Trace]:
    """Returns error rates in their order, with intervals, beside their mean."""
    rate, mean = num_errors / num_blocks, num_errors.sum() / num_blocks.sum()
    order = np.argsort(rate, kind="stable")
    edges = [
        wilson_interval(int(w), int(n))
        for w, n in zip(num_errors, num_blocks, strict=True)
    ]
    low, high = np.array(edges)[order].T
    rank = np.arange(1, len(rate) + 1)
    look = LineStyle(COLORS[0], "solid")
    labels = [f"message {m}" for m in order]
    return [
        band_trace(rank, low, high, look, "interval"),
        line_trace(rank, rate[order], "message", look, text=labels, showlegend=False),
        line_trace(
            rank[[0, -1]],
            [mean, mean],
            "mean",
            LineStyle(GRAY, "dash"),
            showlegend=False,
        ),
    ]


def _count_message_errors(
    link: Link, state: Any, channel: Any, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each message how often it was sent, and how often mistaken."""
    batches = max(1, min(MAX_BLOCKS, 400 * link.messages) // BATCH_SIZE)
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 1)
    every = jax.random.split(key, batches)
    sent, wrong = np.asarray(jax.jit(_scan_message_errors)(link, state, channel, every))
    return np.maximum(sent, 1), wrong


def _scan_message_errors(
    link: Link, state: Any, channel: Any, batch_keys: jax.Array
) -> jax.Array:
    codebook = link.codebook(state.transmitter)

    def batch(sums: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        message_key, channel_key = jax.random.split(key)
        message = sample_messages(message_key, BATCH_SIZE, link.messages)
        told = jnp.argmax(
            state.receiver(channel(channel_key, codebook[message])), axis=-1
        )
        row = jnp.stack([jnp.ones_like(message), (told != message).astype(int)])
        return sums.at[:, message].add(row), None

    return jax.lax.scan(batch, jnp.zeros((2, link.messages), int), batch_keys)[0]


def _feedback_plot(report_run: ReportRun, link: Link, state: Any) -> Plot:
    """Returns losses as the receiver sent them, and as they came back."""
    assert report_run.run is not None
    sent, heard, arrived = _sample_losses(link, state, report_run.run.config.seed)
    most = float(np.quantile(np.concatenate([sent, heard[arrived]]), 0.999))
    least = float(min(0.0, sent.min(), heard[arrived].min(initial=0.0)))
    edges = np.linspace(least, max(most, least + 1e-6), 60)
    traces = []
    for said, losses, colour in (
        ("as sent", sent, COLORS[0]),
        ("as received", heard[arrived], COLORS[1]),
    ):
        share = np.histogram(losses, edges)[0] / len(sent)
        shown = np.where(share > 0, share, np.nan)
        middle = (edges[1:] + edges[:-1]) / 2
        look = LineStyle(colour, "solid")
        shape = {"line": {"color": colour, "shape": "hvh", "width": 2}}
        traces.append(line_trace(middle, shown, said, look) | shape)
    lost = 1.0 - arrived.mean()
    late = link.feedback.delay_iterations
    way = link.feedback.id
    return Plot(
        name=f"{sanitize_filename(report_run.label)}-feedback",
        title="What is fed back",
        alt="Histogram of the receiver's losses as sent and as received by the "
        f"transmitter, over the feedback {way}.",
        caption=f"Feedback: {way}. Losses of {len(sent):,} blocks that the trained "
        f"transmitter explored with; mean {sent.mean():.4f} as sent, "
        f"{heard[arrived].mean() if arrived.any() else float('nan'):.4f} as received; "
        f"{lost:.0%} were lost, and losses come {late} iterations late.",
        figure=plotly_figure(
            traces,
            xlabel="odds against"
            if link.perturbation.feedback_loss == "odds"
            else "nats",
            ylabel="share of blocks",
            yaxis=log_axis([trace["y"] for trace in traces]),
        ),
        width="half",
    )


def _sample_losses(
    link: Link, state: Any, seed: int
) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"], np.ndarray]:
    @jax.jit
    def batch(key: jax.Array) -> Any:
        keys_ = jax.random.split(key, 4)
        codebook = link.codebook(state.transmitter)
        size = link.schedule.batch_size
        variance = link.perturbation_variance(state)
        message, noise = sample_perturbations(
            link.perturbation, codebook, variance, (keys_[0], keys_[1]), batch_size=size
        )
        sent = perturb(codebook[message], noise, variance)
        loss = link.block_losses(state.receiver, keys_[2], sent, message)
        return loss, *link.feedback(keys_[3], loss)

    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 2)
    count = max(1, NUM_HISTOGRAM_LOSSES // link.schedule.batch_size)
    parts = [jax.device_get(batch(k)) for k in jax.random.split(key, count)]
    sent, heard, arrived = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sent, heard, arrived


def _summary_table(link: Link, state: Any, seed: int) -> Table:
    """Returns numbers of the trained link that need no picture."""
    codebook: Complex[np.ndarray, "M C"] = np.asarray(
        pairs_to_complex(link.codebook(state.transmitter)), complex
    )
    low, high = limits.energy_range(codebook)
    rows = [
        ["gradient", link.gradient],
        ["feedback", link.feedback.id],
        ["smallest distance of two codewords", f"{limits.min_distance(codebook):.3f}"],
        ["energy a use, of single codewords", f"{low:.2f} to {high:.2f}"],
    ]
    if not link.channel.is_black_box:
        ratio = _gradient_snr_text(link, state, seed)
        rows.append(["signal to noise of a gradient, at the end", ratio])
    caption = (
        "Signal to noise: the squared length of the mean of a batch's gradients in the "
        f"codebook, over the mean square of what is left; of {NUM_GRADIENT_BATCHES} batches."
    )
    return Table("In numbers", ["", ""], rows, caption, width="half")


def _gradient_snr_text(link: Link, state: Any, seed: int) -> str:
    """Returns the gradient's signal-to-noise ratio in dB, where it can be told."""
    key = jax.random.fold_in(seed_keys(seed).post_training_eval, 3)
    drawn = sample_gradients(link, state, key, NUM_GRADIENT_BATCHES)[0].astype(
        np.float64
    )
    total, squares = drawn.sum(axis=0), float(np.sum(drawn**2))
    # Products of different draws: no noise adds to them.
    signal = (float(total @ total) - squares) / (
        NUM_GRADIENT_BATCHES * (NUM_GRADIENT_BATCHES - 1)
    )
    noise = squares / NUM_GRADIENT_BATCHES - signal
    if signal <= 0.0 or noise <= 0.0:
        return f"below what {NUM_GRADIENT_BATCHES} batches can tell"
    return f"{10 * np.log10(signal / noise):.1f} dB"

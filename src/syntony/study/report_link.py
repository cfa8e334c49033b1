"""A link in a report: how often it errs, what it sends, and what is fed back."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float

from syntony.equations import limits
from syntony.equations.signal import from_pairs, perturb
from syntony.equations.statistics import wilson_interval
from syntony.errors import BadInput
from syntony.run import history
from syntony.run.folder import Folder
from syntony.run.lanes import keys
from syntony.study.bler import BATCH
from syntony.study.estimators import draw_gradients
from syntony.study.link import evaluate_link
from syntony.study.report_codebook import constellation, distances
from syntony.study.report_parts import (
    COLOURS,
    GREY,
    Plot,
    Rows,
    Section,
    Style,
    Trace,
    band,
    decades,
    figure,
    line,
)
from syntony.study.report_runs import Subject, file_name
from syntony.systems.estimators import draw, draw_messages
from syntony.systems.link import Link

WANTED, CAP = 200, 80_000
"""Wrong blocks that make a point sure enough for a picture, and blocks to stop at."""
AROUND_DB = (-8.0, -6.0, -4.0, -2.0, 0.0, 2.0)
"""SNRs of the picture, from that of the training."""
SEEN = 1e-7
DRAWS = 60
"""Batches of which a gradient's noise is told."""
OFTEN = 0.05
"""The error rate at which messages are compared: rarer ones take too long."""
LOSSES = 20_000
"""Losses in a histogram."""


def link(number: int, subject: Subject) -> Section:
    """Returns what is to be seen of a trained link: of its first seed, rates of all."""
    assert subject.run is not None
    learner = subject.run.system
    assert isinstance(learner, Link)
    seed = subject.run.plan.seed
    state = subject.run.states[seed]
    notes: list[str] = []
    common_db = learner.channel.snr_db
    parts: list[Any] = []
    if learner.channel.opaque:
        notes.append("The channel is a black box: a report sends nothing through it.")
    elif common_db is not None:
        snrs_db = [float(common_db) + step for step in AROUND_DB]
        found = evaluate_link(subject.run, snrs_db, wanted=WANTED, cap=CAP)
        parts.append(_error_rates(subject, found))
        common_db = _where_errors_are_common(found)
    past = _history(subject, seed, notes)
    parts += _codebook(subject, learner, state, past)
    if not learner.channel.opaque:
        at = learner.channel if common_db is None else learner.channel.at(common_db)
        parts.append(_messages(subject, learner, state, at))
        parts.append(_feedback(subject, learner, state))
    parts.append(_facts(learner, state, seed))
    if subject.run.plan.seeds > 1:
        notes.append(
            f"Error rates are of all {subject.run.plan.seeds} seeds, all else of seed "
            f"{seed}, the first."
        )
    return Section(f"run-{number}", f"Link: {subject.label}", parts, notes)


def _codebook(
    subject: Subject, learner: Link, state: Any, past: history.History | None
) -> list[Plot]:
    name, fading = file_name(subject.label), learner.channel.fading
    codebook = np.asarray(from_pairs(learner.codebook(state.transmitter)), complex)
    symbols = constellation(name, codebook, past, subject.step)
    return [symbols, *distances(name, codebook, past, fading)]


def _history(subject: Subject, seed: int, notes: list[str]) -> history.History | None:
    try:
        past = history.read(Folder(subject.path), seed)
    except BadInput as failure:
        notes.append(f"{failure}.")
        return None
    if past is None:
        notes.append("How its codebook moved is not known: an older version made it.")
    return past


def _error_rates(subject: Subject, found: Mapping[str, Any]) -> Plot:
    """Returns block error rates over SNR, beside other codes and bounds."""
    points = found["points"]
    snr_db = [point["snr_db"] for point in points]
    traces = _learned(snr_db, points, subject.look)
    for number, other in enumerate(points[0]["others"]):
        rates = [point["others"][other]["bler"] for point in points]
        look = Style(COLOURS[(number + 1) % len(COLOURS)], "dash")
        traces.append(line(snr_db, _seen(rates), other, look))
    measured = [trace["y"] for trace in traces if trace["line"]["width"]]
    dashes = ("solid", "longdash", "dashdot", "dot")
    for number, bound in enumerate(points[0]["bounds"]):
        rates = [point["bounds"][bound] for point in points]
        look = Style(GREY, dashes[number % len(dashes)])
        traces.append(line(snr_db, _seen(rates), bound, look))
    size = f"{found['messages']} messages in {found['uses']} channel uses"
    return Plot(
        name=f"{file_name(subject.label)}-bler",
        title="Block error rate",
        alt=f"Line chart of block error rates over SNR from {snr_db[0]:g} to "
        f"{snr_db[-1]:g} dB: the link, codes that do not learn, and bounds.",
        caption=f"{found['channel']}, {size}. Every seed with its 95 % interval "
        f"(Wilson), of {WANTED} wrong blocks or {CAP:,} blocks. Grey: what no code can "
        "be below, unless it is called an approximation.",
        figure=figure(
            traces,
            x="SNR, dB a channel use",
            y="block error rate",
            yaxis=decades(measured, 0.5),
            height=460,
        ),
        width="wide",
    )


def _learned(
    snr_db: Sequence[float], points: Sequence[Mapping[str, Any]], look: Style
) -> list[Trace]:
    traces: list[Trace] = []
    for number in range(len(points[0]["seeds"])):
        lines = [point["seeds"][number] for point in points]
        low, high = ([x[f"bler_{end}"] for x in lines] for end in ("low", "high"))
        traces.append(band(snr_db, np.maximum(low, SEEN), high, look, "learned"))
        dots = {"mode": "lines+markers", "showlegend": number == 0}
        rates = _seen([x["bler"] for x in lines])
        traces.append(
            line(snr_db, rates, "learned", look, legendgroup="learned", **dots)
        )
        if "ml_bler" in lines[0]:
            rates = _seen([x["ml_bler"] for x in lines])
            said, dotted = "learned, best decoder", look._replace(dash="dot")
            group = {"legendgroup": said, "showlegend": number == 0}
            traces.append(line(snr_db, rates, said, dotted, **group))
    return traces


def _seen(rates: Sequence[float]) -> np.ndarray:
    found = np.asarray(rates, float)
    return np.where(found > SEEN, found, np.nan)


def _where_errors_are_common(found: Mapping[str, Any]) -> float:
    far = [abs(np.log(max(p["bler"], SEEN) / OFTEN)) for p in found["points"]]
    return float(found["points"][int(np.argmin(far))]["snr_db"])


def _messages(subject: Subject, learner: Link, state: Any, channel: Any) -> Plot:
    """Returns how often each message is mistaken, and whether that is chance."""
    assert subject.run is not None
    sent, wrong = _mistaken(learner, state, channel, subject.run.plan.seed)
    rate, mean = wrong / sent, wrong.sum() / sent.sum()
    where = "" if channel.snr_db is None else f" at {float(channel.snr_db):g} dB"
    worst = f"{rate.max() / mean:.1f} times" if mean > 0 else "just"
    return Plot(
        name=f"{file_name(subject.label)}-messages",
        title="Errors of each message",
        alt=f"Line chart of the error rate of each message{where}, lowest first; the "
        f"mean is {mean:.3f}, the highest {rate.max():.3f}.",
        caption=f"Error rates of all messages{where}, lowest first, with 95 % "
        f"intervals (Wilson); about {int(sent.mean())} blocks each. Dashed: the mean. "
        f"The worst message is mistaken {worst} as often as the mean.",
        figure=figure(
            _ranked(sent, wrong), x="messages, by their error rate", y="error rate"
        ),
        width="half",
    )


def _ranked(sent: np.ndarray, wrong: np.ndarray) -> list[Trace]:
    """Returns error rates in their order, with intervals, beside their mean."""
    rate, mean = wrong / sent, wrong.sum() / sent.sum()
    order = np.argsort(rate, kind="stable")
    edges = [wilson_interval(int(w), int(n)) for w, n in zip(wrong, sent, strict=True)]
    low, high = np.array(edges)[order].T
    rank = np.arange(1, len(rate) + 1)
    look = Style(COLOURS[0], "solid")
    labels = [f"message {m}" for m in order]
    return [
        band(rank, low, high, look, "interval"),
        line(rank, rate[order], "message", look, text=labels, showlegend=False),
        line(
            rank[[0, -1]], [mean, mean], "mean", Style(GREY, "dash"), showlegend=False
        ),
    ]


def _mistaken(
    learner: Link, state: Any, channel: Any, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns for each message how often it was sent, and how often mistaken."""
    batches = max(1, min(CAP, 400 * learner.messages) // BATCH)
    key = jax.random.fold_in(keys(seed).assess, 1)
    every = jax.random.split(key, batches)
    sent, wrong = np.asarray(jax.jit(_count)(learner, state, channel, every))
    return np.maximum(sent, 1), wrong


def _count(learner: Link, state: Any, channel: Any, every: jax.Array) -> jax.Array:
    codebook = learner.codebook(state.transmitter)

    def batch(sums: jax.Array, key: jax.Array) -> tuple[jax.Array, None]:
        message_key, channel_key = jax.random.split(key)
        message = draw_messages(message_key, BATCH, learner.messages)
        told = jnp.argmax(
            state.receiver(channel(channel_key, codebook[message])), axis=-1
        )
        row = jnp.stack([jnp.ones_like(message), (told != message).astype(int)])
        return sums.at[:, message].add(row), None

    return jax.lax.scan(batch, jnp.zeros((2, learner.messages), int), every)[0]


def _feedback(subject: Subject, learner: Link, state: Any) -> Plot:
    """Returns losses as the receiver sent them, and as they came back."""
    assert subject.run is not None
    sent, heard, arrived = _losses(learner, state, subject.run.plan.seed)
    most = float(np.quantile(np.concatenate([sent, heard[arrived]]), 0.999))
    least = float(min(0.0, sent.min(), heard[arrived].min(initial=0.0)))
    edges = np.linspace(least, max(most, least + 1e-6), 60)
    traces = []
    for said, losses, colour in (
        ("as sent", sent, COLOURS[0]),
        ("as received", heard[arrived], COLOURS[1]),
    ):
        share = np.histogram(losses, edges)[0] / len(sent)
        shown = np.where(share > 0, share, np.nan)
        middle = (edges[1:] + edges[:-1]) / 2
        look = Style(colour, "solid")
        shape = {"line": {"color": colour, "shape": "hvh", "width": 2}}
        traces.append(line(middle, shown, said, look) | shape)
    lost = 1.0 - arrived.mean()
    late = learner.feedback.delay
    way = learner.feedback.id
    return Plot(
        name=f"{file_name(subject.label)}-feedback",
        title="What is fed back",
        alt="Histogram of the receiver's losses as sent and as received by the "
        f"transmitter, over the feedback {way}.",
        caption=f"Feedback: {way}. Losses of {len(sent):,} blocks that the trained "
        f"transmitter explored with; mean {sent.mean():.4f} as sent, "
        f"{heard[arrived].mean() if arrived.any() else float('nan'):.4f} as received; "
        f"{lost:.0%} were lost, and losses come {late} iterations late.",
        figure=figure(
            traces,
            x="odds against" if learner.exploration.criterion == "odds" else "nats",
            y="share of blocks",
            yaxis=decades([trace["y"] for trace in traces]),
        ),
        width="half",
    )


def _losses(
    learner: Link, state: Any, seed: int
) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"], np.ndarray]:
    @jax.jit
    def batch(key: jax.Array) -> Any:
        keys_ = jax.random.split(key, 4)
        codebook = learner.codebook(state.transmitter)
        size = learner.schedule.batch
        variance = learner.variance(state)
        message, noise = draw(
            learner.exploration, codebook, variance, (keys_[0], keys_[1]), batch=size
        )
        sent = perturb(codebook[message], noise, variance)
        loss = learner.judge(state.receiver, keys_[2], sent, message)
        return loss, *learner.feedback(keys_[3], loss)

    key = jax.random.fold_in(keys(seed).assess, 2)
    count = max(1, LOSSES // learner.schedule.batch)
    parts = [jax.device_get(batch(k)) for k in jax.random.split(key, count)]
    sent, heard, arrived = (np.concatenate(part) for part in zip(*parts, strict=True))
    return sent, heard, arrived


def _facts(learner: Link, state: Any, seed: int) -> Rows:
    """Returns numbers of the trained link that need no picture."""
    codebook: Complex[np.ndarray, "M C"] = np.asarray(
        from_pairs(learner.codebook(state.transmitter)), complex
    )
    low, high = limits.energy_spread(codebook)
    rows = [
        ["gradient", learner.gradient],
        ["feedback", learner.feedback.id],
        ["smallest distance of two codewords", f"{limits.min_distance(codebook):.3f}"],
        ["energy a use, of single codewords", f"{low:.2f} to {high:.2f}"],
    ]
    if not learner.channel.opaque:
        ratio = _ratio(learner, state, seed)
        rows.append(["signal to noise of a gradient, at the end", ratio])
    caption = (
        "Signal to noise: the squared length of the mean of a batch's gradients in the "
        f"codebook, over the mean square of what is left; of {DRAWS} batches."
    )
    return Rows("In numbers", ["", ""], rows, caption, width="half")


def _ratio(learner: Link, state: Any, seed: int) -> str:
    """Returns the gradient's signal-to-noise ratio in dB, where it can be told."""
    key = jax.random.fold_in(keys(seed).assess, 3)
    drawn = draw_gradients(learner, state, key, DRAWS)[0].astype(np.float64)
    total, squares = drawn.sum(axis=0), float(np.sum(drawn**2))
    # Products of different draws: no noise adds to them.
    signal = (float(total @ total) - squares) / (DRAWS * (DRAWS - 1))
    noise = squares / DRAWS - signal
    if signal <= 0.0 or noise <= 0.0:
        return f"below what {DRAWS} batches can tell"
    return f"{10 * np.log10(signal / noise):.1f} dB"

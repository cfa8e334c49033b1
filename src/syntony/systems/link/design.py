"""Design of a link by trials: the codebook that it starts from, and the receiver.

Gradients improve a code step by step: over a one-bit converter, an intensity detector
or unknown carriers they cannot lead from any code to a good one. Each classical code of
the link's size is tried with each receiver, over the link's own channel, and the pair
with the least loss is taken.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key

from syntony.channels.channel import ChannelWithMemory, HasBLERBounds, transmit
from syntony.equations import signal
from syntony.jax_settings import make_thread_pool
from syntony.networks.modems import ConstantTransmitter
from syntony.systems.link.codes import classical_starts
from syntony.systems.link.gradient_estimators import sample_messages
from syntony.systems.link.schedule import TrainingSchedule

if TYPE_CHECKING:
    from syntony.systems.link.link import Link, LinkState

AUTO: Final = "auto"
"""Value of a setting that trials choose."""
NETWORK = "network"
"""Initial codebook of a new network, with random weights."""


class TriedReceiver(NamedTuple):
    """How a kind of receiver is tried."""

    learning_rate: float
    """Learning rate of its trials, with which it learns fastest."""
    loss_factor: float
    """Factor of its losses in the comparison with other kinds."""


TRIED_RECEIVERS = {
    "mlp": TriedReceiver(0.01, 1.0),
    "mixture": TriedReceiver(0.2, 3.0),
    "quadratic": TriedReceiver(0.05, 3.0),
}
"""Receivers that are tried.

The last two model the channel. A code that is learned with a wrong model is worse, and
so is one against a right model over nearly white noise."""
TRIAL_SCHEDULE = TrainingSchedule(
    batch_size=512, receiver_lr_multiplier=1.0, decay="constant"
)
ROUNDS = ((40, 6), (80, 4), (150, 1))
"""Iterations of each round, and the pairs of the least loss that are left after it."""
IDLE_BATCHES = 200
"""Batches in which a trained receiver is left alone, to see if the channel moves."""
MEASURED_BATCHES = 20
"""Of these, the first and the last ones, over which its loss is averaged."""
MAX_IDLE_LOSS_RATIO = 1.5
"""Loss of the last ones over that of the first, above which the channel moves."""


class DesignTrial(NamedTuple):
    """Loss of one pair after the last round in which it was tried."""

    initial_codebook: str
    receiver: str
    loss: float
    """Mean cross-entropy of the receiver, in nats per block."""


class Design(NamedTuple):
    """Settings chosen by trials, and the losses of all pairs."""

    trials: list[DesignTrial]
    """All pairs, the chosen one first, then those that were tried for longest."""
    channel_moves: bool
    """Whether a receiver's loss grows when it is not trained."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A pair of a codebook and a receiver, and its training so far."""

    link: "Link"
    initial_codebook: str
    state: "LinkState"
    loss: float = float("inf")

    @property
    def trial(self) -> DesignTrial:
        """Its loss so far."""
        return DesignTrial(self.initial_codebook, self.link.receiver, self.loss)

    @property
    def compared_loss(self) -> float:
        """Its loss, as it is compared with those of other receivers."""
        return self.loss * _loss_factor(self.link.receiver)

    def train(self, key: Key[Array, ""], iterations: int) -> "Candidate":
        """The pair after more iterations of its receiver; the key is consumed."""
        is_black_box = self.link.channel.is_black_box
        train = _train_receiver if is_black_box else _jitted_train_receiver
        state, loss = train(self.link, self.state, key, jnp.int32(iterations))
        return dataclasses.replace(self, state=state, loss=float(loss))


def _loss_factor(receiver: str) -> float:
    tried = TRIED_RECEIVERS.get(receiver)
    return 1.0 if tried is None else tried.loss_factor


def has_open_settings(link: "Link") -> bool:
    """Whether there is anything to choose by trials."""
    return AUTO in (link.initial_codebook, link.receiver, link.schedule.decay)


def choose_design(link: "Link", key: Key[Array, ""]) -> tuple["Link", str]:
    """The link with its open settings chosen by trials, and a line that says them.

    Args:
        link: its settings that are `AUTO` are open.
        key: consumed.
    """
    design = run_trials(link, key)
    best = design.trials[0]
    decay = "constant" if design.channel_moves else "cosine"
    chosen = with_design(
        link,
        {
            "initial_codebook": best.initial_codebook,
            "receiver": best.receiver,
            "schedule": {"decay": decay},
        },
    )
    return chosen, describe_design(design)


def describe_design(design: Design) -> str:
    """One line that says what was chosen, and what came second."""
    best, *others = design.trials
    text = (
        f"chosen by trials of {len(design.trials)} pairs: receiver {best.receiver}, "
        f"initial codebook {best.initial_codebook} (loss {best.loss:.3g} nats"
    )
    if others:
        receiver, codebook = others[0].receiver, others[0].initial_codebook
        text += f"; next {receiver}, {codebook}: {others[0].loss:.3g}"
        if (factor := _loss_factor(receiver)) != 1.0:
            text += f", which counts {factor:g} times"
    moves = "; the channel moves: constant learning rates"
    return f"{text})" + (moves if design.channel_moves else "")


def with_design(link: "Link", settings: Mapping[str, object]) -> "Link":
    """The link with its open settings taken from others, e.g. of a stored run.

    Args:
        link: its settings that are `AUTO` are open.
        settings: fields of a link by name; of the others nothing is taken.
    """
    if not has_open_settings(link):
        return link
    schedule, stored = link.schedule, settings.get("schedule")
    if schedule.decay == AUTO and isinstance(stored, Mapping):
        fields = cast(Mapping[str, Literal["auto", "cosine", "constant"]], stored)
        schedule = dataclasses.replace(schedule, decay=fields.get("decay", AUTO))
    names = [
        name
        for name in ("initial_codebook", "receiver")
        if getattr(link, name) == AUTO and name in settings
    ]
    values = {name: str(settings[name]) for name in names}
    return dataclasses.replace(link, schedule=schedule, **values)


def run_trials(link: "Link", key: Key[Array, ""]) -> Design:
    """Tries the pairs of codebooks and receivers that a link leaves open.

    Args:
        link: its settings that are `AUTO` are tried.
        key: consumed.
    """
    init_key, idle_key, *round_keys = jax.random.split(key, 2 + len(ROUNDS))
    candidates = list(_iter_candidates(link, init_key))
    left_out: list[DesignTrial] = []
    for round_key, (iterations, survivors) in zip(round_keys, ROUNDS, strict=True):
        candidates = _train_all(candidates, round_key, iterations)
        candidates.sort(key=lambda candidate: candidate.compared_loss)
        left_out = [each.trial for each in candidates[survivors:]] + left_out
        candidates = candidates[:survivors]
    trials = [candidates[0].trial, *left_out]
    return Design(trials, _channel_moves(candidates[0], idle_key))


def _train_all(
    candidates: list[Candidate], key: Key[Array, ""], iterations: int
) -> list[Candidate]:
    """The pairs after more iterations, all with the same messages and noise."""
    key = jax.random.fold_in(key, 0)

    def train_receiver(name: str) -> list[Candidate]:
        pairs = [each for each in candidates if each.link.receiver == name]
        return [pair.train(key, iterations) for pair in pairs]

    names = dict.fromkeys(each.link.receiver for each in candidates)
    # A user's channel may not be ready for other threads.
    if candidates[0].link.channel.is_black_box:
        return [pair for name in names for pair in train_receiver(name)]
    # Most of the time is compilation, of one program for each receiver.
    with make_thread_pool(len(names)) as pool:
        return [pair for pairs in pool.map(train_receiver, names) for pair in pairs]


def _iter_candidates(link: "Link", key: Key[Array, ""]) -> Iterator[Candidate]:
    """Yields the pairs of all receivers and codebooks."""
    codebooks = _tried_codebooks(link)
    receivers = list(TRIED_RECEIVERS) if link.receiver == AUTO else [link.receiver]
    for receiver in receivers:
        how = TRIED_RECEIVERS.get(receiver, TRIED_RECEIVERS["mlp"])
        schedule = dataclasses.replace(TRIAL_SCHEDULE, learning_rate=how.learning_rate)
        tried = dataclasses.replace(link, receiver=receiver, schedule=schedule)
        state = tried.init(jax.random.fold_in(key, 0))
        for name, codebook in codebooks.items():
            if codebook is not None:
                pairs = jnp.asarray(signal.complex_to_pairs(codebook), jnp.float32)
                state = state._replace(transmitter=ConstantTransmitter(pairs))
            yield Candidate(tried, name, state)


def _tried_codebooks(
    link: "Link",
) -> Mapping[str, Complex[np.ndarray, "M C"] | None]:
    """Codebooks by name; None is that of a link's own transmitter."""
    if link.initial_codebook != AUTO:
        return {link.initial_codebook: None}
    if not link.can_start_from_codebook:
        return {NETWORK: None}
    # Over a channel of which bounds are known, learned codes are better than classical
    # symbols, and are found from a new network.
    channel = link.channel
    if isinstance(channel, HasBLERBounds) and channel.bler_bounds(
        link.messages, link.uses
    ):
        return {NETWORK: None}
    return dict(classical_starts(link.messages, link.uses))


def _train_receiver(
    link: "Link", state: "LinkState", key: Key[Array, ""], iterations: Array
) -> tuple["LinkState", Float[Array, ""]]:
    """State after training the receiver, and the mean loss of the second half."""

    def update(
        i: Array | int, carry: tuple["LinkState", Array]
    ) -> tuple["LinkState", Array]:
        state, total = carry
        state, loss = link.train_receiver(state, jax.random.fold_in(key, i))
        return state, total + jnp.where(i >= iterations // 2, loss, 0.0)

    state, total = link.fori_loop(iterations, update, (state, jnp.zeros(())))
    return state, total / (iterations - iterations // 2)


_jitted_train_receiver = jax.jit(_train_receiver)


def _channel_moves(candidate: Candidate, key: Key[Array, ""]) -> bool:
    """Whether the loss of a trained receiver grows over batches without training."""
    link, state = candidate.link, candidate.state
    if not (link.channel.is_black_box or isinstance(link.channel, ChannelWithMemory)):
        return False
    losses: list[float] = []
    for i in range(IDLE_BATCHES):
        state, loss = _receiver_loss(link, state, jax.random.fold_in(key, i))
        losses.append(loss)
    first, last = losses[:MEASURED_BATCHES], losses[-MEASURED_BATCHES:]
    # One block in all of the first batches, of a loss of 1, may be missing by chance.
    floor = 1.0 / link.schedule.batch_size
    return sum(last) > MAX_IDLE_LOSS_RATIO * (sum(first) + floor)


def _receiver_loss(
    link: "Link", state: "LinkState", key: Key[Array, ""]
) -> tuple["LinkState", float]:
    """State with that of the channel after a batch, and the receiver's mean loss."""
    message_key, channel_key = jax.random.split(key)
    message = sample_messages(message_key, link.schedule.batch_size, link.messages)
    sent = link.codewords(state)[message]
    channel_state, y = transmit(link.channel, channel_key, state.channel_state, sent)
    loss = signal.cross_entropy(link.message_logits(state, y), message)
    return state._replace(channel_state=channel_state), float(jnp.mean(loss))

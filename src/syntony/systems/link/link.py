"""End-to-end learned link: transmitter and receiver, with a black-box channel between.

One iteration of training:

    n_R times, the receiver: messages m are sent as x = f_T(m) and received as y;
        gradient step on −ln f_R(y)_m in the receiver's weights
    n_T times, the transmitter: messages m are sent as x_p = √(1 − σ_π²) x + w;
        the receiver, which stays fixed, feeds back its losses l = −ln f_R(y)_m;
        gradient step on the mean of (l − b) ln π(x_p | x) in the transmitter's weights

The channel is not differentiated: only signals cross it, and losses return.

Source: Aoudia & Hoydis, "End-to-End Learning of Communications Systems Without a
    Channel Model", Asilomar 2018, the alternating algorithm.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.channels import registry as channels
from syntony.channels.awgn import AWGN
from syntony.channels.channel import (
    AnyChannel,
    ChannelState,
    init_channel,
    output_uses,
    transmit,
)
from syntony.channels.feedback import Feedback
from syntony.channels.stand_in import stand_in
from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.equations import signal
from syntony.networks.modems import (
    TRANSMITTERS,
    AnyTransmitter,
    transmitter_spec,
)
from syntony.networks.user_network import NetworkSpec
from syntony.pytrees import PyTree
from syntony.systems.link import design
from syntony.systems.link.checks import check_link
from syntony.systems.link.fixed_transmitters import (
    is_fixed_transmitter,
    make_any_transmitter,
    with_classical_code,
)
from syntony.systems.link.gradient_estimators import (
    GRADIENT_ESTIMATORS,
    GRADIENT_SAMPLES,
    GradientEstimate,
    PerturbationConfig,
    PerturbedBatch,
    gradient_cosine_similarity,
    sample_messages,
    sample_perturbations,
    shuffle_blocks,
)
from syntony.systems.link.jitted import (
    LoopIndex,
    add,
    divide,
    fold_in,
    fori_loop,
    zeros_like,
)
from syntony.systems.link.received_stats import (
    ReceivedStats,
    normalize_received,
    restart_stats,
    update_received_stats,
    with_neighbors,
)
from syntony.systems.link.receiver import (
    AnyReceiver,
    block_errors,
    block_nll,
    make_receiver,
    receiver_loss_and_grad,
)
from syntony.systems.link.schedule import EarlyStoppingState, TrainingSchedule
from syntony.systems.optimizers import apply_gradients, init_opt_state
from syntony.systems.system import EvalSamples, FeedbackSamples, Metrics

Codebook = Float[Array, "M C 2"]
Carry = TypeVar("Carry")
Grad = TypeVar("Grad")

MAX_SIZE = 2**16
"""Messages, channel uses and hidden units, at most."""
MAX_SNAPSHOT_SYMBOLS = 4096
"""Symbols of a snapshot, at most."""


class LinkState(NamedTuple):
    """State of a link's training."""

    transmitter: AnyTransmitter
    transmitter_opt_state: optax.OptState
    receiver: AnyReceiver
    receiver_opt_state: optax.OptState
    received_stats: ReceivedStats | None
    """Statistics by which the receiver's input is normalized."""
    channel_state: ChannelState
    """What a channel with memory remembers."""
    pending_feedback: PerturbedBatch
    """Batches whose losses are delayed, oldest first."""
    early_stopping: EarlyStoppingState
    key: Key[Array, ""]
    iterations: Int[Array, ""]


BatchGradientFn = Callable[
    [LinkState, Codebook, Key[Array, ""]],
    tuple[LinkState, Float[Array, ""], Grad],
]
"""State after one batch, its mean loss, and the gradient."""


@pytree_dataclass
class Link:
    """Learned link of M messages over C channel uses.

    `channel` is a channel, its id, or a function of complex64[B, C].

    Examples:
        >>> import jax
        >>> import syntony
        >>> link = syntony.Link(messages=16, uses=2, channel="awgn?snr_db=10.0")
        >>> state = jax.jit(link.init)(jax.random.key(0))
        >>> state, metrics = jax.jit(link.step)(state)
        >>> sorted(metrics)
        ['train/receiver_loss', 'train/transmitter_loss']
    """

    channel: AnyChannel = AWGN()
    """Channel between transmitter and receiver; see: syntony list channels."""
    feedback: Feedback = Feedback()
    """Feedback link of the losses, from receiver to transmitter."""
    messages: int = field(256, static=True, limits=between(2, MAX_SIZE))
    """M, the number of messages."""
    uses: int = field(4, static=True, limits=between(1, MAX_SIZE))
    """C, complex channel uses per block."""
    hidden: int = field(256, static=True, limits=between(1, MAX_SIZE))
    """Hidden units of transmitter and receiver (the paper's: M)."""
    transmitter: str = field("mlp", static=True)
    """Transmitter: one hidden layer (mlp), or python:MODULE:FUNCTION. Fixed ones, with
    which only the receiver is trained: QPSK, 8PSK, 16QAM (qpsk, psk8, qam16), four
    levels from 0 of intensity or of amplitude (pam4, ask4), the lattice E8 (e8), a
    known first symbol or every second one and uncoded bits (pilot, comb), bits alone
    (uncoded), random codewords (random), or codebook:FILE, a CSV file like a run's
    codebook.csv or .npy of complex[M, C], which is scaled to mean energy 1."""
    initial_codebook: str = field("auto", static=True)
    """Codebook from which the transmitter learns: that of a new network (network), or a
    classical code by its name as a transmitter. auto: chosen by trials."""
    receiver: str = field("auto", static=True)
    """Receiver: one hidden layer (mlp); a learned mean for each message, with white
    noise (gaussian), or with noise of two powers (mixture); quadratic forms, for blocks
    that fade (quadratic); one hidden layer behind a network that estimates the fading
    gain and divides by it (equalizing); python:MODULE:FUNCTION. auto: mlp, mixture or
    quadratic, chosen by trials."""
    normalize_received: bool = field(True, static=True)
    """Normalize the receiver's input by running statistics, so that a gain, a phase or
    an offset of the channel does not matter."""
    receiver_neighbors: int = field(0, static=True, limits=between(0, 64))
    """k, blocks before and after a block that the receiver sees with it, for channels
    with memory."""
    channel_estimator_hidden: int = field(20, static=True, limits=at_least(1))
    """Hidden units of the equalizing receiver's channel estimator."""
    power_constraint: Literal["average", "codeword", "symbol", "clipped"] = field(
        "average", static=True
    )
    """What has energy 1 per channel use: the codebook on average, each codeword, each
    symbol; or the codebook on average, before its amplitudes are clipped (clipped)."""
    max_amplitude: float = field(1.5, limits=above(0))
    """Amplitude at which symbols are clipped, in units of the root mean energy."""
    gradient: Literal["policy", "spsa", "backprop"] = field("policy", static=True)
    """Gradient of the transmitter: policy gradient, two-sided perturbation of the
    codebook (spsa), or through a differentiable channel (backprop, the reference)."""
    perturb_receiver_batches: bool = field(False, static=True)
    """Train the receiver on perturbed symbols as well."""
    training_snr_offset_db: float = 0.0
    """Training SNR minus evaluation SNR, in dB."""
    perturbation: PerturbationConfig = PerturbationConfig()
    schedule: TrainingSchedule = TrainingSchedule()

    step_unit = "iterations"

    def __post_init__(self):
        channel = self.channel
        is_function = callable(channel) and not hasattr(channel, "is_black_box")
        if isinstance(channel, str) or is_function:
            object.__setattr__(self, "channel", channels.channel(channel))

    def init(self, key: Key[Array, ""]) -> LinkState:
        """State before the first iteration; the key is consumed."""
        transmitter_key, receiver_key, channel_key, key = jax.random.split(key, 4)
        transmitter = make_any_transmitter(
            self.transmitter_spec, self.messages, self.uses, transmitter_key
        )
        if self.starts_from_codebook:
            code_key = jax.random.fold_in(transmitter_key, 0)
            transmitter = with_classical_code(
                transmitter, self.initial_codebook, self.uses, code_key
            )
        receiver = make_receiver(
            self.receiver_name,
            (2 * self.receiver_neighbors + 1) * self.received_uses,
            self.hidden,
            self.messages,
            estimator_dim=self.channel_estimator_hidden,
            scale_invariant=self.normalize_received,
            key=receiver_key,
        )
        optimizer = self.schedule.optimizer_at(jnp.zeros((), jnp.int32))
        return LinkState(
            transmitter=transmitter,
            transmitter_opt_state=init_opt_state(optimizer, transmitter),
            receiver=receiver,
            receiver_opt_state=init_opt_state(optimizer, receiver),
            received_stats=(
                ReceivedStats.init(self.received_uses)
                if self.normalize_received
                else None
            ),
            channel_state=init_channel(self.channel, channel_key),
            pending_feedback=PerturbedBatch.zeros(
                self.feedback.delay_iterations, self.schedule.batch_size, self.uses
            ),
            early_stopping=EarlyStoppingState.init(),
            key=key,
            iterations=jnp.zeros((), jnp.int32),
        )

    def step(self, state: LinkState) -> tuple[LinkState, Metrics]:
        """One iteration: trains the receiver, then the transmitter, if it learns."""
        key, receiver_key, transmitter_key = jax.random.split(state.key, 3)
        state, receiver_loss = self.train_receiver(state, receiver_key)
        metrics = {"train/receiver_loss": receiver_loss}
        if not self.has_fixed_transmitter:
            state, loss = self.train_transmitter(state, transmitter_key)
            metrics["train/transmitter_loss"] = loss
        early_stopping = state.early_stopping.update(self.schedule, receiver_loss)
        iterations = state.iterations + 1
        return state._replace(
            early_stopping=early_stopping, key=key, iterations=iterations
        ), metrics

    def train_receiver(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """n_R optimizer steps of the receiver, and the mean loss of the last one."""
        codebook = self.codebook(state.transmitter)
        num_batches = self.schedule.batch_multiplier_at(state.iterations)

        def update(
            i: LoopIndex, carry: tuple[LinkState, Float[Array, ""]]
        ) -> tuple[LinkState, Float[Array, ""]]:
            state, _ = carry
            state, loss, grad = self.mean_over_batches(
                self.receiver_gradient,
                num_batches,
                state,
                codebook,
                zeros_like(state.receiver),
                fold_in(key, i),
            )
            return self.update_receiver(state, grad), loss

        start = state, jnp.zeros(())
        return self.fori_loop(self.schedule.receiver_steps, update, start)

    def receiver_gradient(
        self, state: LinkState, codebook: Codebook, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""], AnyReceiver]:
        """State after a batch, its mean loss, and the gradient in the weights."""
        state, message, y = self.transmit_batch(state, codebook, key)
        stats, loss, grad = self.received_gradient(state, y, message)
        return state._replace(received_stats=stats), loss, grad

    def transmit_batch(
        self, state: LinkState, codebook: Codebook, key: Key[Array, ""]
    ) -> tuple[LinkState, Int[Array, " B"], Float[Array, "B D 2"]]:
        """Messages of a training batch of the receiver, and the received blocks."""
        message, sent, channel_key = self.draw_batch(state, codebook, key)
        channel_state, y = transmit(
            self.training_channel, channel_key, state.channel_state, sent
        )
        return state._replace(channel_state=channel_state), message, y

    # What is between two calls of a black box is compiled as one program.
    @jax.jit
    def draw_batch(
        self, state: LinkState, codebook: Codebook, key: Key[Array, ""]
    ) -> tuple[Int[Array, " B"], Float[Array, "B C 2"], Key[Array, ""]]:
        """Messages of a training batch of the receiver, its blocks, and a key."""
        message_key, noise_key, order_key, channel_key = jax.random.split(key, 4)
        batch_size = self.schedule.batch_size
        if not self.perturb_receiver_batches:
            message = sample_messages(message_key, batch_size, self.messages)
            return message, codebook[message], channel_key
        keys, variance = (message_key, noise_key), self.perturbation_variance(state)
        drawn = sample_perturbations(
            self.perturbation, codebook, variance, keys, batch_size=batch_size
        )
        order = jax.random.permutation(order_key, batch_size)
        message, noise = (x[order] for x in drawn)
        return message, signal.perturb(codebook[message], noise, variance), channel_key

    @jax.jit
    def received_gradient(
        self, state: LinkState, y: Float[Array, "B D 2"], message: Int[Array, " B"]
    ) -> tuple[ReceivedStats | None, Float[Array, ""], AnyReceiver]:
        """New statistics of received blocks, mean loss, and gradient in the weights."""
        # Supervised: the receiver knows the messages, and needs no feedback.
        stats = state.received_stats
        if stats is not None:
            stats = update_received_stats(stats, y)
        y = self.receiver_input(state._replace(received_stats=stats), y)
        return stats, *receiver_loss_and_grad(state.receiver, y, message)

    def receiver_input(
        self, state: LinkState, y: Float[Array, "B D 2"]
    ) -> Float[Array, "B W 2"]:
        """Received blocks as the receiver sees them, W = (2 k + 1) D.

        They are normalized, and between k neighbors on each side.
        """
        y = normalize_received(state.received_stats, y)
        return with_neighbors(y, self.receiver_neighbors)

    @jax.jit
    def update_receiver(self, state: LinkState, grad: AnyReceiver) -> LinkState:
        """Applies one optimizer step to the receiver's weights."""
        optimizer = self.schedule.optimizer_at(
            state.iterations, self.schedule.receiver_lr_multiplier
        )
        receiver, opt_state = apply_gradients(
            optimizer, grad, state.receiver_opt_state, state.receiver
        )
        return state._replace(receiver=receiver, receiver_opt_state=opt_state)

    def train_transmitter(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """n_T optimizer steps of the transmitter, and the mean loss of the last one.

        There are none during the first iterations, in which only the receiver is
        trained: the losses of an untrained receiver carry no information.
        """
        num_batches = self.schedule.batch_multiplier_at(state.iterations)

        def update(
            i: LoopIndex, carry: tuple[LinkState, Float[Array, ""]]
        ) -> tuple[LinkState, Float[Array, ""]]:
            state, _ = carry
            codebook = self.codebook(state.transmitter)
            state, loss, grad = self.mean_over_batches(
                self.transmitter_gradient,
                num_batches,
                state,
                codebook,
                jnp.zeros_like(codebook),
                fold_in(key, i),
            )
            return self.update_transmitter(state, grad), loss

        steps = self.schedule.transmitter_steps_at(state.iterations)
        return self.fori_loop(steps, update, (state, jnp.zeros(())))

    def transmitter_gradient(
        self, state: LinkState, codebook: Codebook, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""], Codebook]:
        """State after a batch, its mean loss, and the gradient in the codebook."""
        estimate = self.estimate_gradient(state, codebook, key)
        state = state._replace(
            pending_feedback=estimate.pending, channel_state=estimate.channel_state
        )
        return state, estimate.loss, estimate.grad

    def estimate_gradient(
        self, state: LinkState, codebook: Codebook, key: Key[Array, ""]
    ) -> GradientEstimate:
        """Mean loss of a batch, and the estimate of its gradient in the codebook."""
        estimator = GRADIENT_ESTIMATORS[self.gradient]
        return estimator(
            self.perturbation,
            partial(self.block_losses, state),
            self.feedback,
            codebook,
            self.perturbation_variance(state),
            state.pending_feedback,
            state.channel_state,
            key,
            batch_size=self.schedule.batch_size,
        )

    def block_losses(
        self,
        state: LinkState,
        key: Key[Array, ""],
        channel_state: ChannelState,
        sent: Float[Array, "B C 2"],
        message: Int[Array, " B"],
    ) -> tuple[ChannelState, Float[Array, " B"]]:
        """Losses that the receiver feeds back for transmitted blocks, in nats.

        Args:
            state: the receiver, and the statistics of its input.
            key: consumed.
            channel_state: what earlier batches left in the channel.
            sent: transmitted blocks.
            message: of each block.
        """
        # The blocks of a batch depend on each other: perturbations of one message are
        # drawn together. Over a channel with memory, a block is to follow any other.
        channel_key, order, shuffled = shuffle_blocks(key, sent)
        channel_state, y = transmit(
            self.training_channel, channel_key, channel_state, shuffled
        )
        return channel_state, self.received_losses(state, y, message, order)

    @jax.jit
    def received_losses(
        self,
        state: LinkState,
        y: Float[Array, "B D 2"],
        message: Int[Array, " B"],
        order: Int[Array, " B"],
    ) -> Float[Array, " B"]:
        """Loss of each block, in nats; y is in the order in which blocks were sent."""
        y, temperature = self.receiver_input(state, y), self.perturbation.temperature
        loss = block_nll(state.receiver, y, message[order], temperature)
        loss = jnp.zeros_like(loss).at[order].set(loss)
        if self.perturbation.feedback_loss == "odds":
            loss = signal.inverse_odds(loss)
        return loss

    @jax.jit
    def update_transmitter(self, state: LinkState, grad: Codebook) -> LinkState:
        """Applies one optimizer step to the transmitter's weights.

        Args:
            state: before the step.
            grad: gradient in the codebook.
        """
        _, codebook_vjp = jax.vjp(self.codebook, state.transmitter)
        (weight_grad,) = codebook_vjp(grad)
        lr_multiplier = 1.0
        if self.starts_from_codebook:
            lr_multiplier = self.schedule.codebook_lr_multiplier(self.messages)
        optimizer = self.schedule.optimizer_at(state.iterations, lr_multiplier)
        transmitter, opt_state = apply_gradients(
            optimizer, weight_grad, state.transmitter_opt_state, state.transmitter
        )
        return state._replace(transmitter=transmitter, transmitter_opt_state=opt_state)

    @jax.jit
    def codebook(self, transmitter: AnyTransmitter) -> Codebook:
        """Codewords f_T of all messages, with energy 1 per channel use."""
        if self.power_constraint == "codeword":
            return signal.normalize_codeword_power(transmitter())
        if self.power_constraint == "symbol":
            return signal.normalize_symbol_power(transmitter())
        codebook = signal.normalize_average_power(transmitter())
        if self.power_constraint == "clipped":
            return signal.clip_amplitude(codebook, self.max_amplitude)
        return codebook

    @property
    def training_channel(self) -> AnyChannel:
        """Channel at the training SNR."""
        snr_db = self.channel.snr_db
        if snr_db is None:
            return self.channel
        return self.channel.with_snr(snr_db + self.training_snr_offset_db)

    def perturbation_variance(self, state: LinkState) -> Float[Array, ""]:
        """Perturbation variance σ_π² of the present iteration."""
        progress = self.schedule.progress_fraction(state.iterations)
        return self.perturbation.variance_at(
            progress, from_codebook=self.starts_from_codebook
        )

    def mean_over_batches(
        self,
        gradient_fn: BatchGradientFn[Grad],
        num_batches: LoopIndex,
        state: LinkState,
        codebook: Codebook,
        zero_grad: Grad,
        key: Key[Array, ""],
    ) -> tuple[LinkState, Float[Array, ""], Grad]:
        """State after the batches, and the mean of their losses and gradients."""

        def add_batch(
            i: LoopIndex, carry: tuple[LinkState, tuple[Float[Array, ""], Grad]]
        ) -> tuple[LinkState, tuple[Float[Array, ""], Grad]]:
            state, sums = carry
            state, loss, grad = gradient_fn(state, codebook, fold_in(key, i))
            return state, add(sums, (loss, grad))

        start = state, (jnp.zeros(()), zero_grad)
        state, sums = self.fori_loop(num_batches, add_batch, start)
        loss, grad = divide(sums, num_batches)
        return state, loss, grad

    def fori_loop(
        self,
        num_iterations: LoopIndex,
        body: Callable[[LoopIndex, Carry], Carry],
        carry: Carry,
    ) -> Carry:
        """`jax.lax.fori_loop` from 0; in Python where the channel is a black box."""
        on_host = self.channel.is_black_box
        return fori_loop(num_iterations, body, carry, on_host=on_host)

    def num_steps(self, state: LinkState) -> Int[Array, ""]:
        """Iterations so far."""
        return state.iterations

    def is_done(self, state: LinkState) -> Bool[Array, ""]:
        """Whether early stopping ends the training."""
        return state.early_stopping.should_stop(self.schedule)

    def evaluate(
        self, state: LinkState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        """Errors of `episodes` blocks without perturbation, at the evaluation SNR."""
        message_key, channel_key, gradient_key = jax.random.split(key, 3)
        message = sample_messages(message_key, episodes, self.messages)
        sent = self.codebook(state.transmitter)[message]
        _, y = transmit(self.channel, channel_key, state.channel_state, sent)
        y = self.receiver_input(state, y)
        samples: EvalSamples = {"eval/bler": block_errors(state.receiver, y, message)}
        # A black box may be a slow radio: its channel uses are spent on training.
        if not (self.channel.is_black_box or self.has_fixed_transmitter):
            cosines = self.gradient_cosine_similarity(state, gradient_key)
            samples["eval/gradient_cosine_similarity"] = cosines
        return samples

    def gradient_cosine_similarity(
        self, state: LinkState, key: Key[Array, ""], num_batches: int = GRADIENT_SAMPLES
    ) -> Float[Array, " S"]:
        """Mean cosine similarity of each batch's gradient with the others' gradients.

        See `gradient_estimators.gradient_cosine_similarity`.
        """
        codebook = self.codebook(state.transmitter)
        # All estimates would share the batches whose losses are delayed.
        state = state._replace(
            pending_feedback=jax.tree.map(lambda x: x[:0], state.pending_feedback)
        )

        def gradient(key: Key[Array, ""]) -> Codebook:
            return self.estimate_gradient(state, codebook, key).grad

        return gradient_cosine_similarity(gradient, key, num_batches)

    @property
    def feedback_unit(self) -> str:
        """Unit of the losses that the receiver feeds back."""
        return "inverse odds" if self.perturbation.feedback_loss == "odds" else "nats"

    def sample_feedback(self, state: LinkState, key: Key[Array, ""]) -> FeedbackSamples:
        """Losses of one perturbed batch, as sent and as received."""
        message_key, noise_key, channel_key, feedback_key = jax.random.split(key, 4)
        codebook, variance = self.codewords(state), self.perturbation_variance(state)
        message, noise = sample_perturbations(
            self.perturbation,
            codebook,
            variance,
            (message_key, noise_key),
            batch_size=self.schedule.batch_size,
        )
        sent = signal.perturb(codebook[message], noise, variance)
        channel_state = state.channel_state
        _, loss = self.block_losses(state, channel_key, channel_state, sent, message)
        return FeedbackSamples(loss, *self.feedback(feedback_key, loss))

    def sample_gradient(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Codebook]:
        """Mean loss of one batch, and the estimate of its gradient in the codebook."""
        estimate = self.estimate_gradient(state, self.codewords(state), key)
        return estimate.loss, estimate.grad

    def params(self, state: LinkState) -> PyTree[Float[Array, "..."]]:
        """Weights of both sides, statistics of received blocks, and the codebook."""
        params: dict[str, PyTree[Float[Array, "..."]]] = {
            "transmitter": state.transmitter,
            "receiver": state.receiver,
            "codebook": self.codebook(state.transmitter),
        }
        if (stats := state.received_stats) is not None:
            level = jnp.exp(stats.log_level)
            params["received_stats"] = {"mean": stats.significant_mean, "level": level}
        return params

    def weights(self, state: LinkState) -> dict[str, PyTree[Array]]:
        """Weights of both sides, and the statistics of received blocks."""
        return {
            "transmitter": state.transmitter,
            "receiver": state.receiver,
            # The next batch replaces them: it may be of another channel.
            "received_stats": restart_stats(state.received_stats),
        }

    def with_weights(
        self, state: LinkState, weights: Mapping[str, PyTree[Array]]
    ) -> LinkState:
        """Initial state with these weights."""
        transmitter = cast(AnyTransmitter, weights["transmitter"])
        receiver = cast(AnyReceiver, weights["receiver"])
        optimizer = self.schedule.optimizer_at(state.iterations)
        return state._replace(
            transmitter=transmitter,
            transmitter_opt_state=init_opt_state(optimizer, transmitter),
            receiver=receiver,
            receiver_opt_state=init_opt_state(optimizer, receiver),
            received_stats=cast(ReceivedStats | None, weights["received_stats"]),
        )

    def codewords(self, state: LinkState) -> Codebook:
        """Codewords of all messages, with energy 1 per channel use."""
        return self.codebook(state.transmitter)

    def message_logits(
        self, state: LinkState, y: Float[Array, "B D 2"]
    ) -> Float[Array, "B M"]:
        """Logits of all messages, given received blocks."""
        return state.receiver(self.receiver_input(state, y))

    def channel_state(self, state: LinkState) -> ChannelState:
        """State of the channel after the blocks of the training."""
        return state.channel_state

    def with_channel_state(
        self, state: LinkState, channel_state: ChannelState
    ) -> LinkState:
        """The state with another one of the channel."""
        return state._replace(channel_state=channel_state)

    def snapshot(self, state: LinkState) -> dict[str, Array]:
        """Codewords at this step: all, or evenly spaced ones of a large codebook."""
        count = max(1, min(self.messages, MAX_SNAPSHOT_SYMBOLS // self.uses))
        message = np.linspace(0, self.messages - 1, count).round().astype(np.int32)
        codebook = self.codewords(state)[message]
        return {"message": jnp.asarray(message), "codebook": codebook}

    def resolve_steps(self, steps: int) -> "Link":
        """The link whose schedule ends with the training, unless its length is set."""
        if self.schedule.decay_iterations is not None:
            return self
        schedule = dataclasses.replace(self.schedule, decay_iterations=steps)
        return dataclasses.replace(self, schedule=schedule)

    @property
    def has_open_settings(self) -> bool:
        """Whether settings are chosen by trials before the training."""
        return design.has_open_settings(self)

    def choose_settings(self, key: Key[Array, ""]) -> tuple["Link", str]:
        """The link with its open settings chosen by trials, and a line that says them.

        See `design`. The trials transmit over the channel.
        """
        return design.choose_design(self, key)

    def with_open_settings(self, stored: Mapping[str, object]) -> "Link":
        """The link with its open settings taken from those of a run."""
        return design.with_design(self, stored)

    def with_channel(self, channel: AnyChannel) -> "Link":
        """The same link, with the same networks, over another channel."""
        return dataclasses.replace(self, channel=channel, receiver=self.receiver_name)

    @property
    def has_fixed_transmitter(self) -> bool:
        """Whether the transmitter is a given code, and only the receiver is trained."""
        return is_fixed_transmitter(self.transmitter)

    def receiver_blocks(self, iterations: int) -> int:
        """Blocks that the first iterations send to train the receiver."""
        return self.schedule.receiver_blocks(iterations)

    def with_fixed_transmitter(self, name: str) -> "Link":
        """The same link with a fixed transmitter, and a receiver of the same kind."""
        schedule = dataclasses.replace(self.schedule, decay_iterations=None)
        fixed = {"transmitter": name, "initial_codebook": design.NETWORK}
        return dataclasses.replace(self, schedule=schedule, **fixed)

    @property
    def transmitter_spec(self) -> NetworkSpec:
        """Name and sizes of the transmitter."""
        return transmitter_spec(self.transmitter, self.messages, self.uses, self.hidden)

    @property
    def received_uses(self) -> int:
        """D, complex symbols of a received block."""
        return output_uses(self.channel, self.uses)

    @property
    def receiver_name(self) -> str:
        """Name of the receiver; without trials, `auto` is resolved by the channel."""
        if self.receiver == design.AUTO:
            return "quadratic" if self.channel.has_unknown_gain else "mlp"
        return self.receiver

    @property
    def starts_from_codebook(self) -> bool:
        """Whether the transmitter learns from a classical code."""
        return self.initial_codebook not in (design.AUTO, design.NETWORK)

    @property
    def can_start_from_codebook(self) -> bool:
        """Whether the transmitter can learn from any codebook: all of its codewords.

        It has an output layer that reaches them, with as many hidden units as messages.
        """
        return self.transmitter in TRANSMITTERS and self.messages <= self.hidden

    @property
    def jittable(self) -> bool:
        """Whether the channel is no black box."""
        return not self.channel.is_black_box

    def close(self) -> None:
        """Does nothing: a user's channel is a function."""

    def as_jittable(self) -> "Link":
        """Link of the same shapes whose channel is no black box."""
        if not self.channel.is_black_box:
            return self
        return dataclasses.replace(self, channel=stand_in(self.channel, self.uses))

    def check(self) -> None:
        """Raises InvalidInputError if a setting is invalid, or excludes another one."""
        validate(self)
        for part in (self.channel, self.feedback, self.perturbation, self.schedule):
            part.check()
        check_link(self)

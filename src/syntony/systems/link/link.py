"""A link that learns: transmitter and receiver, and an unknown channel between them.

One iteration of learning:

    n_R times, the receiver: messages m are sent as x = f_T(m) and come as y;
        descend −ln f_R(y)_m in the receiver's weights
    n_T times, the transmitter: messages m are sent as x_p = √(1 − σ_π²) x + w;
        the receiver, as it is, feeds back its losses l = −ln f_R(y)_m;
        descend the mean of (l − b) ln π(x_p | x) in the transmitter's weights

Nobody differentiates the channel: all that crosses it are signals, and losses back.

Source: Aoudia & Hoydis, "End-to-End Learning of Communications Systems Without a
    Channel Model", Asilomar 2018, the alternating algorithm.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from syntony.channels.awgn import AWGN
from syntony.channels.channel import Channel
from syntony.channels.feedback import Feedback
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.registry import as_channel
from syntony.config import check_literals, pytree_dataclass
from syntony.equations import signal
from syntony.equations.score import mean_baseline
from syntony.errors import InvalidInputError
from syntony.networks.modems import (
    EqualizingReceiver,
    GaussianReceiver,
    Receiver,
    Transmitter,
)
from syntony.systems.link.agreement import gradient_cosine_similarity
from syntony.systems.link.compatible import check_compatibility
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
    PerturbedBatch,
    backprop_loss_and_grad,
    collect_perturbed_losses,
    policy_gradient,
    sample_messages,
    sample_perturbations,
    spsa_loss_and_grad,
)
from syntony.systems.link.receiver import (
    AnyReceiver,
    block_errors,
    block_nll,
    receiver_loss_and_grad,
    tree_add,
    tree_div,
)
from syntony.systems.link.schedule import EarlyStoppingState, TrainingSchedule
from syntony.systems.system import EvalSamples, Metrics

Carry = TypeVar("Carry")


class LinkState(NamedTuple):
    """All that training changes."""

    transmitter: Transmitter
    transmitter_opt_state: PyTree
    receiver: AnyReceiver
    receiver_opt_state: PyTree
    pending_feedback: PerturbedBatch
    """Batches whose losses are still on their way, oldest first."""
    early_stopping: EarlyStoppingState
    key: Key[Array, ""]
    iterations: Int[Array, ""]


@pytree_dataclass
class Link:
    """Settings of a link, and what it can do: start, learn, be measured."""

    channel: Channel = AWGN()
    """What lies between transmitter and receiver; see: syntony list channels."""
    feedback: Feedback = Feedback()
    """How the receiver's losses come back to the transmitter."""
    messages: int = 256
    """M, how many messages there are."""
    uses: int = 4
    """C, complex channel uses of a block."""
    hidden: int = 256
    """Width of transmitter and receiver (the paper's is M)."""
    receiver: Literal["auto", "mlp", "gaussian", "equalizing"] = "auto"
    """One hidden layer (plain), one behind a network that estimates the fading and
    divides by it (equalising), or a learned centre for each message, with white noise
    around it (gaussian); auto: equalising where the channel fades, else plain."""
    channel_estimator_hidden: int = 20
    """Width of the network that estimates the fading."""
    power_constraint: Literal["average", "codeword", "symbol", "clipped"] = "average"
    """What has energy 1 a use: the codebook on average, each codeword, each symbol; or
    the codebook on average before its symbols are clipped at `peak`."""
    max_amplitude: float = 1.5
    """Largest amplitude of a clipped symbol, where 1 is the root of the mean energy."""
    gradient: Literal["policy", "spsa", "backprop"] = "policy"
    """How the transmitter learns: by policy gradient, by two-sided perturbation, or
    through the channel, which must be differentiable (the reference)."""
    perturb_receiver_batches: bool = False
    """Train the receiver on perturbed symbols as well."""
    training_snr_offset_db: float = 0.0
    """How much quieter than where it is measured the channel is while both sides learn,
    as if their first meeting were nearer."""
    perturbation: PerturbationConfig = PerturbationConfig()
    schedule: TrainingSchedule = TrainingSchedule()

    def __post_init__(self):
        # An id, or a function of NumPy arrays, stands for its channel.
        given = self.channel
        if isinstance(given, str) or (
            callable(given) and not hasattr(given, "is_black_box")
        ):
            object.__setattr__(self, "channel", as_channel(self.channel))

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        check_literals(self)
        for name, least in (("messages", 2), ("uses", 1), ("hidden", 1)):
            if not least <= (value := getattr(self, name)) <= 2**16:
                raise InvalidInputError(
                    f"{name} is {value}; expected {least} to {2**16:,}"
                )
        if self.channel_estimator_hidden < 1:
            raise InvalidInputError(
                f"channel_estimator_hidden is {self.channel_estimator_hidden}; expected at least 1"
            )
        if not self.max_amplitude > 0.0:
            raise InvalidInputError(
                f"max_amplitude is {self.max_amplitude}; expected above 0"
            )
        self.channel.check()
        self.feedback.check()
        self.perturbation.check()
        self.schedule.check()
        check_compatibility(self)

    def as_jittable(self) -> "Link":
        """Returns a link of the same shapes whose channel is no black box."""
        if not self.channel.is_black_box:
            return self
        channel = Rayleigh() if self.channel.has_unknown_gain else AWGN()
        return dataclasses.replace(self, channel=channel)

    def init(self, key: Key[Array, ""]) -> LinkState:
        keys = jax.random.split(key, 3)
        transmitter = Transmitter(self.messages, self.hidden, self.uses, key=keys[0])
        receiver = self.init_receiver(keys[1])
        optimiser = self.schedule.optimizer_at(jnp.zeros((), jnp.int32))
        batch, delay = self.schedule.batch_size, self.feedback.delay_iterations
        return LinkState(
            transmitter=transmitter,
            transmitter_opt_state=optimiser.init(transmitter),
            receiver=receiver,
            receiver_opt_state=optimiser.init(receiver),
            pending_feedback=PerturbedBatch(
                message=jnp.zeros((delay, batch), jnp.int32),
                noise=jnp.zeros((delay, batch, self.uses, 2)),
                loss=jnp.zeros((delay, batch)),
                received_mask=jnp.zeros((delay, batch), bool),
            ),
            early_stopping=EarlyStoppingState.init(),
            key=keys[2],
            iterations=jnp.zeros((), jnp.int32),
        )

    def step(self, state: LinkState) -> tuple[LinkState, Metrics]:
        key, receiver_key, transmitter_key = jax.random.split(state.key, 3)
        state, receiver_loss = self.train_receiver(state, receiver_key)
        state, transmitter_loss = self.train_transmitter(state, transmitter_key)
        metrics = {
            "train/receiver_loss": receiver_loss,
            "train/transmitter_loss": transmitter_loss,
        }
        stall = state.early_stopping.update(self.schedule, receiver_loss)
        iterations = state.iterations + 1
        return state._replace(
            early_stopping=stall, key=key, iterations=iterations
        ), metrics

    def train_receiver(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """Returns a wiser receiver: it descends −ln f_R(y)_m of what it hears."""
        codebook = self.codebook(state.transmitter)
        batches = self.schedule.batch_multiplier_at(state.iterations)

        def step(i: Any, carry: tuple[LinkState, Array]) -> tuple[LinkState, Array]:
            state, _ = carry
            loss, grad = self.receiver_gradient(
                state, codebook, batches, jax.random.fold_in(key, i)
            )
            return update_receiver(self.schedule, state, grad), loss

        steps = self.schedule.receiver_steps
        return self.fori_loop(steps, step, (state, jnp.zeros(())))

    def receiver_gradient(
        self,
        state: LinkState,
        codebook: Float[Array, "M C 2"],
        batches: Int[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], AnyReceiver]:
        """Returns the mean loss over some batches, and its gradient."""

        def more(i: Any, sums: tuple[Array, AnyReceiver]) -> tuple[Array, AnyReceiver]:
            message, y = self.transmit_batch(
                state, codebook, jax.random.fold_in(key, i)
            )
            return tree_add(sums, receiver_loss_and_grad(state.receiver, y, message))

        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.receiver)
        return tree_div(self.fori_loop(batches, more, nothing), batches)

    def transmit_batch(
        self, state: LinkState, codebook: Float[Array, "M C 2"], key: Key[Array, ""]
    ) -> tuple[Int[Array, " B"], Float[Array, "B C 2"]]:
        """Returns messages, and the blocks that the receiver hears of them."""
        message_key, explore_key, channel_key = jax.random.split(key, 3)
        batch = self.schedule.batch_size
        if not self.perturb_receiver_batches:
            message = sample_messages(message_key, batch, self.messages)
            return message, self.training_channel(channel_key, codebook[message])
        keys, variance = (message_key, explore_key), self.perturbation_variance(state)
        message, noise = sample_perturbations(
            self.perturbation, codebook, variance, keys, batch_size=batch
        )
        sent = signal.perturb(codebook[message], noise, variance)
        return message, self.training_channel(channel_key, sent)

    def train_transmitter(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """Returns a wiser transmitter, by the losses that the receiver feeds back."""
        batches = self.schedule.batch_multiplier_at(state.iterations)

        def step(i: Any, carry: tuple[LinkState, Array]) -> tuple[LinkState, Array]:
            state, _ = carry
            late, loss, grad = self.transmitter_gradient(
                state, batches, jax.random.fold_in(key, i)
            )
            state = update_transmitter(
                self, state._replace(pending_feedback=late), grad
            )
            return state, loss

        warm = state.iterations >= self.schedule.receiver_warmup_iterations
        steps = self.schedule.transmitter_steps * warm.astype(jnp.int32)
        return self.fori_loop(steps, step, (state, jnp.zeros(())))

    def transmitter_gradient(
        self, state: LinkState, batches: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[PerturbedBatch, Float[Array, ""], Float[Array, "M C 2"]]:
        """Returns what is still late, the mean loss, and its gradient's estimate."""
        codebook = self.codebook(state.transmitter)

        def more(
            i: Any, carry: tuple[PerturbedBatch, Any]
        ) -> tuple[PerturbedBatch, Any]:
            late, sums = carry
            late, *found = self.estimate_gradient(
                state._replace(pending_feedback=late),
                codebook,
                jax.random.fold_in(key, i),
            )
            return late, tree_add(sums, tuple(found))

        nothing = jnp.zeros(()), jnp.zeros_like(codebook)
        late, sums = self.fori_loop(batches, more, (state.pending_feedback, nothing))
        return late, *tree_div(sums, batches)

    def estimate_gradient(
        self, state: LinkState, codebook: Float[Array, "M C 2"], key: Key[Array, ""]
    ) -> tuple[PerturbedBatch, Float[Array, ""], Float[Array, "M C 2"]]:
        """Returns what is late, the loss, and the gradient, of a single batch."""
        batch, variance = self.schedule.batch_size, self.perturbation_variance(state)
        judge = partial(self.block_losses, state.receiver)
        if self.gradient == "backprop":
            loss, grad = backprop_loss_and_grad(judge, codebook, key, batch_size=batch)
            return state.pending_feedback, loss, grad
        if self.gradient == "spsa":
            loss, grad = spsa_loss_and_grad(
                self.perturbation, judge, self.feedback, codebook, key, batch_size=batch
            )
            return state.pending_feedback, loss, grad
        experience = collect_perturbed_losses(
            self.perturbation,
            judge,
            self.feedback,
            codebook,
            variance,
            key,
            batch_size=batch,
        )
        experience, late = pop_delayed(experience, state.pending_feedback)
        grad = policy_gradient(self.perturbation, experience, codebook, variance)
        return late, mean_baseline(experience.loss, experience.received_mask), grad

    def block_losses(
        self,
        receiver: AnyReceiver,
        key: Key[Array, ""],
        sent: Float[Array, "B C 2"],
        message: Int[Array, " B"],
    ) -> Float[Array, " B"]:
        """Returns what the receiver feeds back of each block, after the channel."""
        y = self.training_channel(key, sent)
        loss = block_nll(receiver, y, message, self.perturbation.temperature)
        if self.perturbation.feedback_loss == "odds":
            return signal.inverse_odds(loss)
        return loss

    @property
    def training_channel(self) -> Channel:
        """Returns the channel as it is while both sides learn."""
        snr_db = self.channel.snr_db
        if snr_db is None:
            return self.channel
        return self.channel.with_snr(snr_db + self.training_snr_offset_db)

    @jax.jit
    def codebook(self, transmitter: Transmitter) -> Float[Array, "M C 2"]:
        """Returns f_T of all messages, with energy 1 a use."""
        if self.power_constraint == "codeword":
            return signal.normalize_codeword_power(transmitter())
        if self.power_constraint == "symbol":
            return signal.normalize_symbol_power(transmitter())
        codebook = signal.normalize_average_power(transmitter())
        if self.power_constraint == "clipped":
            return signal.clip_amplitude(codebook, self.max_amplitude)
        return codebook

    def perturbation_variance(self, state: LinkState) -> Float[Array, ""]:
        """Returns σ_π² of this iteration."""
        return self.perturbation.variance_at(
            self.schedule.progress_fraction(state.iterations)
        )

    def fori_loop(
        self, num_iterations: Any, body: Callable[[Any, Carry], Carry], carry: Carry
    ) -> Carry:
        """Returns body(… body(0, carry)), compiled unless it crosses a black box."""
        if not self.channel.is_black_box:
            return jax.lax.fori_loop(0, num_iterations, body, carry)
        for i in range(int(num_iterations)):
            carry = body(i, carry)
        return carry

    def init_receiver(self, key: Key[Array, ""]) -> AnyReceiver:
        sizes = self.uses, self.hidden, self.messages
        fades = self.channel.has_unknown_gain if self.receiver == "auto" else None
        if fades or self.receiver == "equalizing":
            return EqualizingReceiver(
                *sizes, estimator_dim=self.channel_estimator_hidden, key=key
            )
        if self.receiver == "gaussian":
            return GaussianReceiver(self.uses, self.messages, key=key)
        return Receiver(*sizes, key=key)

    def num_steps(self, state: LinkState) -> Int[Array, ""]:
        return state.iterations

    def is_done(self, state: LinkState) -> Bool[Array, ""]:
        return state.early_stopping.should_stop(self.schedule)

    def evaluate(
        self, state: LinkState, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        message_key, channel_key, gradient_key = jax.random.split(key, 3)
        message = sample_messages(message_key, episodes, self.messages)
        y = self.channel(channel_key, self.codebook(state.transmitter)[message])
        samples: EvalSamples = {"eval/bler": block_errors(state.receiver, y, message)}
        # A black box may be a radio: what it costs to cross goes into learning.
        if not self.channel.is_black_box:
            cosines = gradient_cosine_similarity(self, state, gradient_key)
            samples["eval/gradient_cosine"] = cosines
        return samples

    def params(self, state: LinkState) -> PyTree[Float[Array, "..."]]:
        return {
            "transmitter": state.transmitter,
            "receiver": state.receiver,
            "codebook": self.codebook(state.transmitter),
        }


@jax.jit
def update_receiver(
    schedule: TrainingSchedule, state: LinkState, grad: AnyReceiver
) -> LinkState:
    """Returns the receiver one step wiser."""
    optimiser = schedule.optimizer_at(state.iterations, schedule.receiver_lr_multiplier)
    receiver, memory = optimiser.apply_gradients(
        grad, state.receiver_opt_state, state.receiver
    )
    return state._replace(receiver=receiver, receiver_opt_state=memory)


@jax.jit
def update_transmitter(
    link: Link, state: LinkState, grad: Float[Array, "M C 2"]
) -> LinkState:
    """Returns the transmitter one step wiser, by a gradient in its codebook."""
    _, pull_back = jax.vjp(link.codebook, state.transmitter)
    (weight_grad,) = pull_back(grad)
    transmitter, memory = link.schedule.optimizer_at(state.iterations).apply_gradients(
        weight_grad, state.transmitter_opt_state, state.transmitter
    )
    return state._replace(transmitter=transmitter, transmitter_opt_state=memory)


def pop_delayed(
    new: PerturbedBatch, pending: PerturbedBatch
) -> tuple[PerturbedBatch, PerturbedBatch]:
    """Returns the batch whose losses come back now, and those still on their way."""
    queue = jax.tree.map(lambda old, x: jnp.concatenate([old, x[None]]), pending, new)
    return jax.tree.map(lambda x: x[0], queue), jax.tree.map(lambda x: x[1:], queue)

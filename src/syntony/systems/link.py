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

from syntony.channels.awgn import Awgn
from syntony.channels.channel import Channel
from syntony.channels.feedback import Feedback
from syntony.channels.ids import as_channel
from syntony.channels.rayleigh import Rayleigh
from syntony.equations import signal
from syntony.equations.score import batch_baseline
from syntony.errors import BadInput
from syntony.networks.modems import (
    FadingReceiver,
    GaussianReceiver,
    Receiver,
    Transmitter,
)
from syntony.record import check_choices, record
from syntony.systems.agreement import gradient_cosines
from syntony.systems.compatible import check_together
from syntony.systems.estimators import (
    Experience,
    Exploration,
    draw,
    draw_messages,
    model_gradient,
    policy_gradient,
    try_out,
    two_sided_gradient,
)
from syntony.systems.hearing import (
    AnyReceiver,
    add,
    divide,
    mistaken,
    receiver_descent,
    surprise,
)
from syntony.systems.schedule import Schedule, Stall
from syntony.systems.system import Metrics, Samples

Carry = TypeVar("Carry")


class LinkState(NamedTuple):
    """All that training changes."""

    transmitter: Transmitter
    transmitter_memory: PyTree
    receiver: AnyReceiver
    receiver_memory: PyTree
    late: Experience
    """Batches whose losses are still on their way, oldest first."""
    stall: Stall
    key: Key[Array, ""]
    iterations: Int[Array, ""]


@record
class Link:
    """Settings of a link, and what it can do: start, learn, be measured."""

    channel: Channel = Awgn()
    """What lies between transmitter and receiver; see: syntony list channels."""
    feedback: Feedback = Feedback()
    """How the receiver's losses come back to the transmitter."""
    messages: int = 256
    """M, how many messages there are."""
    uses: int = 4
    """C, complex channel uses of a block."""
    hidden: int = 256
    """Width of transmitter and receiver (the paper's is M)."""
    receiver: Literal["auto", "plain", "gaussian", "equalising"] = "auto"
    """One hidden layer (plain), one behind a network that estimates the fading and
    divides by it (equalising), or a learned centre for each message, with white noise
    around it (gaussian); auto: equalising where the channel fades, else plain."""
    estimator: int = 20
    """Width of the network that estimates the fading."""
    power: Literal["average", "codeword", "symbol", "clipped"] = "average"
    """What has energy 1 a use: the codebook on average, each codeword, each symbol; or
    the codebook on average before its symbols are clipped at `peak`."""
    peak: float = 1.5
    """Largest amplitude of a clipped symbol, where 1 is the root of the mean energy."""
    gradient: Literal["policy", "spsa", "backprop"] = "policy"
    """How the transmitter learns: by policy gradient, by two-sided perturbation, or
    through the channel, which must be differentiable (the reference)."""
    receiver_exploration: bool = False
    """Train the receiver on perturbed symbols as well."""
    training_gain_db: float = 0.0
    """How much quieter than where it is measured the channel is while both sides learn,
    as if their first meeting were nearer."""
    exploration: Exploration = Exploration()
    schedule: Schedule = Schedule()

    def __post_init__(self):
        # An id, or a function of NumPy arrays, stands for its channel.
        given = self.channel
        if isinstance(given, str) or (callable(given) and not hasattr(given, "opaque")):
            object.__setattr__(self, "channel", as_channel(self.channel))

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        check_choices(self)
        for name, least in (("messages", 2), ("uses", 1), ("hidden", 1)):
            if not least <= (value := getattr(self, name)) <= 2**16:
                raise BadInput(f"{name} is {value}; expected {least} to {2**16:,}")
        if self.estimator < 1:
            raise BadInput(f"estimator is {self.estimator}; expected at least 1")
        if not self.peak > 0.0:
            raise BadInput(f"peak is {self.peak}; expected above 0")
        self.channel.check()
        self.feedback.check()
        self.exploration.check()
        self.schedule.check()
        check_together(self)

    def stand_in(self) -> "Link":
        """Returns a link of the same shapes whose channel is no black box."""
        if not self.channel.opaque:
            return self
        channel = Rayleigh() if self.channel.fading else Awgn()
        return dataclasses.replace(self, channel=channel)

    def init(self, key: Key[Array, ""]) -> LinkState:
        keys = jax.random.split(key, 3)
        transmitter = Transmitter(self.messages, self.hidden, self.uses, key=keys[0])
        receiver = self.new_receiver(keys[1])
        optimiser = self.schedule.optimiser_at(jnp.zeros((), jnp.int32))
        batch, delay = self.schedule.batch, self.feedback.delay
        return LinkState(
            transmitter=transmitter,
            transmitter_memory=optimiser.init(transmitter),
            receiver=receiver,
            receiver_memory=optimiser.init(receiver),
            late=Experience(
                message=jnp.zeros((delay, batch), jnp.int32),
                noise=jnp.zeros((delay, batch, self.uses, 2)),
                loss=jnp.zeros((delay, batch)),
                arrived=jnp.zeros((delay, batch), bool),
            ),
            stall=Stall.start(),
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
        stall = state.stall.observe(self.schedule, receiver_loss)
        iterations = state.iterations + 1
        return state._replace(stall=stall, key=key, iterations=iterations), metrics

    def train_receiver(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """Returns a wiser receiver: it descends −ln f_R(y)_m of what it hears."""
        codebook = self.codebook(state.transmitter)
        batches = self.schedule.batches_at(state.iterations)

        def step(i: Any, carry: tuple[LinkState, Array]) -> tuple[LinkState, Array]:
            state, _ = carry
            loss, grad = self.receiver_gradient(
                state, codebook, batches, jax.random.fold_in(key, i)
            )
            return descend_receiver(self.schedule, state, grad), loss

        steps = self.schedule.receiver_steps
        return self.repeat(steps, step, (state, jnp.zeros(())))

    def receiver_gradient(
        self,
        state: LinkState,
        codebook: Float[Array, "M C 2"],
        batches: Int[Array, ""],
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], AnyReceiver]:
        """Returns the mean loss over some batches, and its gradient."""

        def more(i: Any, sums: tuple[Array, AnyReceiver]) -> tuple[Array, AnyReceiver]:
            message, y = self.hear(state, codebook, jax.random.fold_in(key, i))
            return add(sums, receiver_descent(state.receiver, y, message))

        nothing = jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.receiver)
        return divide(self.repeat(batches, more, nothing), batches)

    def hear(
        self, state: LinkState, codebook: Float[Array, "M C 2"], key: Key[Array, ""]
    ) -> tuple[Int[Array, " B"], Float[Array, "B C 2"]]:
        """Returns messages, and the blocks that the receiver hears of them."""
        message_key, explore_key, channel_key = jax.random.split(key, 3)
        batch = self.schedule.batch
        if not self.receiver_exploration:
            message = draw_messages(message_key, batch, self.messages)
            return message, self.practised(channel_key, codebook[message])
        keys, variance = (message_key, explore_key), self.variance(state)
        message, noise = draw(self.exploration, codebook, variance, keys, batch=batch)
        sent = signal.perturb(codebook[message], noise, variance)
        return message, self.practised(channel_key, sent)

    def train_transmitter(
        self, state: LinkState, key: Key[Array, ""]
    ) -> tuple[LinkState, Float[Array, ""]]:
        """Returns a wiser transmitter, by the losses that the receiver feeds back."""
        batches = self.schedule.batches_at(state.iterations)

        def step(i: Any, carry: tuple[LinkState, Array]) -> tuple[LinkState, Array]:
            state, _ = carry
            late, loss, grad = self.codebook_gradient(
                state, batches, jax.random.fold_in(key, i)
            )
            state = descend_transmitter(self, state._replace(late=late), grad)
            return state, loss

        warm = state.iterations >= self.schedule.warm_up
        steps = self.schedule.transmitter_steps * warm.astype(jnp.int32)
        return self.repeat(steps, step, (state, jnp.zeros(())))

    def codebook_gradient(
        self, state: LinkState, batches: Int[Array, ""], key: Key[Array, ""]
    ) -> tuple[Experience, Float[Array, ""], Float[Array, "M C 2"]]:
        """Returns what is still late, the mean loss, and its gradient's estimate."""
        codebook = self.codebook(state.transmitter)

        def more(i: Any, carry: tuple[Experience, Any]) -> tuple[Experience, Any]:
            late, sums = carry
            late, *found = self.estimate(
                state._replace(late=late), codebook, jax.random.fold_in(key, i)
            )
            return late, add(sums, tuple(found))

        nothing = jnp.zeros(()), jnp.zeros_like(codebook)
        late, sums = self.repeat(batches, more, (state.late, nothing))
        return late, *divide(sums, batches)

    def estimate(
        self, state: LinkState, codebook: Float[Array, "M C 2"], key: Key[Array, ""]
    ) -> tuple[Experience, Float[Array, ""], Float[Array, "M C 2"]]:
        """Returns what is late, the loss, and the gradient, of a single batch."""
        batch, variance = self.schedule.batch, self.variance(state)
        judge = partial(self.judge, state.receiver)
        if self.gradient == "backprop":
            loss, grad = model_gradient(judge, codebook, key, batch=batch)
            return state.late, loss, grad
        if self.gradient == "spsa":
            loss, grad = two_sided_gradient(
                self.exploration, judge, self.feedback, codebook, key, batch=batch
            )
            return state.late, loss, grad
        experience = try_out(
            self.exploration, judge, self.feedback, codebook, variance, key, batch=batch
        )
        experience, late = delayed(experience, state.late)
        grad = policy_gradient(self.exploration, experience, codebook, variance)
        return late, batch_baseline(experience.loss, experience.arrived), grad

    def judge(
        self,
        receiver: AnyReceiver,
        key: Key[Array, ""],
        sent: Float[Array, "B C 2"],
        message: Int[Array, " B"],
    ) -> Float[Array, " B"]:
        """Returns what the receiver feeds back of each block, after the channel."""
        y = self.practised(key, sent)
        loss = surprise(receiver, y, message, self.exploration.temperature)
        if self.exploration.criterion == "odds":
            return signal.odds_against(loss)
        return loss

    @property
    def practised(self) -> Channel:
        """Returns the channel as it is while both sides learn."""
        snr_db = self.channel.snr_db
        if snr_db is None:
            return self.channel
        return self.channel.at(snr_db + self.training_gain_db)

    @jax.jit
    def codebook(self, transmitter: Transmitter) -> Float[Array, "M C 2"]:
        """Returns f_T of all messages, with energy 1 a use."""
        if self.power == "codeword":
            return signal.codeword_power(transmitter())
        if self.power == "symbol":
            return signal.constant_modulus(transmitter())
        codebook = signal.average_power(transmitter())
        if self.power == "clipped":
            return signal.clip_amplitude(codebook, self.peak)
        return codebook

    def variance(self, state: LinkState) -> Float[Array, ""]:
        """Returns σ_π² of this iteration."""
        return self.exploration.variance_at(self.schedule.passed(state.iterations))

    def repeat(
        self, times: Any, body: Callable[[Any, Carry], Carry], carry: Carry
    ) -> Carry:
        """Returns body(… body(0, carry)), compiled unless it crosses a black box."""
        if not self.channel.opaque:
            return jax.lax.fori_loop(0, times, body, carry)
        for i in range(int(times)):
            carry = body(i, carry)
        return carry

    def new_receiver(self, key: Key[Array, ""]) -> AnyReceiver:
        sizes = self.uses, self.hidden, self.messages
        fades = self.channel.fading if self.receiver == "auto" else None
        if fades or self.receiver == "equalising":
            return FadingReceiver(*sizes, estimator=self.estimator, key=key)
        if self.receiver == "gaussian":
            return GaussianReceiver(self.uses, self.messages, key=key)
        return Receiver(*sizes, key=key)

    def progress(self, state: LinkState) -> Int[Array, ""]:
        return state.iterations

    def done(self, state: LinkState) -> Bool[Array, ""]:
        return state.stall.over(self.schedule)

    def evaluate(self, state: LinkState, key: Key[Array, ""], episodes: int) -> Samples:
        message_key, channel_key, gradient_key = jax.random.split(key, 3)
        message = draw_messages(message_key, episodes, self.messages)
        y = self.channel(channel_key, self.codebook(state.transmitter)[message])
        samples: Samples = {"eval/bler": mistaken(state.receiver, y, message)}
        # A black box may be a radio: what it costs to cross goes into learning.
        if not self.channel.opaque:
            cosines = gradient_cosines(self, state, gradient_key)
            samples["eval/gradient_cosine"] = cosines
        return samples

    def weights(self, state: LinkState) -> PyTree[Float[Array, "..."]]:
        return {
            "transmitter": state.transmitter,
            "receiver": state.receiver,
            "codebook": self.codebook(state.transmitter),
        }


@jax.jit
def descend_receiver(
    schedule: Schedule, state: LinkState, grad: AnyReceiver
) -> LinkState:
    """Returns the receiver one step wiser."""
    optimiser = schedule.optimiser_at(state.iterations, schedule.receiver_rate)
    receiver, memory = optimiser.descend(grad, state.receiver_memory, state.receiver)
    return state._replace(receiver=receiver, receiver_memory=memory)


@jax.jit
def descend_transmitter(
    link: Link, state: LinkState, grad: Float[Array, "M C 2"]
) -> LinkState:
    """Returns the transmitter one step wiser, by a gradient in its codebook."""
    _, pull_back = jax.vjp(link.codebook, state.transmitter)
    (weight_grad,) = pull_back(grad)
    transmitter, memory = link.schedule.optimiser_at(state.iterations).descend(
        weight_grad, state.transmitter_memory, state.transmitter
    )
    return state._replace(transmitter=transmitter, transmitter_memory=memory)


def delayed(new: Experience, late: Experience) -> tuple[Experience, Experience]:
    """Returns the batch whose losses come back now, and those still on their way."""
    queue = jax.tree.map(lambda old, x: jnp.concatenate([old, x[None]]), late, new)
    return jax.tree.map(lambda x: x[0], queue), jax.tree.map(lambda x: x[1:], queue)

"""Protocol of all systems, and the capability protocols.

`System` is what training needs. What a command, a figure or a section of the report
needs beyond that is a capability: a protocol that a system may have, asked for with
`isinstance`. No code outside of a system's own package asks for its class.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, Key, Shaped
from typing_extensions import TypeVar

from syntony.channels.channel import AnyChannel, ChannelState
from syntony.channels.feedback import Feedback
from syntony.pytrees import PyTree
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

# `System` alone is one of any state: a loop over systems does not look into states.
StateT = TypeVar("StateT", default=Any)
"""State of a system: a pytree of arrays."""
Metrics = dict[str, Float[Array, ""]]
EvalSamples = dict[str, Shaped[Array, " samples"]]
"""Metric to one value for each episode (or block) of an evaluation."""


@runtime_checkable
class System(Protocol[StateT]):
    """Settings with pure methods; everything that training changes is in a state."""

    @property
    def step_unit(self) -> str:
        """Unit of `num_steps` in the plural: "environment steps", "iterations"."""
        ...

    @property
    def jittable(self) -> bool:
        """Whether all methods can be compiled: the system contains no black box.

        One that is not jittable is a `HasBlackBox`.
        """
        ...

    def check(self) -> None:
        """Raises `InvalidInputError` where a setting is invalid; called first."""
        ...

    def init(self, key: Key[Array, ""]) -> StateT:
        """Initial state; the key is consumed.

        The state is one pytree of arrays with everything that a resumed run needs:
        saving it is saving the run.
        """
        ...

    def step(self, state: StateT) -> tuple[StateT, Metrics]:
        """State and metrics after one training step."""
        ...

    def num_steps(self, state: StateT) -> Int[Array, ""]:
        """Counter that `--steps` limits, in units of `step_unit`."""
        ...

    def is_done(self, state: StateT) -> Bool[Array, ""]:
        """Whether training has ended, whatever `--steps` says."""
        ...

    def evaluate(
        self, state: StateT, key: Key[Array, ""], episodes: int
    ) -> EvalSamples:
        """One value for each episode of every metric, e.g. `eval/return_mean`.

        A metric is named after the mean of its values, which is what a run reports,
        with a confidence interval.
        """
        ...

    def params(self, state: StateT) -> PyTree[Float[Array, "..."]]:
        """Learned parameters by name, as exported to `model.npz`."""
        ...


@runtime_checkable
class HasBlackBox(System[StateT], Protocol[StateT]):
    """Capability of a system that may step an external environment or a user's channel.

    Where the system is not `jittable`, `step` and `evaluate` run in Python.
    """

    def as_jittable(self) -> System[StateT]:
        """System of the same shapes whose methods can be compiled; itself if it can."""
        ...

    def close(self) -> None:
        """Releases what the black box holds, e.g. open environments."""
        ...


@contextmanager
def closing_black_box(system: object) -> Generator[None, None, None]:
    """Context that closes a system's black box at its end, if it has one."""
    try:
        yield
    finally:
        if isinstance(system, HasBlackBox):
            system.close()


@runtime_checkable
class DependsOnSteps(System[StateT], Protocol[StateT]):
    """Capability of a system with settings that follow from the training length."""

    def resolve_steps(self, steps: int) -> System[StateT]:
        """The system with those settings resolved; one that is set stays as it is."""
        ...


@runtime_checkable
class ChoosesSettings(System[StateT], Protocol[StateT]):
    """Capability of a system that chooses settings by trials before the training."""

    @property
    def has_open_settings(self) -> bool:
        """Whether there are settings to choose."""
        ...

    def choose_settings(self, key: Key[Array, ""]) -> tuple[System[StateT], str]:
        """The system with those settings chosen, and a line that says them.

        Args:
            key: consumed.
        """
        ...

    def with_open_settings(self, stored: Mapping[str, object]) -> System[StateT]:
        """The system with those settings taken from the stored ones of a run."""
        ...


@runtime_checkable
class StartsFromWeights(System[StateT], Protocol[StateT]):
    """Capability of a system whose training can start from the weights of a run."""

    def weights(self, state: StateT) -> Mapping[str, PyTree[Array]]:
        """Parts of what was learned, by name, e.g. "actor"; each can be taken alone.

        A part is a network with its target network. Statistics that normalize are parts
        of their own, whose names end in `_stats`; they are taken with every part.
        Optimizer states, counters, random keys and replay buffers are in none.
        """
        ...

    def with_weights(
        self, state: StateT, weights: Mapping[str, PyTree[Array]]
    ) -> StateT:
        """An initial state with these weights, and the optimizer states of new ones.

        Args:
            state: an initial state.
            weights: all parts, of the shapes of `weights(state)`.
        """
        ...


@runtime_checkable
class DiagnosesNonFinite(System[StateT], Protocol[StateT]):
    """Capability of a system that can tell where a non-finite number came from."""

    def diagnose(self, state: StateT) -> str:
        """Error of the environment in the next `step`, in words; empty without one."""
        ...


@runtime_checkable
class ActsInEpisodes(System[StateT], Protocol[StateT]):
    """Capability of a team of agents that acts in the episodes of a task."""

    @property
    def task(self) -> Task:
        """The task of the training."""
        ...

    def with_task(self, task: Task) -> "ActsInEpisodes[StateT]":
        """The same system in another task of the same shapes."""
        ...

    def policy(self, state: StateT) -> Policy:
        """Policy of all agents: observations and hidden state to logits."""
        ...

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        """Hidden state of the policy at the start of so many episodes."""
        ...

    def collect_episodes(
        self,
        state: StateT,
        key: Key[Array, ""],
        episodes: int,
        greedy: Bool[Array, ""] | bool = False,
    ) -> Trajectory:
        """Whole episodes of the present policy; the key is consumed."""
        ...


@runtime_checkable
class DrawsRandomNumbers(ActsInEpisodes[StateT], Protocol[StateT]):
    """Capability of a team whose policy is random before actions are drawn.

    An example is a channel between the agents. The keys are in the hidden state.
    """

    def draw_hidden(self, key: Key[Array, ""], episodes: int) -> PyTree[Array]:
        """Hidden state of the policy at the start of so many episodes.

        Args:
            key: consumed.
            episodes: their number.
        """
        ...


def start_hidden(
    team: ActsInEpisodes[StateT], key: Key[Array, ""], episodes: int
) -> PyTree[Array]:
    """Hidden state of a team's policy at the start of episodes.

    Args:
        team: the team.
        key: of the random numbers of its policy, if it draws any; consumed.
        episodes: number of episodes.
    """
    if isinstance(team, DrawsRandomNumbers):
        return team.draw_hidden(key, episodes)
    return team.initial_hidden(episodes)


@runtime_checkable
class HasParallelEnvs(System[StateT], Protocol[StateT]):
    """Capability of a team that collects an episode in each of several environments."""

    @property
    def num_envs(self) -> int:
        """Episodes that are collected before each update."""
        ...


@runtime_checkable
class ObservesLastAction(ActsInEpisodes[StateT], Protocol[StateT]):
    """Capability of a team whose policy may observe the agents' last actions."""

    @property
    def last_action(self) -> bool:
        """Whether one-hot last actions follow the observations of the task."""
        ...


@runtime_checkable
class HasEvaluationState(System[StateT], Protocol[StateT]):
    """Capability of a system that acts differently in evaluations."""

    def evaluation_state(self, state: StateT) -> StateT:
        """State whose policy is evaluated, e.g. one with less exploration."""
        ...


def observes_last_action(team: ActsInEpisodes) -> bool:
    """Whether one-hot last actions follow the observations that a team acts on."""
    return isinstance(team, ObservesLastAction) and team.last_action


class DecodedBelief(NamedTuple):
    """Decoded belief of each agent, beside the true observations and the filter."""

    others: Float[Array, "*batch N F"]
    """o_-i, observations of agent i's teammates, not normalized."""
    prediction: Float[Array, "*batch N F"]
    """ô_-i, decoded from the mean of agent i's belief, in units of `others`."""
    filter_weights: Float[Array, "*batch N F"]
    """w_i, in (0, 1)."""


@runtime_checkable
class HasBeliefs(ActsInEpisodes[StateT], Protocol[StateT]):
    """Capability of a team whose agents model what their teammates observe."""

    def encode_beliefs(
        self, state: StateT, obs: Float[Array, "*batch N O"]
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Mean μ and log-variance ln σ² of each agent's belief."""
        ...

    def decode_beliefs(
        self, state: StateT, obs: Float[Array, "*batch N O"]
    ) -> DecodedBelief:
        """Decoded beliefs of all agents, and their filter weights."""
        ...


@runtime_checkable
class HasChannel(System[StateT], Protocol[StateT]):
    """Capability of a system that transmits symbols over a channel."""

    @property
    def uses(self) -> int:
        """Complex channel uses C of a block."""
        ...

    @property
    def channel(self) -> AnyChannel:
        """The channel of the training."""
        ...

    def with_channel(self, channel: AnyChannel) -> "HasChannel[StateT]":
        """The same system over another channel."""
        ...


@runtime_checkable
class TransmitsMessages(HasChannel[StateT], Protocol[StateT]):
    """Capability of a system that transmits one of M messages over a channel."""

    @property
    def messages(self) -> int:
        """Number of messages M."""
        ...

    @property
    def uses(self) -> int:
        """Complex channel uses C of a codeword."""
        ...

    @property
    def channel(self) -> AnyChannel:
        """The channel of the training."""
        ...

    @property
    def power_constraint(self) -> str:
        """The symbols or codewords that have energy 1 per channel use."""
        ...

    def with_channel(self, channel: AnyChannel) -> "TransmitsMessages[StateT]":
        """The same system over another channel."""
        ...

    def codewords(self, state: StateT) -> Float[Array, "M C 2"]:
        """Codewords of all messages, with mean energy 1 per channel use."""
        ...

    def message_logits(
        self, state: StateT, y: Float[Array, "B D 2"]
    ) -> Float[Array, "B M"]:
        """Logits of all messages, given received blocks."""
        ...

    def channel_state(self, state: StateT) -> ChannelState:
        """State of the channel after the training; () without memory."""
        ...

    def with_channel_state(self, state: StateT, channel_state: ChannelState) -> StateT:
        """The state with another one of the channel, e.g. of another channel."""
        ...


@runtime_checkable
class HasFixedTransmitters(TransmitsMessages[StateT], Protocol[StateT]):
    """Capability of a link that can be trained with the transmitter of a given code."""

    @property
    def has_fixed_transmitter(self) -> bool:
        """Whether this link has one."""
        ...

    def receiver_blocks(self, iterations: int) -> int:
        """Blocks that the first iterations send to train the receiver."""
        ...

    def with_fixed_transmitter(self, name: str) -> "HasFixedTransmitters[StateT]":
        """The same link with a fixed transmitter, and a receiver of the same kind.

        Args:
            name: of a classical code (`systems.link.codes`), or codebook:FILE; whether
                it fits, `check` tells.
        """
        ...


class FeedbackSamples(NamedTuple):
    """Losses of the blocks of one batch, on both ends of the feedback link."""

    sent: Float[Array, " B"]
    received: Float[Array, " B"]
    arrived: Bool[Array, " B"]
    """False where the feedback link erased a loss."""


@runtime_checkable
class LearnsFromFeedback(TransmitsMessages[StateT], Protocol[StateT]):
    """Capability of a link whose transmitter learns from losses that are fed back."""

    @property
    def feedback(self) -> Feedback:
        """The feedback link."""
        ...

    @property
    def feedback_unit(self) -> str:
        """Unit of the losses, e.g. "nats"."""
        ...

    @property
    def gradient(self) -> str:
        """Name of the estimator of the transmitter's gradient."""
        ...

    def sample_feedback(self, state: StateT, key: Key[Array, ""]) -> FeedbackSamples:
        """Losses of one batch of the present transmitter; the key is consumed."""
        ...

    def sample_gradient(
        self, state: StateT, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, "M C 2"]]:
        """Mean loss of one batch, and the estimate of its gradient in the codewords."""
        ...


@runtime_checkable
class TransmitsObservations(
    ActsInEpisodes[StateT], HasChannel[StateT], Protocol[StateT]
):
    """Capability of a team whose agents transmit what they observe to each other.

    Agent j sends C symbols x_j = f_T(o_j) in every environment step. Agent i receives a
    block of D symbols of each teammate j, over a draw of the channel of its own. What
    an agent received is stored as in `Trajectory.received`: the blocks of its teammates
    in index order, R = (N − 1) 2 D numbers, [N − 1, D, 2]; zeros without a link.
    """

    @property
    def uses(self) -> int:
        """Complex channel uses C of an agent in an environment step."""
        ...

    @property
    def channel(self) -> AnyChannel:
        """The channel of the evaluation, between any two agents."""
        ...

    @property
    def power_constraint(self) -> str:
        """The symbols or blocks that have energy 1 per channel use."""
        ...

    @property
    def links(self) -> Bool[Array, "N N"]:
        """Communication graph: whether agent i (row) receives agent j (column)."""
        ...

    def with_channel(self, channel: AnyChannel) -> "TransmitsObservations[StateT]":
        """The same team over another channel."""
        ...

    def symbols(
        self, state: StateT, obs: Float[Array, "*batch N O"]
    ) -> Float[Array, "*batch N C 2"]:
        """Symbols x_j that the agents send for these observations."""
        ...

    def receive(
        self, state: StateT, key: Key[Array, ""], obs: Float[Array, "B N O"]
    ) -> Float[Array, "B N R"]:
        """Blocks that the agents receive when these observations are sent once.

        Scaled as the encoders see them: of mean energy 1 per use at a high SNR. The key
        is consumed.
        """
        ...

    def encode_received(
        self,
        state: StateT,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Mean μ and log-variance ln σ² of beliefs, given what was received."""
        ...

    def decode_received(
        self,
        state: StateT,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> DecodedBelief:
        """Decoded beliefs of all agents, and their filter weights."""
        ...


@runtime_checkable
class HasSnapshots(System[StateT], Protocol[StateT]):
    """Capability of a system of whose states an animation of the training is made."""

    def snapshot(self, state: StateT) -> Mapping[str, Shaped[Array, "..."]]:
        """Small arrays by name, of the same shapes at every step.

        At most `training.snapshots.MAX_SNAPSHOT_BYTES`; not named `step`. A link's
        `message` and `codebook` are drawn as a constellation.
        """
        ...

"""Team whose agents transmit before they act: symbols, exchange, and policy."""

from abc import abstractmethod
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from syntony.channels.channel import AnyChannel, ChannelState, output_uses
from syntony.channels.feedback import Feedback
from syntony.channels.stand_in import stand_in
from syntony.equations import signal
from syntony.errors import InvalidInputError
from syntony.networks.agents import (
    other_agents_obs,
)
from syntony.networks.layers import MLP
from syntony.pytrees import PyTree
from syntony.systems.air.config import TransmissionConfig
from syntony.systems.air.states import (
    AirHidden,
    OverTheAirState,
    TransmissionState,
)
from syntony.systems.air.transmission import (
    init_channels,
    noise_power_of,
    normalize_power,
    parse_graph,
    raw_symbols,
    scale_received,
    teammate_links,
    transmit_to_teammates,
)
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe import (
    SMPE,
)
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    decode,
    encode,
    normalize_obs,
)
from syntony.systems.marl.team_actors import act
from syntony.systems.system import DecodedBelief
from syntony.tasks.rollout import Policy
from syntony.tasks.task import Task


class TransmittingTeam(MultiAgentSystem[OverTheAirState]):
    """SMPE² whose agents transmit in every environment step, however they learn."""

    task: Task
    channel: AnyChannel
    uses: int
    link_feedback: Feedback
    transmission: TransmissionConfig
    actor_critic: ActorCriticConfig
    beliefs: BeliefConfig

    @property
    @abstractmethod
    def smpe(self) -> SMPE:
        """SMPE², which trains all but the transmitters."""

    def policy(self, state: OverTheAirState) -> Policy:
        """Policy of all agents: they transmit, receive, and act."""
        channel = self.channel_at(state.link)

        def policy(
            obs: Float[Array, "E N O"], hidden: AirHidden
        ) -> tuple[Float[Array, "E N A"], AirHidden]:
            key, channel_key, sent = self.send(state, obs, hidden)
            channel_state, received = self.exchange(
                state, channel, channel_key, hidden.channel_state, obs, sent
            )
            logits, actor_hidden = self.act(state, obs, received, hidden.actor)
            hidden = AirHidden(actor_hidden, key, channel_state, sent, received)
            return logits, hidden

        return policy

    # What is between two calls of a black box is compiled as one program.
    @jax.jit
    def send(
        self, state: OverTheAirState, obs: Float[Array, "E N O"], hidden: AirHidden
    ) -> tuple[Key[Array, ""], Key[Array, ""], Float[Array, "E N C 2"]]:
        """Next key, key of the channel, and symbols, perturbed if agents explore."""
        key, noise_key, channel_key = jax.random.split(hidden.key, 3)
        x = self.symbols(state, obs)
        if self.transmission.feedback_signal != "return":
            return key, channel_key, x
        variance = jnp.asarray(self.transmission.link_perturbation_variance)
        blocks = x.reshape(-1, *x.shape[-2:])
        noise = signal.complex_noise(noise_key, blocks.shape[:-1], variance)
        perturbed = signal.perturb(blocks, noise, variance).reshape(x.shape)
        return key, channel_key, jnp.where(state.link.explores, perturbed, x)

    def exchange(
        self,
        state: OverTheAirState,
        channel: AnyChannel,
        key: Key[Array, ""],
        channel_state: ChannelState,
        obs: Float[Array, "B N O"],
        sent: Float[Array, "B N C 2"],
    ) -> tuple[ChannelState, Float[Array, "B N R"]]:
        """States of the channels after a step, and what the encoders see of it.

        Args:
            state: statistics.
            channel: at the present SNR.
            key: consumed.
            channel_state: before the step.
            obs: observations, which agents see where communication is perfect.
            sent: symbols.
        """
        if self.transmission.communication == "learned":
            channel_state, y = transmit_to_teammates(channel, key, channel_state, sent)
            return channel_state, self.encoder_input(state, y)
        if self.transmission.communication == "none":
            return channel_state, jnp.zeros((*obs.shape[:-1], self.received_dim))
        return channel_state, self.teammates_obs(state, obs)

    @jax.jit
    def encoder_input(
        self, state: OverTheAirState, y: Float[Array, "B N N1 D 2"]
    ) -> Float[Array, "B N R"]:
        """Received blocks as the encoders see them; zeros without a link."""
        scaled = scale_received(state.link.received_stats, self.noise_at(state.link), y)
        linked = jnp.asarray(teammate_links(self.link_mask))[..., None, None]
        return jnp.where(linked, scaled, 0.0).reshape(*y.shape[:2], -1)

    @jax.jit
    def teammates_obs(
        self, state: OverTheAirState, obs: Float[Array, "B N O"]
    ) -> Float[Array, "B N F"]:
        """Normalized observations of the teammates; zeros without a link."""
        own = normalize_obs(self.beliefs, state.team.beliefs.shared_stats, obs)
        blocks = other_agents_obs(own).reshape(*obs.shape[:2], -1, obs.shape[-1])
        linked = jnp.asarray(teammate_links(self.link_mask))[..., None]
        return jnp.where(linked, blocks, 0.0).reshape(*obs.shape[:2], -1)

    @jax.jit
    def act(
        self,
        state: OverTheAirState,
        obs: Float[Array, "E N O"],
        received: Float[Array, "E N R"],
        actor_hidden: PyTree[Array],
    ) -> tuple[Float[Array, "E N A"], PyTree[Array]]:
        """Logits of all agents, and the next hidden state of the actors."""
        return act(
            state.team.actor,
            self.smpe.actor_inputs(state.team, obs, received),
            actor_hidden,
            shared=self.actor_critic.shared_actor,
        )

    def initial_hidden(self, episodes: int) -> AirHidden:
        return self.draw_hidden(jax.random.key(0), episodes)

    def draw_hidden(self, key: Key[Array, ""], episodes: int) -> AirHidden:
        """Hidden state of so many episodes, with the channels of each."""
        channel_key, key = jax.random.split(key)
        agents = episodes, self.task.num_agents
        return AirHidden(
            actor=self.smpe.initial_hidden(episodes),
            key=key,
            channel_state=init_channels(self.channel, channel_key, episodes),
            sent=jnp.zeros((*agents, self.uses, 2)),
            received=jnp.zeros((*agents, self.received_dim)),
        )

    @jax.jit
    def symbols(
        self, state: OverTheAirState, obs: Float[Array, "*batch N O"]
    ) -> Float[Array, "*batch N C 2"]:
        """Symbols x_j that the agents send for these observations."""
        return self.normalized_symbols(state, state.link.transmitters, obs)

    def normalized_symbols(
        self,
        state: OverTheAirState,
        transmitters: MLP,
        obs: Float[Array, "*batch N O"],
    ) -> Float[Array, "*batch N C 2"]:
        """f_T(o) of given transmitters, with energy 1 per use."""
        own = normalize_obs(self.beliefs, state.team.beliefs.shared_stats, obs)
        raw = raw_symbols(transmitters, own)
        constraint = self.transmission.link_power_constraint
        return normalize_power(constraint, raw, state.link.mean_energy)

    def receive(
        self, state: OverTheAirState, key: Key[Array, ""], obs: Float[Array, "B N O"]
    ) -> Float[Array, "B N R"]:
        """Blocks that the agents receive when these observations are sent once."""
        sent = self.symbols(state, obs)
        return self.transmit_again(state, key, obs, sent)[0]

    def transmit_again(
        self,
        state: OverTheAirState,
        key: Key[Array, ""],
        obs: Float[Array, "B N O"],
        sent: Float[Array, "B N C 2"],
    ) -> tuple[Float[Array, "B N R"], Float[Array, "B N N1 D 2"] | None]:
        """Blocks received outside of episodes, scaled and as they are.

        The second is None where no symbols are transmitted.
        """
        init_key, channel_key = jax.random.split(key)
        channel = self.channel_at(state.link)
        if self.transmission.communication != "learned":
            received = self.exchange(state, channel, channel_key, (), obs, sent)[1]
            return received, None
        channel_state = init_channels(channel, init_key, len(obs))
        _, y = transmit_to_teammates(channel, channel_key, channel_state, sent)
        return self.encoder_input(state, y), y

    def encode_received(
        self,
        state: OverTheAirState,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Mean μ and log-variance ln σ² of beliefs, given what was received."""
        return encode(self.beliefs, state.team.beliefs, obs, received)

    def decode_received(
        self,
        state: OverTheAirState,
        obs: Float[Array, "*batch N O"],
        received: Float[Array, "*batch N R"],
    ) -> DecodedBelief:
        """Decoded beliefs of all agents, in units of the observations."""
        return decode(self.beliefs, state.team.beliefs, obs, received)

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.num_envs

    @property
    def has_black_box_policy(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.channel.is_black_box

    def jittable_fields(self) -> Mapping[str, object]:
        """The channel without its black box."""
        if not self.channel.is_black_box:
            return {}
        return {"channel": stand_in(self.channel, self.uses)}

    @property
    def trains_transmitters(self) -> bool:
        """Whether symbols are transmitted and learned."""
        return self.transmission.communication == "learned"

    @property
    def power_constraint(self) -> str:
        """The symbols or blocks that have energy 1 per channel use."""
        return self.transmission.link_power_constraint

    @property
    def link_mask(self) -> Bool[np.ndarray, "N N"]:
        """Whether agent i (row) receives agent j (column), on the host."""
        return parse_graph(self.transmission.graph, self.task.num_agents)

    @property
    def links(self) -> Bool[Array, "N N"]:
        """Communication graph: whether agent i (row) receives agent j (column)."""
        return jnp.asarray(self.link_mask)

    @property
    def received_uses(self) -> int:
        """D, complex symbols of a received block."""
        return output_uses(self.channel, self.uses)

    @property
    def received_dim(self) -> int:
        """R, numbers that an agent receives in a step."""
        teammates = self.task.num_agents - 1
        if self.transmission.communication == "perfect":
            return teammates * self.task.obs_dim
        return teammates * 2 * self.received_uses

    @property
    def has_snr(self) -> bool:
        """Whether the channel has noise, whose SNR can be set."""
        return self.channel.snr_db is not None

    def channel_at(self, link: TransmissionState) -> AnyChannel:
        """The channel at the present SNR."""
        snr_db = self.channel.snr_db
        if snr_db is None:
            return self.channel
        if not self.channel.is_black_box:
            return self.channel.with_snr(snr_db + link.snr_offset_db)
        # Whole decibels: a black box may make an object for each SNR.
        return self.channel.with_snr(float(snr_db) + round(float(link.snr_offset_db)))

    def noise_at(self, link: TransmissionState) -> Float[Array, ""]:
        """N_0 at the present SNR, which the receivers know; 0 if there is none."""
        snr_db = self.channel.snr_db
        return noise_power_of(None if snr_db is None else snr_db + link.snr_offset_db)


def check_transmission(system: TransmittingTeam) -> None:
    """Raises InvalidInputError where settings exclude each other."""
    config = system.transmission
    parse_graph(config.graph, system.task.num_agents)
    if config.link_gradient == "backprop" and not system.channel.differentiable:
        raise InvalidInputError(
            f"link_gradient is 'backprop', but {system.channel.id} has no gradient; "
            "expected 'policy' or 'spsa'"
        )
    if config.link_gradient == "policy":
        return
    if config.feedback_signal == "return":
        raise InvalidInputError(
            f"feedback_signal is 'return', and link_gradient is "
            f"{config.link_gradient!r}; expected 'policy': symbols are sent once"
        )
    if system.link_feedback.delay_iterations:
        raise InvalidInputError(
            f"feedback is delayed, and link_gradient is {config.link_gradient!r}; "
            "expected 'policy', which keeps pending batches"
        )

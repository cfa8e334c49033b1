"""Agents that model their teammates and transmit to them over a channel.

It is SMPE² with one more input of the encoders. In every environment step

    agent j sends x_j = f_T(o_j), C complex symbols with ‖x_j‖² = C
    agent i receives y_ij, over a draw of the channel of its own, of each teammate j
    its belief is q_ω(z | o_i, y_i), and it acts on (o_i, μ_i)

One step of training:

    collect whole episodes at the present SNR, which falls to the channel's
    critics, filters and actors: as in SMPE²
    action signal: the observations of the episodes are sent again, perturbed; the
        receivers feed back −ρ A; gradient step on the score-function surrogate
    in every training phase of the beliefs, as in SMPE²: observations of the replay
        buffer are sent anew by the present transmitters
    belief signal: observations of the replay buffer are sent again, perturbed; the
        receivers feed back the errors of their beliefs

The channel is not differentiated: only signals cross it, and numbers return. As the SNR
goes to −∞ the system is SMPE²; as it goes to ∞ the agents see what they need of each
other's observations.

Sources: SMPE² (`marl/smpe.py`); Aoudia & Hoydis (2018), the transmitter's estimator
    (`link/gradient_estimators.py`).
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
from syntony.channels.channel import AnyChannel, ChannelState, output_uses
from syntony.channels.feedback import Feedback
from syntony.channels.stand_in import stand_in
from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.equations import signal
from syntony.errors import InvalidInputError
from syntony.networks.agents import (
    ReceivingEncoder,
    encoder_spec,
    init_per_agent,
    make_encoder,
    other_agents_obs,
)
from syntony.networks.layers import MLP
from syntony.pytrees import PyTree
from syntony.systems.air.feedback_signals import (
    Samples,
    TakenActions,
    action_losses,
    belief_errors,
    sum_over_receivers,
)
from syntony.systems.air.gradients import (
    backprop_gradient,
    perturb_symbols,
    receive_feedback,
    spsa_gradient,
    symbol_policy_gradient,
)
from syntony.systems.air.transmission import (
    init_channels,
    init_transmitters,
    noise_power_of,
    normalize_power,
    parse_graph,
    raw_symbols,
    scale_received,
    teammate_links,
    transmit_to_teammates,
    unit_level,
    update_mean_energy,
)
from syntony.systems.link.gradient_estimators import (
    PerturbationConfig,
    PerturbedBatch,
    pop_delayed,
)
from syntony.systems.link.jitted import fori_loop
from syntony.systems.link.received_stats import (
    ReceivedStats,
    restart_stats,
    update_received_stats,
)
from syntony.systems.marl.actor_critic import ActorCriticConfig, masked_mean
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.ppo import hidden_at_starts
from syntony.systems.marl.replay_buffer import sample_steps
from syntony.systems.marl.smpe import (
    SMPE,
    ExplorationConfig,
    SMPEState,
    belief_metrics,
    update_inputs,
)
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    Minibatches,
    beliefs_from_weights,
    decode,
    encode,
    fit_beliefs,
    normalize_obs,
    sample_minibatches,
)
from syntony.systems.marl.team_actors import act
from syntony.systems.optimizers import (
    apply_gradients,
    init_opt_state,
    make_optimizer,
    validate_optimizer,
)
from syntony.systems.system import DecodedBelief, Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task

MAX_USES = 2**12
"""Complex channel uses of an agent in a step, at most."""
SNAPSHOT_STEPS = 64
"""Observations of a snapshot."""
CarryT = TypeVar("CarryT")


@pytree_dataclass
class TransmissionConfig:
    """Constants of the transmission between agents, and of its training."""

    communication: Literal["learned", "none", "perfect"] = field("learned", static=True)
    """What agents receive: transmitted symbols, nothing (SMPE²), or the observations of
    their teammates (a reference)."""
    graph: str = field("all", static=True)
    """Communication graph: all, or for each receiving agent a row of zeros and ones,
    e.g. 00/10, where only the second agent receives the first."""
    feedback_signal: Literal["action", "belief", "return"] = field(
        "action", static=True
    )
    """Number that receivers feed back: how much better their actions would have become
    (action), the error of their beliefs (belief), or the team's advantage of what was
    sent in the episodes (return)."""
    snr_start_offset_db: float = field(15.0, limits=between(0, 100))
    """Training SNR minus the channel's at the start, in dB; it falls to zero."""
    snr_fall_fraction: float = field(0.5, limits=between(0, 1))
    """Fraction of the training over which the training SNR falls."""
    schedule_steps: int | None = field(None, static=True, limits=at_least(1))
    """Environment steps of the schedule; by default, those of the training."""
    link_gradient: Literal["policy", "spsa", "backprop"] = field("policy", static=True)
    """Gradient of the transmitters: policy gradient, two-sided perturbation (spsa), or
    through a differentiable channel (backprop, the reference)."""
    link_power_constraint: Literal["codeword", "average", "symbol"] = field(
        "codeword", static=True
    )
    """What has energy 1 per channel use: the symbols of every step, those of an agent
    on average over its observations, or each symbol."""
    link_hidden: int = field(64, static=True, limits=at_least(1))
    """Hidden units of the transmitters."""
    link_receiver_hidden: int = field(64, static=True, limits=at_least(1))
    """Units of the two layers that received symbols pass through."""
    link_optimizer: str = field("adam", static=True)
    """Optimizer of the transmitters: adam, rmsprop, sgd or python:MODULE:FUNCTION."""
    link_learning_rate: float = field(1e-3, limits=at_least(0))
    """Learning rate of the transmitters."""
    link_max_grad_norm: float = field(10.0, limits=above(0))
    """Global norm to which the gradient of the transmitters is clipped."""
    link_perturbation_variance: float = field(
        0.05, limits=between(0, 1, open_low=True, open_high=True)
    )
    """σ_π², variance of the perturbation per channel use."""
    link_perturbation_pairs: int = field(2, static=True, limits=at_least(1))
    """Antithetic pairs w, −w of perturbations of each observation."""
    link_baseline: Literal["none", "batch", "message"] = field("batch", static=True)
    """Baseline that is subtracted from the numbers that are fed back: none, the batch's
    mean, or the mean of the other perturbations of the same observation (message)."""
    link_spsa_perturbation_size: float = field(0.1, limits=above(0))
    """c, by which SPSA perturbs every real part of the symbols."""
    link_transmitter_steps: int = field(50, static=True, limits=at_least(0))
    """Belief signal: gradient steps of the transmitters in each training phase of the
    beliefs."""
    link_batch_size: int = field(250, static=True, limits=at_least(1))
    """Belief signal: observations that are sent for a gradient step."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.link_optimizer)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Optimizer of the transmitters."""
        return make_optimizer(
            self.link_optimizer,
            self.link_learning_rate,
            max_grad_norm=self.link_max_grad_norm,
        )

    @property
    def perturbation(self) -> PerturbationConfig:
        """The constants as those of the link's estimators."""
        return PerturbationConfig(
            perturbation_variance=self.link_perturbation_variance,
            final_perturbation_variance=self.link_perturbation_variance,
            baseline=self.link_baseline,
            spsa_perturbation_size=self.link_spsa_perturbation_size,
        )


class AirHidden(NamedTuple):
    """Hidden state of the policy of a team that transmits."""

    actor: PyTree[Array]
    key: Key[Array, ""]
    channel_state: ChannelState
    """Of each environment's channel, [E, ...] each leaf; () without memory."""
    sent: Float[Array, "E N C 2"]
    """Symbols of the latest step."""
    received: Float[Array, "E N R"]
    """What was received in the latest step."""


class PendingFeedback(NamedTuple):
    """Sent batches whose losses are delayed, oldest first."""

    obs: Float[Array, "delay S N O"]
    batch: PerturbedBatch


class TransmissionState(NamedTuple):
    """State of the transmitters and of what they send."""

    transmitters: MLP
    """One of each agent, stacked."""
    opt_state: PyTree
    mean_energy: Float[Array, " N"]
    """Running mean of each agent's energy per use, before normalization."""
    received_stats: ReceivedStats
    pending: PendingFeedback
    snr_offset_db: Float[Array, ""]
    """Present SNR minus that of the channel."""
    explores: Bool[Array, ""]
    """Whether symbols are perturbed in episodes, for the return signal."""


class OverTheAirState(NamedTuple):
    """State of a run."""

    team: SMPEState
    """Of SMPE²; its key and its counter of environment steps are not used."""
    link: TransmissionState
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@pytree_dataclass
class OverTheAir(MultiAgentSystem[OverTheAirState]):
    """SMPE² whose agents transmit what they observe to each other.

    `channel` is a channel, its id, or a function of complex64[B, C].

    Examples:
        >>> import syntony
        >>> task = syntony.task("probe-coordinate")
        >>> system = syntony.OverTheAir(task=task, channel="awgn?snr_db=0.0", uses=1)
        >>> run = syntony.train(system, steps=100_000)
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    channel: AnyChannel = AWGN()
    """Channel between any two agents; see: syntony list channels."""
    uses: int = field(1, static=True, limits=between(1, MAX_USES))
    """C, complex symbols that an agent sends in every environment step."""
    link_feedback: Feedback = Feedback()
    """Feedback link of the numbers, from each receiver to the transmitter."""
    transmission: TransmissionConfig = TransmissionConfig()
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    beliefs: BeliefConfig = BeliefConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    filtered_critic: bool = field(True, static=True)
    """Train the filters by the loss of a critic of the filtered state, too."""

    def __post_init__(self):
        channel = self.channel
        is_function = callable(channel) and not hasattr(channel, "is_black_box")
        if isinstance(channel, str) or is_function:
            object.__setattr__(self, "channel", channels.channel(channel))

    @property
    def smpe(self) -> SMPE:
        """SMPE², which trains all but the transmitters."""
        return SMPE(
            task=self.task,
            actor_critic=self.actor_critic,
            beliefs=self.beliefs,
            exploration=self.exploration,
            filtered_critic=self.filtered_critic,
        )

    def init(self, key: Key[Array, ""]) -> OverTheAirState:
        """Initial state; the key is consumed."""
        team_key, encoder_key, transmitter_key, run_key = jax.random.split(key, 4)
        team = self.smpe.init(team_key)
        encoder = init_per_agent(self.make_encoder, self.task.num_agents, encoder_key)
        beliefs = beliefs_from_weights(self.beliefs, team.beliefs, {"encoder": encoder})
        return OverTheAirState(
            team=team._replace(beliefs=beliefs),
            link=self.init_transmission(transmitter_key),
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def make_encoder(self, key: Key[Array, ""]) -> ReceivingEncoder:
        """Encoder of one agent, with layers of its own for what it receives."""
        receiver_key, encoder_key = jax.random.split(key)
        hidden = self.transmission.link_receiver_hidden
        in_size = self.task.obs_dim + hidden
        spec = encoder_spec(self.beliefs.encoder, in_size, self.beliefs.latent_dim)
        return ReceivingEncoder(
            receiver=MLP(self.received_dim, hidden, hidden, key=receiver_key),
            encoder=make_encoder(spec, encoder_key),
        )

    def init_transmission(self, key: Key[Array, ""]) -> TransmissionState:
        """Initial transmitters, and their statistics."""
        config, task = self.transmission, self.task
        transmitters = init_transmitters(
            task.obs_dim, self.uses, config.link_hidden, task.num_agents, key
        )
        state = TransmissionState(
            transmitters=transmitters,
            opt_state=init_opt_state(config.optimizer, transmitters),
            mean_energy=jnp.ones(task.num_agents),
            received_stats=ReceivedStats.init(self.received_uses),
            pending=self.init_pending(),
            snr_offset_db=jnp.zeros(()),
            explores=jnp.array(config.feedback_signal == "return"),
        )
        return self.at_step(state, jnp.zeros((), jnp.int32))

    def init_pending(self) -> PendingFeedback:
        """Queue of batches that sent nothing; empty without a delay."""
        task, delay = self.task, self.link_feedback.delay_iterations
        samples, blocks = self.feedback_batch_size
        batch = PerturbedBatch.zeros(delay, blocks, self.uses)
        # One of each sender; the agents after the delays.
        batch = jax.tree.map(lambda x: jnp.stack([x] * task.num_agents, axis=1), batch)
        obs = jnp.zeros((delay, samples, task.num_agents, task.obs_dim))
        return PendingFeedback(obs, batch)

    @property
    def feedback_batch_size(self) -> tuple[int, int]:
        """Observations S of one gradient step of the transmitters, and their blocks."""
        config = self.transmission
        if config.feedback_signal == "belief":
            samples = config.link_batch_size
        else:
            samples = self.num_envs * self.task.time_limit
        copies = 2 * config.link_perturbation_pairs
        return samples, samples * (1 if config.feedback_signal == "return" else copies)

    # Acting -------------------------------------------------------------------------

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
        """Next key, key of the channel, and symbols, perturbed if the agents explore."""
        key, noise_key, channel_key = jax.random.split(hidden.key, 3)
        x = self.symbols(state, obs)
        if self.transmission.feedback_signal != "return":
            return key, channel_key, x
        variance = jnp.asarray(self.transmission.link_perturbation_variance)
        noise = signal.complex_noise(noise_key, x.shape[:-1], variance)
        perturbed = signal.perturb(x, noise, variance)
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
        """What the agents receive when these observations are sent once."""
        sent = self.symbols(state, obs)
        return self.transmit_again(state, key, obs, sent)[0]

    def transmit_again(
        self,
        state: OverTheAirState,
        key: Key[Array, ""],
        obs: Float[Array, "B N O"],
        sent: Float[Array, "B N C 2"],
    ) -> tuple[Float[Array, "B N R"], Float[Array, "B N N1 D 2"] | None]:
        """Received blocks of a transmission outside of episodes, scaled and as they are.

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

    # Training -----------------------------------------------------------------------

    def update(
        self, state: OverTheAirState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[OverTheAirState, Metrics]:
        """State after all updates on a batch of episodes."""
        team_key, belief_key, link_key = jax.random.split(key, 3)
        before = state
        state, num_phases, advantage, metrics = self.update_team(
            state, trajectory, team_key
        )
        if self.trains_transmitters and self.transmission.feedback_signal == "return":
            state, loss = self.train_on_returns(state, trajectory, advantage, link_key)
            metrics["train/transmitter_loss"] = loss
        if self.trains_transmitters and self.transmission.feedback_signal == "action":
            samples = self.taken_samples(before, trajectory, advantage)
            state, loss = self.train_transmitters(state, before, samples, link_key)
            metrics["train/transmitter_loss"] = loss

        def training_phase(
            i: Int[Array, ""] | int, state: OverTheAirState
        ) -> OverTheAirState:
            phase_key = jax.random.fold_in(belief_key, i)
            phase = before.team.schedule_steps // self.beliefs.belief_update_interval
            return self.training_phase(state, phase + 1 + i, phase_key)

        state = self.fori_loop(num_phases, training_phase, state)
        state = self.finish_update(state, trajectory)
        return state, metrics | belief_metrics(state.team)

    @jax.jit
    def update_team(
        self, state: OverTheAirState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[OverTheAirState, Int[Array, ""], Float[Array, "T E N"], Metrics]:
        """Updates of SMPE² on the episodes, which are stored for the beliefs.

        Returns:
            The state, the number of training phases of the beliefs that are due, the
            advantages of the actions, and metrics.
        """
        smpe, team = self.smpe, state.team
        schedule_steps = team.schedule_steps + trajectory.num_steps
        team, reward, metrics = smpe.augmented_reward(team, trajectory, key)
        team, advantage, losses = smpe.update_critics(team, trajectory, reward)
        team, actor_metrics = smpe.update_actors(team, trajectory, advantage)
        team = smpe.update_target_critics(team)
        team, num_phases = smpe.store_episodes(team, trajectory, schedule_steps)
        metrics = metrics | losses | actor_metrics
        return state._replace(team=team), num_phases, advantage, metrics

    @jax.jit
    def taken_samples(
        self,
        state: OverTheAirState,
        trajectory: Trajectory,
        advantage: Float[Array, "T E N"],
    ) -> Samples:
        """Observations and actions of the episodes, with the state that acted."""
        obs, team = trajectory.obs[:-1], state.team
        features = self.smpe.actor_inputs(team, obs, trajectory.received)
        step_fn = partial(act, team.actor, shared=self.actor_critic.shared_actor)
        hidden = hidden_at_starts(
            step_fn, features[:, None], self.smpe.initial_hidden(obs.shape[1])
        )
        samples, alive = len(obs) * obs.shape[1], trajectory.alive
        # Of unit variance: the unit of rewards does not matter to the feedback link.
        scale = jnp.sqrt(masked_mean(advantage**2, alive)) + 1e-8

        def flat(x: Array) -> Array:
            return x.reshape(samples, *x.shape[2:])

        return Samples(
            obs=flat(obs),
            alive=flat(alive),
            taken=TakenActions(
                action_mask=flat(trajectory.action_mask),
                action=flat(trajectory.action),
                log_prob=flat(trajectory.log_prob),
                advantage=flat(advantage / scale),
                hidden=hidden,
            ),
        )

    def training_phase(
        self, state: OverTheAirState, phase: Int[Array, ""] | int, key: Key[Array, ""]
    ) -> OverTheAirState:
        """One training phase of the beliefs, and of the transmitters that they teach."""
        keys = jax.random.split(key, 4)
        minibatches, sent = self.draw_minibatches(state, keys[0])
        obs = minibatches.obs.reshape(-1, *minibatches.obs.shape[2:])
        received, y = self.transmit_again(state, keys[1], obs, sent)
        state = self.fit_beliefs(state, minibatches, received, y, phase)
        if (
            not self.trains_transmitters
            or self.transmission.feedback_signal != "belief"
        ):
            return state

        def step(i: Int[Array, ""] | int, state: OverTheAirState) -> OverTheAirState:
            sample_key, link_key = jax.random.split(jax.random.fold_in(keys[2], i))
            samples = self.replayed_samples(state, sample_key)
            return self.train_transmitters(state, state, samples, link_key)[0]

        return self.fori_loop(self.transmission.link_transmitter_steps, step, state)

    @jax.jit
    def draw_minibatches(
        self, state: OverTheAirState, key: Key[Array, ""]
    ) -> tuple[Minibatches, Float[Array, "B N C 2"]]:
        """Minibatches of a training phase, and the symbols of all their steps."""
        minibatches = sample_minibatches(self.beliefs, state.team.beliefs, key)
        obs = minibatches.obs.reshape(-1, *minibatches.obs.shape[2:])
        return minibatches, self.symbols(state, obs)

    @jax.jit
    def fit_beliefs(
        self,
        state: OverTheAirState,
        minibatches: Minibatches,
        received: Float[Array, "B N R"],
        y: Float[Array, "B N N1 D 2"] | None,
        phase: Int[Array, ""] | int,
    ) -> OverTheAirState:
        """Gradient steps of encoders, decoders and filters, given what was received."""
        shape = minibatches.obs.shape[:-1]
        minibatches = minibatches._replace(received=received.reshape(*shape, -1))
        beliefs = fit_beliefs(
            self.beliefs,
            state.team.beliefs,
            minibatches,
            self.smpe.is_filter_update_due(jnp.asarray(phase)),
        )
        link = state.link
        if y is not None:
            level = unit_level(y, self.noise_at(link)).reshape(-1, *y.shape[-2:])
            stats = update_received_stats(link.received_stats, level)
            link = link._replace(received_stats=stats)
        return state._replace(team=state.team._replace(beliefs=beliefs), link=link)

    @jax.jit
    def replayed_samples(self, state: OverTheAirState, key: Key[Array, ""]) -> Samples:
        """Observations of the replay buffer, for the belief signal."""
        buffer = state.team.beliefs.replay_buffer
        return Samples(*sample_steps(buffer, key, (self.transmission.link_batch_size,)))

    def train_transmitters(
        self,
        state: OverTheAirState,
        receivers: OverTheAirState,
        samples: Samples,
        key: Key[Array, ""],
    ) -> tuple[OverTheAirState, Float[Array, ""]]:
        """State after a gradient step of the transmitters, and the mean loss.

        Args:
            state: state before.
            receivers: state of the receivers that feed back.
            samples: observations that are sent again.
            key: consumed.
        """
        config = self.transmission
        x = self.symbols(state, samples.obs)
        loss_fn = partial(self.sender_losses, receivers, samples)
        if config.link_gradient == "policy":
            return self.policy_gradient_step(state, samples, x, loss_fn, key)
        if config.link_gradient == "backprop":
            estimate = backprop_gradient(loss_fn, x, samples.alive, key)
        else:
            estimate = spsa_gradient(
                config.perturbation, loss_fn, self.link_feedback, x, samples.alive, key
            )
        return self.apply_gradient(state, samples.obs, estimate.grad), estimate.loss

    def policy_gradient_step(
        self,
        state: OverTheAirState,
        samples: Samples,
        x: Float[Array, "S N C 2"],
        loss_fn: Callable[..., Float[Array, "B N"]],
        key: Key[Array, ""],
    ) -> tuple[OverTheAirState, Float[Array, ""]]:
        """State after a step of the policy gradient of the batch that arrives now."""
        perturb_key, feedback_key = jax.random.split(key)
        perturbed, sent = perturb_symbols(
            self.transmission.perturbation,
            x,
            perturb_key,
            pairs=self.transmission.link_perturbation_pairs,
        )
        loss = loss_fn(perturbed.channel_key, sent, perturbed.message)
        noise = perturbed.noise.reshape(sent.shape)
        batch = receive_feedback(
            self.link_feedback,
            feedback_key,
            perturbed.message,
            noise,
            loss,
            samples.alive[perturbed.message],
        )
        return self.apply_feedback(state, samples.obs, batch)

    def sender_losses(
        self,
        receivers: OverTheAirState,
        samples: Samples,
        key: Key[Array, ""],
        sent: Float[Array, "B N C 2"],
        index: Int[Array, " B"],
    ) -> Float[Array, "B N"]:
        """Sum of what the receivers of each sender feed back about sent symbols.

        Args:
            receivers: their state.
            samples: observations.
            key: consumed.
            sent: symbols.
            index: observation of each.
        """
        received, _ = self.transmit_again(receivers, key, samples.obs[index], sent)
        return self.fed_back_losses(receivers, samples, received, index)

    @jax.jit
    def fed_back_losses(
        self,
        receivers: OverTheAirState,
        samples: Samples,
        received: Float[Array, "B N R"],
        index: Int[Array, " B"],
    ) -> Float[Array, "B N"]:
        """Likewise, from what was received."""
        samples = jax.tree.map(lambda x: x[index], samples)
        if samples.taken is None:
            loss = belief_errors(
                self.beliefs, receivers.team.beliefs, samples.obs, received
            )
        else:
            hidden = samples.taken.hidden
            logits, _ = self.act(receivers, samples.obs, received, hidden)
            loss = action_losses(logits, samples.taken)
        return sum_over_receivers(loss, samples.alive, self.link_mask)

    @jax.jit
    def train_on_returns(
        self,
        state: OverTheAirState,
        trajectory: Trajectory,
        advantage: Float[Array, "T E N"],
        key: Key[Array, ""],
    ) -> tuple[OverTheAirState, Float[Array, ""]]:
        """Gradient step on the team's advantages of the symbols that were sent."""
        assert trajectory.sent is not None
        obs = trajectory.obs[:-1]
        obs = obs.reshape(-1, *obs.shape[2:])
        sent = trajectory.sent.reshape(len(obs), *trajectory.sent.shape[2:])
        variance = self.transmission.link_perturbation_variance
        noise = sent - jnp.sqrt(1.0 - variance) * self.symbols(state, obs)
        mean = jnp.mean(advantage, axis=-1).reshape(-1, 1)
        alive = trajectory.alive.reshape(len(obs), -1)
        batch = receive_feedback(
            self.link_feedback,
            key,
            jnp.arange(len(obs)),
            noise,
            jnp.broadcast_to(-mean, alive.shape),
            alive,
        )
        return self.apply_feedback(state, obs, batch)

    @jax.jit
    def apply_feedback(
        self,
        state: OverTheAirState,
        obs: Float[Array, "S N O"],
        batch: PerturbedBatch,
    ) -> tuple[OverTheAirState, Float[Array, ""]]:
        """State after a step on the batch whose losses arrive now, and their mean.

        Args:
            state: state before.
            obs: observations of the newest batch.
            batch: perturbed blocks of each sender and their losses.
        """
        link = state.link
        now, rest = pop_delayed(PendingFeedback(obs, batch), link.pending)
        x = self.symbols(state, now.obs)
        estimate = symbol_policy_gradient(self.transmission.perturbation, now.batch, x)
        state = state._replace(link=link._replace(pending=rest))
        return self.apply_gradient(state, now.obs, estimate.grad), estimate.loss

    @jax.jit
    def apply_gradient(
        self,
        state: OverTheAirState,
        obs: Float[Array, "S N O"],
        grad: Float[Array, "S N C 2"],
    ) -> OverTheAirState:
        """Applies one optimizer step to the transmitters.

        Args:
            state: before the step.
            obs: observations that were sent.
            grad: gradient in their symbols.
        """
        link = state.link
        _, symbols_vjp = jax.vjp(
            lambda transmitters: self.normalized_symbols(state, transmitters, obs),
            link.transmitters,
        )
        (weight_grad,) = symbols_vjp(grad)
        transmitters, opt_state = apply_gradients(
            self.transmission.optimizer, weight_grad, link.opt_state, link.transmitters
        )
        link = link._replace(transmitters=transmitters, opt_state=opt_state)
        return state._replace(link=link)

    @jax.jit
    def finish_update(
        self, state: OverTheAirState, trajectory: Trajectory
    ) -> OverTheAirState:
        """State with the statistics of the episodes, and the SNR of the next ones."""
        link, obs = state.link, trajectory.obs[:-1]
        beliefs = state.team.beliefs
        raw = raw_symbols(
            link.transmitters, normalize_obs(self.beliefs, beliefs.shared_stats, obs)
        )
        energy = update_mean_energy(
            link.mean_energy, raw, state.env_steps / trajectory.valid.size
        )
        env_steps = state.env_steps + trajectory.num_steps
        return state._replace(
            team=update_inputs(state.team, trajectory),
            link=self.at_step(link._replace(mean_energy=energy), env_steps),
        )

    def at_step(
        self, link: TransmissionState, env_steps: Int[Array, ""]
    ) -> TransmissionState:
        """State with the training SNR after so many environment steps."""
        config = self.transmission
        steps = config.snr_fall_fraction * (config.schedule_steps or 1)
        left = jnp.clip(1.0 - env_steps / jnp.maximum(steps, 1.0), 0.0, 1.0)
        has_fall = self.has_snr and config.snr_fall_fraction > 0.0
        return link._replace(snr_offset_db=config.snr_start_offset_db * left * has_fall)

    def evaluation_state(self, state: OverTheAirState) -> OverTheAirState:
        """State at the channel's own SNR, without perturbations."""
        link = state.link
        return state._replace(
            link=link._replace(
                snr_offset_db=jnp.zeros_like(link.snr_offset_db),
                explores=jnp.zeros_like(link.explores),
            )
        )

    def fori_loop(
        self,
        num_iterations: Int[Array, ""] | int,
        body: Callable[[Int[Array, ""] | int, CarryT], CarryT],
        carry: CarryT,
    ) -> CarryT:
        """`jax.lax.fori_loop` from 0; in Python where the channel is a black box."""
        return fori_loop(num_iterations, body, carry, on_host=self.has_black_box_policy)

    # Properties ---------------------------------------------------------------------

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

    def with_channel(self, channel: AnyChannel) -> "OverTheAir":
        """The same team over another channel."""
        return dataclasses.replace(self, channel=channel)

    def resolve_steps(self, steps: int) -> "OverTheAir":
        """The team whose SNR falls over this training, unless its length is set."""
        if self.transmission.schedule_steps is not None:
            return self
        transmission = dataclasses.replace(self.transmission, schedule_steps=steps)
        return dataclasses.replace(self, transmission=transmission)

    def params(self, state: OverTheAirState) -> PyTree[Float[Array, "..."]]:
        stats = state.link.received_stats
        return {
            **cast(
                dict[str, PyTree[Float[Array, "..."]]], self.smpe.params(state.team)
            ),
            "transmitter": state.link.transmitters,
            "received_stats": {"mean": stats.mean, "level": jnp.exp(stats.log_level)},
        }

    def weights(self, state: OverTheAirState) -> dict[str, PyTree[Array]]:
        """Weights of the team and of the transmitters, and all statistics."""
        link = state.link
        return {
            **self.smpe.weights(state.team),
            "transmitter": link.transmitters,
            "energy_stats": link.mean_energy,
            # The next batch replaces them: it may be of another channel.
            "received_stats": restart_stats(link.received_stats),
        }

    def with_weights(
        self, state: OverTheAirState, weights: Mapping[str, PyTree[Array]]
    ) -> OverTheAirState:
        """Initial state with these weights."""
        transmitters = cast(MLP, weights["transmitter"])
        link = state.link._replace(
            transmitters=transmitters,
            opt_state=init_opt_state(self.transmission.optimizer, transmitters),
            mean_energy=cast(Array, weights["energy_stats"]),
            received_stats=cast(ReceivedStats, weights["received_stats"]),
        )
        return state._replace(
            team=self.smpe.with_weights(state.team, weights), link=link
        )

    def snapshot(self, state: OverTheAirState) -> dict[str, Array]:
        """Recent observations of all agents, and the symbols that they are sent as."""
        buffer = state.team.beliefs.replay_buffer
        obs = sample_steps(buffer, jax.random.key(0), (SNAPSHOT_STEPS,)).obs
        return {"obs": obs, "symbols": self.symbols(state, obs)}

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid, or excludes another."""
        validate(self)
        self.smpe.check()
        for part in (self.channel, self.link_feedback, self.transmission):
            part.check()
        check_transmission(self)


def check_transmission(system: OverTheAir) -> None:
    """Raises InvalidInputError where settings of the transmission exclude each other."""
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

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
from typing import Literal, TypeVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from syntony.channels import registry as channels
from syntony.channels.awgn import AWGN
from syntony.channels.channel import AnyChannel
from syntony.channels.feedback import Feedback
from syntony.config import between, field, pytree_dataclass, validate
from syntony.networks.agents import (
    ReceivingEncoder,
    encoder_spec,
    init_per_agent,
    make_encoder,
    other_agents_obs,
)
from syntony.networks.layers import MLP
from syntony.pytrees import PyTree
from syntony.systems.air.config import TransmissionConfig
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
from syntony.systems.air.states import (
    OverTheAirState,
    PendingFeedback,
    TransmissionState,
)
from syntony.systems.air.transmission import (
    init_transmitters,
    raw_symbols,
    unit_level,
    update_mean_energy,
)
from syntony.systems.air.transmitting_team import TransmittingTeam, check_transmission
from syntony.systems.link.gradient_estimators import (
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
from syntony.systems.marl.ppo import hidden_at_starts
from syntony.systems.marl.replay_buffer import sample_steps
from syntony.systems.marl.smpe import (
    SMPE,
    ExplorationConfig,
    belief_metrics,
    update_inputs,
)
from syntony.systems.marl.smpe_beliefs import (
    BeliefConfig,
    Minibatches,
    beliefs_from_weights,
    fit_beliefs,
    normalize_obs,
    sample_minibatches,
)
from syntony.systems.marl.team_actors import act
from syntony.systems.optimizers import (
    apply_gradients,
    init_opt_state,
)
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

MAX_USES = 2**12
"""Complex channel uses of an agent in a step, at most."""
SNAPSHOT_STEPS = 64
"""Observations of a snapshot."""
MIN_VARIANCE = 1e-6
"""Variance of a feature below which it does not vary."""
CarryT = TypeVar("CarryT")


@pytree_dataclass
class OverTheAir(TransmittingTeam):
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
    filtered_critic_values: Literal["state", "action"] = field("state", static=True)
    """What the filtered critic estimates: the value of the filtered state, or of the
    agent's own action in it."""

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
            filtered_critic_values=self.filtered_critic_values,
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
        """One training phase of the beliefs, and of transmitters by their errors."""
        draw_key, channel_key, transmitter_key, _ = jax.random.split(key, 4)
        minibatches, sent = self.draw_minibatches(state, draw_key)
        obs = minibatches.obs.reshape(-1, *minibatches.obs.shape[2:])
        received, y = self.transmit_again(state, channel_key, obs, sent)
        state = self.fit_beliefs(state, minibatches, received, y, phase)
        if (
            not self.trains_transmitters
            or self.transmission.feedback_signal != "belief"
        ):
            return state

        def step(i: Int[Array, ""] | int, state: OverTheAirState) -> OverTheAirState:
            step_key = jax.random.fold_in(transmitter_key, i)
            sample_key, link_key = jax.random.split(step_key)
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

        def symbols(transmitters: MLP) -> Float[Array, "S N C 2"]:
            return self.normalized_symbols(state, transmitters, obs)

        _, symbols_vjp = jax.vjp(symbols, link.transmitters)
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
        offset = config.snr_start_offset_db * left * has_fall
        # With a type: a weak one would compile everything twice.
        return link._replace(snr_offset_db=jnp.asarray(offset, float))

    def episode_metrics(
        self, state: OverTheAirState, trajectory: Trajectory
    ) -> dict[str, Float[Array, " E"]]:
        """Squared error of the beliefs in variances of the features, of each episode.

        It is 1 where the belief is the mean of what a teammate observes. Features that
        do not vary do not count.
        """
        beliefs = state.team.beliefs
        assert trajectory.received is not None
        belief = self.decode_received(state, trajectory.obs[:-1], trajectory.received)
        variance = other_agents_obs(beliefs.per_agent_stats.var)
        varies = variance > MIN_VARIANCE
        error = (belief.prediction - belief.others) ** 2
        error = jnp.where(varies, error / jnp.where(varies, variance, 1.0), 0.0)
        mean = jnp.sum(error, axis=-1) / jnp.maximum(jnp.sum(varies, axis=-1), 1)
        alive = trajectory.alive
        total = jnp.sum(jnp.where(alive, mean, 0.0), axis=(0, 2))
        return {"eval/belief_error": total / jnp.maximum(jnp.sum(alive, (0, 2)), 1)}

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
            "received_stats": {
                "mean": stats.significant_mean,
                "level": jnp.exp(stats.log_level),
            },
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

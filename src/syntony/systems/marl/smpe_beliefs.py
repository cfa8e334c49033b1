"""Agent modeling of SMPE²: encoders, decoders and filters, and their training.

Each agent's encoder infers from its own observation what its teammates observe; its
decoder predicts their observations from that belief; its filter weighs their features.
They are trained off-policy, in phases over a replay buffer of whole episodes, and do
not change in between (but for the filters, which the filtered critic's loss trains as
well). One network of each kind for each agent, stacked along an agent axis.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from syntony.config import above, at_least, between, field, pytree_dataclass, validate
from syntony.equations.belief import (
    encodings_loss,
    kl_loss,
    norm_loss,
    reconstruction_loss,
    soft_clip_log_var,
)
from syntony.equations.distributions import gaussian_sample
from syntony.equations.running_stats import (
    STD_EPSILON,
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)
from syntony.networks.agents import (
    ENCODERS,
    AnyEncoder,
    Decoder,
    Filter,
    apply_per_agent,
    encoder_spec,
    init_per_agent,
    make_encoder,
    other_agents_obs,
)
from syntony.networks.user_network import check_network
from syntony.pytrees import PyTree
from syntony.systems.marl.replay_buffer import (
    ReplayBuffer,
    add_episodes,
    init_buffer,
    sample_steps,
)
from syntony.systems.optimizers import (
    apply_gradients,
    init_opt_state,
    make_optimizer,
    update_target,
    validate_optimizer,
)
from syntony.systems.system import DecodedBelief
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task

Received = Float[Array, "*batch N R"] | None
"""What the agents have received of each other; None in a team that transmits
nothing."""
FilterNorm = Callable[
    [Filter, Float[Array, "B N F"], Bool[Array, "B N"]], Float[Array, ""]
]
"""Norm loss of filters, of their outputs w, and of who is alive."""


@pytree_dataclass
class BeliefConfig:
    """Constants of the agent modeling."""

    latent_dim: int = field(32, static=True, limits=at_least(1))
    """Z, size of a belief, and width of encoder and decoder."""
    encoder: str = field("mlp", static=True)
    """Network of the encoders: mlp or python:MODULE:FUNCTION."""
    filters: bool = field(True, static=True)
    """Weigh the teammates' features; without, every weight is one (ablation)."""
    filter_layers: int = field(3, static=True, limits=at_least(1))
    """Linear layers of a filter."""
    filter_hidden: int = field(0, static=True, limits=at_least(0))
    """Width of a filter's hidden layers; 0: as many units as it has outputs."""
    min_filter_weight: float = field(0.0, limits=between(0, 1, open_high=True))
    """Lower bound at which filter weights are clipped."""
    lambda_rec: float = field(0.5, limits=at_least(0))
    """λ_rec, weight of the reconstruction loss."""
    lambda_norm: float = field(1.0, limits=at_least(0))
    """λ_norm, weight of the filters' norm loss; 0 leaves it out (ablation)."""
    lambda_kl: float = field(0.1, limits=at_least(0))
    """λ_KL, weight of the KL divergence; 0 leaves it out (ablation)."""
    belief_optimizer: str = field("rmsprop", static=True)
    """Optimizer of encoders, decoders and filters: rmsprop, adam, sgd or
    python:MODULE:FUNCTION."""
    belief_lr: float = field(5e-4, limits=above(0))
    """Learning rate of encoders and decoders."""
    filter_lr: float = field(5e-4, limits=at_least(0))
    """Learning rate of the filters under the reconstruction and the norm loss; 0 leaves
    these out (ablation)."""
    filter_critic_lr: float = field(5e-5, limits=at_least(0))
    """Learning rate of the filters under the filtered critic's loss; 0 leaves it out
    (ablation)."""
    belief_update_interval: int = field(2_000, static=True, limits=at_least(1))
    """Environment steps from one training phase of the beliefs to the next."""
    belief_minibatches: int = field(225, static=True, limits=at_least(1))
    """Gradient steps of a training phase."""
    belief_minibatch_size: int = field(32, static=True, limits=at_least(1))
    """Time steps in a minibatch, drawn with replacement."""
    target_filter_interval: int = field(100_000, static=True, limits=at_least(1))
    """Environment steps from one copy of the filters into the target filters to the
    next."""
    buffer_size: int = field(500, static=True, limits=at_least(1))
    """Capacity of the replay buffer, in episodes."""
    filter_update_interval: int = field(1, static=True, limits=at_least(0))
    """Training phases from one that trains the filters to the next; 0: none does."""
    obs_clip: float = field(5.0, limits=at_least(0))
    """Normalized observations are clipped to ± this value; 0: they are not."""
    soft_clip_log_var: bool = field(True, static=True)
    """Bound the growth of a belief's log-variance above 2, so that it stays finite."""

    def check(self) -> None:
        """Raises InvalidInputError where a constant is invalid."""
        validate(self)
        validate_optimizer(self.belief_optimizer)

    @property
    def vae_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.belief_optimizer, self.belief_lr)

    @property
    def filter_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.belief_optimizer, self.filter_lr)

    @property
    def filter_critic_optimizer(self) -> optax.GradientTransformation:
        return make_optimizer(self.belief_optimizer, self.filter_critic_lr)


class ObsHistory(NamedTuple):
    """Content of the replay buffer for each time step."""

    obs: Float[Array, "*batch N O"]
    alive: Bool[Array, "*batch N"]


class Minibatches(NamedTuple):
    """Time steps of the replay buffer, and what a gradient step on them needs."""

    obs: Float[Array, "*U B N O"]
    alive: Bool[Array, "*U B N"]
    noise: Float[Array, "*U B 1 Z"]
    """Of the samples z."""
    received: Received = None


class BeliefLosses(NamedTuple):
    """Losses of the last minibatch of the latest training phase, and mean weight."""

    reconstruction: Float[Array, ""]
    norm: Float[Array, ""]
    kl: Float[Array, ""]
    mean_filter_weight: Float[Array, ""]


class BeliefState(NamedTuple):
    """State of the agent modeling."""

    encoder: AnyEncoder
    decoder: Decoder
    filter: Filter
    target_filter: Filter
    vae_opt_state: PyTree
    filter_opt_state: PyTree
    filter_critic_opt_state: PyTree
    shared_stats: RunningMeanStd
    """Statistics of one agent's observation over all agents: they normalize inputs."""
    per_agent_stats: RunningMeanStd
    """Statistics of each agent's observation: they normalize the decoders' targets."""
    replay_buffer: ReplayBuffer[ObsHistory]
    losses: BeliefLosses


def init_beliefs(config: BeliefConfig, task: Task, key: Key[Array, ""]) -> BeliefState:
    """Initial state of the agent modeling; the key is consumed."""
    encoder_key, decoder_key, filter_key = jax.random.split(key, 3)
    num_agents, others_dim = task.num_agents, (task.num_agents - 1) * task.obs_dim
    spec = encoder_spec(config.encoder, task.obs_dim, config.latent_dim)
    encoder = init_per_agent(
        lambda key: make_encoder(spec, key), num_agents, encoder_key
    )
    decoder = init_per_agent(
        lambda key: Decoder(config.latent_dim, others_dim, key=key),
        num_agents,
        decoder_key,
    )
    sizes = filter_layer_sizes(config, task)
    filters = init_per_agent(
        lambda key: Filter(*sizes, key=key), num_agents, filter_key
    )
    stats = init_running_mean_std((task.obs_dim,))
    return BeliefState(
        encoder=encoder,
        decoder=decoder,
        filter=filters,
        target_filter=jax.tree.map(jnp.copy, filters),
        vae_opt_state=init_opt_state(config.vae_optimizer, (encoder, decoder)),
        filter_opt_state=init_opt_state(config.filter_optimizer, filters),
        filter_critic_opt_state=init_opt_state(config.filter_critic_optimizer, filters),
        shared_stats=stats,
        per_agent_stats=jax.tree.map(lambda x: jnp.stack([x] * num_agents), stats),
        replay_buffer=init_buffer(stored_history(task), capacity=config.buffer_size),
        losses=BeliefLosses(*jnp.zeros(4)),
    )


def belief_weights(beliefs: BeliefState) -> dict[str, PyTree[Array]]:
    """Networks of the agent modeling, and the statistics of their inputs."""
    return {
        "encoder": beliefs.encoder,
        "decoder": beliefs.decoder,
        "filter": beliefs.filter,
        "target_filter": beliefs.target_filter,
        "shared_stats": beliefs.shared_stats,
        "per_agent_stats": beliefs.per_agent_stats,
    }


def beliefs_from_weights(
    config: BeliefConfig, beliefs: BeliefState, weights: PyTree[Array]
) -> BeliefState:
    """Initial state with given weights, as `belief_weights` returns them."""
    new = beliefs._replace(**cast(dict[str, PyTree[Array]], weights))
    vae = new.encoder, new.decoder
    return new._replace(
        vae_opt_state=init_opt_state(config.vae_optimizer, vae),
        filter_opt_state=init_opt_state(config.filter_optimizer, new.filter),
        filter_critic_opt_state=init_opt_state(
            config.filter_critic_optimizer, new.filter
        ),
    )


def stored_history(task: Task) -> ObsHistory:
    """Shapes and types of what is kept of one episode, time first."""
    agents = task.time_limit, task.num_agents

    def empty_history() -> ObsHistory:
        obs = jnp.zeros((*agents, task.obs_dim))
        return ObsHistory(obs, alive=jnp.zeros(agents, bool))

    return jax.eval_shape(empty_history)


def check_encoder(config: BeliefConfig, task: Task) -> None:
    """Raises InvalidInputError if the encoder is unknown, or a user's does not fit."""
    spec = encoder_spec(config.encoder, task.obs_dim, config.latent_dim)
    check_network("encoder", spec, ENCODERS)


def filter_layer_sizes(config: BeliefConfig, task: Task) -> tuple[int, ...]:
    """Widths of a filter's layers, from its input to its output."""
    others_dim = (task.num_agents - 1) * task.obs_dim
    hidden = config.filter_hidden or others_dim
    return task.obs_dim, *[hidden] * (config.filter_layers - 1), others_dim


def normalize_obs(
    config: BeliefConfig, stats: RunningMeanStd, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N O"]:
    """Normalized observations, clipped to ± `obs_clip` standard deviations.

    Foraging and the particle environments hardly have any beyond five. In a warehouse,
    features that are nearly always zero reach 24: without clipping encoders learn
    little else, and predictions get worse from ten million steps on.
    """
    clip = jnp.where(config.obs_clip > 0.0, config.obs_clip, jnp.inf)
    return jnp.clip(normalize(stats, obs), -clip, clip)


def encode(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "*batch N O"],
    received: Received = None,
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Mean and log-variance of each agent's belief q_ω(z | o_i), or q_ω(z | o_i, y_i).

    Args:
        config: constants.
        state: encoders, and the statistics of their inputs.
        obs: observations o.
        received: y, what was received.
    """
    own = normalize_obs(config, state.shared_stats, obs)
    return encode_normalized(config, state.encoder, own, received)


def encode_normalized(
    config: BeliefConfig,
    encoder: AnyEncoder,
    own: Float[Array, "*batch N O"],
    received: Received = None,
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Mean and log-variance of beliefs, from normalized observations."""
    inputs = (own,) if received is None else (own, received)
    mean, log_var = apply_per_agent(encoder, *inputs)
    return mean, soft_clip_log_var(log_var) if config.soft_clip_log_var else log_var


def decode(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "*batch N O"],
    received: Received = None,
) -> DecodedBelief:
    """Decoded beliefs of all agents, in units of the observations."""
    mean, _ = encode(config, state, obs, received)
    shift = other_agents_obs(state.per_agent_stats.mean)
    scale = other_agents_obs(jnp.sqrt(state.per_agent_stats.var) + STD_EPSILON)
    own = normalize_obs(config, state.shared_stats, obs)
    return DecodedBelief(
        others=other_agents_obs(obs),
        prediction=apply_per_agent(state.decoder, mean) * scale + shift,
        filter_weights=filter_weights(config, state.filter, own),
    )


def filter_weights(
    config: BeliefConfig, filters: Filter, own: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N F"]:
    """Filter weights w_i of each agent, from its own normalized observation."""
    if not config.filters:
        num_agents, obs_dim = own.shape[-2:]
        return jnp.ones((*own.shape[:-1], (num_agents - 1) * obs_dim))
    # No gradient passes where a weight is clipped.
    return jnp.maximum(apply_per_agent(filters, own), config.min_filter_weight)


def store_episodes(state: BeliefState, trajectory: Trajectory) -> BeliefState:
    """State with the episodes in its replay buffer and in its statistics."""
    obs, alive = trajectory.obs[:-1], trajectory.alive
    return state._replace(
        shared_stats=update_running_mean_std(state.shared_stats, obs, alive),
        per_agent_stats=jax.vmap(update_running_mean_std, (0, -2, -1))(
            state.per_agent_stats, obs, alive
        ),
        replay_buffer=add_episodes(
            state.replay_buffer, ObsHistory(obs, alive), trajectory.valid
        ),
    )


def update_target_filter(
    state: BeliefState, due: Bool[Array, ""] | bool
) -> BeliefState:
    """State whose target filters are copies of the filters, if that is due."""
    target_filter = update_target(
        state.filter, state.target_filter, jnp.where(due, 1.0, 0.0)
    )
    return state._replace(target_filter=target_filter)


def output_norm(
    filters: Filter, w: Float[Array, "B N F"], alive: Bool[Array, "B N"]
) -> Float[Array, ""]:
    """Norm loss of the filters' outputs, −‖w‖² (eq. 4)."""
    del filters
    return per_agent_mean(norm_loss(w), alive)


def train_beliefs(
    config: BeliefConfig,
    state: BeliefState,
    key: Key[Array, ""],
    update_filters: Bool[Array, ""] | bool = True,
    filter_norm: FilterNorm = output_norm,
) -> BeliefState:
    """State after one training phase over the replay buffer.

    Args:
        config: constants.
        state: state before; at least one episode is stored.
        key: random key; it is consumed.
        update_filters: train the filters, beside encoders and decoders.
        filter_norm: norm loss of the filters.
    """
    minibatches = sample_minibatches(config, state, key)
    return fit_beliefs(config, state, minibatches, update_filters, filter_norm)


def fit_beliefs(
    config: BeliefConfig,
    state: BeliefState,
    minibatches: Minibatches,
    update_filters: Bool[Array, ""] | bool = True,
    filter_norm: FilterNorm = output_norm,
) -> BeliefState:
    """State after a gradient step on each minibatch.

    Args:
        config: constants.
        state: state before.
        minibatches: time steps of the replay buffer, U of them in each leaf.
        update_filters: train the filters, beside encoders and decoders.
        filter_norm: norm loss of the filters.
    """
    loss_fn = partial(belief_loss, config, filter_norm=filter_norm)

    def gradient_step(learned: tuple[PyTree, ...], minibatch: Minibatches):
        vae, filters, vae_opt_state, filter_opt_state = learned
        (vae_grads, filter_grads), _ = jax.grad(loss_fn, argnums=(0, 1), has_aux=True)(
            vae, filters, *belief_loss_inputs(config, state, minibatch)
        )
        vae, vae_opt_state = apply_gradients(
            config.vae_optimizer, vae_grads, vae_opt_state, vae
        )
        updated = apply_gradients(
            config.filter_optimizer, filter_grads, filter_opt_state, filters
        )
        filters, filter_opt_state = jax.tree.map(
            partial(jnp.where, update_filters), updated, (filters, filter_opt_state)
        )
        return (vae, filters, vae_opt_state, filter_opt_state), None

    vae = (state.encoder, state.decoder)
    learned = (vae, state.filter, state.vae_opt_state, state.filter_opt_state)
    learned, _ = jax.lax.scan(gradient_step, learned, minibatches)
    vae, filters, vae_opt_state, filter_opt_state = learned
    # Measured once, on the last minibatch: at every step it would cost a tenth more.
    last = belief_loss_inputs(config, state, jax.tree.map(lambda x: x[-1], minibatches))
    _, losses = loss_fn(vae, filters, *last)
    return state._replace(
        encoder=vae[0],
        decoder=vae[1],
        filter=filters,
        vae_opt_state=vae_opt_state,
        filter_opt_state=filter_opt_state,
        losses=losses,
    )


def sample_minibatches(
    config: BeliefConfig, state: BeliefState, key: Key[Array, ""]
) -> Minibatches:
    """Minibatches of U gradient steps; nothing is received in them."""
    step_key, noise_key = jax.random.split(key)
    shape = (config.belief_minibatches, config.belief_minibatch_size)
    history = sample_steps(state.replay_buffer, step_key, shape)
    # The same noise for all agents: no loss joins two of them.
    noise = jax.random.normal(noise_key, (*shape, 1, config.latent_dim))
    return Minibatches(history.obs, history.alive, noise)


def belief_loss_inputs(
    config: BeliefConfig, state: BeliefState, minibatch: Minibatches
) -> tuple[Array, Array, Array, Array, Array, Array | None]:
    """Arguments of `belief_loss` after the networks, for one minibatch."""
    obs, alive, noise, received = minibatch
    own = normalize_obs(config, state.shared_stats, obs)
    others = other_agents_obs(normalize_obs(config, state.per_agent_stats, obs))
    # The target filters do not change during the phase; their weights are computed
    # minibatch by minibatch all the same, where they stay in the cache.
    w_target = filter_weights(config, state.target_filter, own)
    noise = jnp.broadcast_to(noise, (*own.shape[:-1], config.latent_dim))
    return own, others, w_target, noise, alive, received


def belief_loss(
    config: BeliefConfig,
    vae: tuple[AnyEncoder, Decoder],
    filters: Filter,
    own: Float[Array, "B N O"],
    others: Float[Array, "B N F"],
    w_target: Float[Array, "B N F"],
    noise: Float[Array, "B N Z"],
    alive: Bool[Array, "B N"],
    received: Received = None,
    *,
    filter_norm: FilterNorm = output_norm,
) -> tuple[Float[Array, ""], BeliefLosses]:
    """Off-policy part of eq. 7: mean over samples, sum over agents.

    An agent learns from samples in which it is alive. That a teammate has finished is
    left to infer: its features are those of an observation of zeros.
    """
    encoder, decoder = vae
    mean, log_var = encode_normalized(config, encoder, own, received)
    prediction = apply_per_agent(decoder, gaussian_sample(noise, mean, log_var))
    w = filter_weights(config, filters, own)
    norm = filter_norm(filters, w, alive)
    reconstruction = reconstruction_loss(w_target, others, w, prediction)
    losses = BeliefLosses(
        reconstruction=per_agent_mean(reconstruction, alive),
        norm=norm,
        kl=per_agent_mean(kl_loss(mean, log_var), alive),
        mean_filter_weight=jnp.mean(w),
    )
    loss = encodings_loss(
        0.0,
        losses.reconstruction,
        losses.norm,
        losses.kl,
        lambda_rec=config.lambda_rec,
        lambda_norm=config.lambda_norm,
        lambda_kl=config.lambda_kl,
    )
    # Each agent's networks follow the gradient of that agent's own mean loss.
    return own.shape[1] * loss, losses


def per_agent_mean(
    x: Float[Array, "B N"], alive: Bool[Array, "B N"]
) -> Float[Array, ""]:
    """Mean over agents of each one's mean over the samples in which it is alive."""
    weight = alive / jnp.maximum(jnp.sum(alive, axis=0), 1)
    return jnp.sum(weight * x) / x.shape[1]


def teammate_prediction_error(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "*batch N O"],
    alive: Bool[Array, "*batch N"],
    received: Received = None,
) -> Float[Array, "*batch N"]:
    """Mean error of the teammates' predictions of each agent's observation.

    For agent i: the mean over alive j ≠ i of ‖o_i − ô_i^j‖², in normalized units, with
    ô^j decoded from the mean of j's belief.
    """
    num_agents, obs_dim = obs.shape[-2:]
    mean, _ = encode(config, state, obs, received)
    others = other_agents_obs(normalize_obs(config, state.per_agent_stats, obs))
    squared = (others - apply_per_agent(state.decoder, mean)) ** 2
    # Error of observer j on its k-th teammate, whose index is k, or k + 1 from j on.
    errors = jnp.sum(squared.reshape(*obs.shape[:-1], num_agents - 1, obs_dim), axis=-1)
    observer, teammate = jnp.indices((num_agents, num_agents - 1))
    observed = jax.nn.one_hot((teammate + (teammate >= observer)).ravel(), num_agents)
    errors = errors.reshape(*obs.shape[:-2], -1)
    weight = jnp.repeat(alive, num_agents - 1, axis=-1)
    return (weight * errors) @ observed / jnp.maximum(weight @ observed, 1.0)

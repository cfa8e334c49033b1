"""What a team believes: encoders, decoders and filters, and how they learn.

Beliefs learn off-policy, in bursts over a replay of whole episodes, and stand still
in between. One network of each kind for each agent, stacked: no agent is looped over.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from syntony.config import check_literals, pytree_dataclass
from syntony.equations.belief import (
    encodings_loss,
    kl_loss,
    norm_loss,
    reconstruction_loss,
    soft_clip_log_var,
)
from syntony.equations.distributions import gaussian_sample
from syntony.equations.running_stats import (
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)
from syntony.errors import InvalidInputError
from syntony.networks.agents import (
    Decoder,
    Encoder,
    Filter,
    apply_per_agent,
    init_per_agent,
    other_agents_obs,
)
from syntony.optim import RMSProp
from syntony.systems.marl.recollection import (
    ObservationBuffer,
    add_episodes,
    init_buffer,
    sample_steps,
)
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


@pytree_dataclass
class BeliefConfig:
    """Constants of the belief learning."""

    latent_dim: int = 32
    """Size Z of a belief, and width of encoder and decoder."""
    filters: bool = True
    """Weigh the teammates' features; without, every weight is one (ablation)."""
    filter_layers: int = 3
    """Linear layers of a filter."""
    filter_hidden: int = 0
    """Width of a filter's inner layers; 0: as many as it gives weights."""
    min_filter_weight: float = 0.0
    """Weights are cut off below this value."""
    lambda_rec: float = 0.5
    """Weight of the reconstruction loss."""
    filter_regularizer: Literal["outputs", "parameters"] = "outputs"
    """What the norm loss is of: the filters' weights, or, as in the released code and
    with the other sign, their networks' parameters."""
    lambda_norm: float = 1.0
    """Weight of the filter's norm loss; 0 leaves it out (ablation)."""
    lambda_kl: float = 0.1
    """Weight of the KL divergence; 0 leaves it out (ablation)."""
    belief_lr: float = 5e-4
    """Learning rate of encoders and decoders (RMSprop)."""
    filter_lr: float = 5e-4
    """Learning rate of the filters in the bursts (RMSprop)."""
    filter_critic_lr: float = 5e-5
    """Learning rate of the filters under the critic's loss (RMSprop)."""
    belief_update_interval: int = 2_000
    """Environment steps from burst to burst."""
    belief_minibatches: int = 225
    """Steps of descent in a burst."""
    belief_minibatch_size: int = 32
    """Time steps in a minibatch, drawn with replacement."""
    target_filter_interval: int = 100_000
    """Environment steps from copy to copy of the filters into the slow ones."""
    buffer_size: int = 500
    """Episodes that are remembered."""
    filter_update_interval: int = 1
    """Bursts from one that trains the filters to the next; 0: none does."""
    obs_clip: float = 5.0
    """Standard deviations at which observations are cut off before beliefs are formed
    of them; 0: nowhere."""
    soft_clip_log_var: bool = True
    """Slow a belief's log-variance down above 2, so that it stays finite."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_literals(self)
        counts = (
            "latent_dim",
            "filter_layers",
            "belief_update_interval",
            "belief_minibatches",
            "belief_minibatch_size",
        )
        for name in (*counts, "target_filter_interval", "buffer_size"):
            if getattr(self, name) < 1:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected at least 1"
                )
        rates = ("belief_lr", "filter_lr", "filter_critic_lr")
        counts = ("filter_hidden", "filter_update_interval")
        for name in (
            *counts,
            *rates,
            "lambda_rec",
            "lambda_norm",
            "lambda_kl",
            "obs_clip",
        ):
            if not getattr(self, name) >= 0.0:
                raise InvalidInputError(
                    f"{name} is {getattr(self, name)}; expected 0 or more"
                )
        if not 0.0 <= self.min_filter_weight < 1.0:
            raise InvalidInputError(
                f"min_filter_weight is {self.min_filter_weight}; expected 0 to below 1"
            )

    def init(self, task: Task, key: Key[Array, ""]) -> "BeliefState":
        """Returns beliefs that know nothing yet."""
        encoder_key, decoder_key, filter_key = jax.random.split(key, 3)
        others_size = (task.num_agents - 1) * task.obs_dim
        encoder = init_per_agent(
            lambda key: Encoder(task.obs_dim, self.latent_dim, key=key),
            task.num_agents,
            encoder_key,
        )
        decoder = init_per_agent(
            lambda key: Decoder(self.latent_dim, others_size, key=key),
            task.num_agents,
            decoder_key,
        )
        sizes = self.filter_layer_sizes(task)
        filters = init_per_agent(
            lambda key: Filter(*sizes, key=key), task.num_agents, filter_key
        )
        return BeliefState(
            encoder=encoder,
            decoder=decoder,
            filter=filters,
            target_filter=jax.tree.map(jnp.copy, filters),
            vae_opt_state=self.vae_optimizer.init((encoder, decoder)),
            filter_opt_state=self.filter_optimizer.init(filters),
            filter_critic_opt_state=self.filter_critic_optimizer.init(filters),
            shared_stats=init_running_mean_std((task.obs_dim,)),
            per_agent_stats=jax.tree.map(
                lambda x: jnp.stack([x] * task.num_agents),
                init_running_mean_std((task.obs_dim,)),
            ),
            replay_buffer=init_buffer(task, self.buffer_size),
            losses=BeliefLosses(*jnp.zeros(4)),
        )

    def filter_layer_sizes(self, task: Task) -> tuple[int, ...]:
        """Returns the widths of a filter, from what it sees to what it weighs."""
        others_size = (task.num_agents - 1) * task.obs_dim
        hidden = self.filter_hidden or others_size
        return task.obs_dim, *[hidden] * (self.filter_layers - 1), others_size

    @property
    def vae_optimizer(self) -> RMSProp:
        return RMSProp(learning_rate=self.belief_lr)

    @property
    def filter_optimizer(self) -> RMSProp:
        return RMSProp(learning_rate=self.filter_lr)

    @property
    def filter_critic_optimizer(self) -> RMSProp:
        return RMSProp(learning_rate=self.filter_critic_lr)


class BeliefLosses(NamedTuple):
    """Mean losses of the latest burst's last minibatch, and the mean weight."""

    reconstruction: Float[Array, ""]
    norm: Float[Array, ""]
    kl: Float[Array, ""]
    mean_filter_weight: Float[Array, ""]


class BeliefState(NamedTuple):
    """All of the beliefs that training changes."""

    encoder: Encoder
    decoder: Decoder
    filter: Filter
    target_filter: Filter
    vae_opt_state: PyTree
    filter_opt_state: PyTree
    filter_critic_opt_state: PyTree
    shared_stats: RunningMeanStd
    """Of one agent's observation, all agents pooled: what goes into the networks."""
    per_agent_stats: RunningMeanStd
    """Of every agent's observation by itself: what the decoders aim at."""
    replay_buffer: ObservationBuffer
    losses: BeliefLosses


def normalize_obs(
    config: BeliefConfig, stats: RunningMeanStd, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N O"]:
    """Returns standardised observations, cut off at so many standard deviations.

    Foraging and the particle worlds hardly have any beyond five. In a warehouse what is
    almost never there is 24 of them: encoders then learn little else, and what they
    believe grows worse from ten million steps on.
    """
    cut = jnp.where(config.obs_clip > 0.0, config.obs_clip, jnp.inf)
    return jnp.clip(normalize(stats, obs), -cut, cut)


def encode(
    config: BeliefConfig, state: BeliefState, obs: Float[Array, "*batch N O"]
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Returns mean and log-variance of each agent's belief."""
    own = normalize_obs(config, state.shared_stats, obs)
    return encode_normalized(config, state.encoder, own)


def encode_normalized(
    config: BeliefConfig, encoder: Encoder, own: Float[Array, "*batch N O"]
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Returns mean and log-variance of beliefs, of normalised observations."""
    mean, log_var = apply_per_agent(encoder, own)
    return mean, soft_clip_log_var(log_var) if config.soft_clip_log_var else log_var


def filter_weights(
    config: BeliefConfig, filters: Filter, own: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N F"]:
    """Returns w_i of each agent from its own normalised observation."""
    if not config.filters:
        agents, size = own.shape[-2:]
        return jnp.ones((*own.shape[:-1], (agents - 1) * size))
    # No gradient passes where a weight is cut off.
    return jnp.maximum(apply_per_agent(filters, own), config.min_filter_weight)


def store_episodes(state: BeliefState, trajectory: Trajectory) -> BeliefState:
    """Returns the beliefs with the episodes in their replay and their statistics."""
    obs, playing = trajectory.obs[:-1], trajectory.alive
    return state._replace(
        shared_stats=update_running_mean_std(state.shared_stats, obs, playing),
        per_agent_stats=jax.vmap(update_running_mean_std, (0, -2, -1))(
            state.per_agent_stats, obs, playing
        ),
        replay_buffer=add_episodes(state.replay_buffer, trajectory),
    )


def train_beliefs(
    config: BeliefConfig,
    state: BeliefState,
    key: Key[Array, ""],
    update_filters: Bool[Array, ""] | bool = True,
) -> BeliefState:
    """Returns the beliefs after one burst of learning over the replay.

    Args:
        filters_too: train the filters, beside encoders and decoders.
    """

    def descend(learners: tuple[PyTree, ...], minibatch: tuple[Array, ...]):
        coders, filters, coder_memory, filter_memory = learners
        (coder_grad, filter_grad), _ = jax.grad(
            belief_loss, argnums=(1, 2), has_aux=True
        )(config, coders, filters, *belief_loss_inputs(config, state, *minibatch))
        coders, coder_memory = config.vae_optimizer.apply_gradients(
            coder_grad, coder_memory, coders
        )
        taught = config.filter_optimizer.apply_gradients(
            filter_grad, filter_memory, filters
        )
        filters, filter_memory = jax.tree.map(
            partial(jnp.where, update_filters), taught, (filters, filter_memory)
        )
        return (coders, filters, coder_memory, filter_memory), None

    coders = (state.encoder, state.decoder)
    learners = (coders, state.filter, state.vae_opt_state, state.filter_opt_state)
    minibatches = sample_minibatches(config, state, key)
    learners, _ = jax.lax.scan(descend, learners, minibatches)
    coders, filters, coder_memory, filter_memory = learners
    # Measured once, on the last minibatch: at every step it would cost a tenth more.
    last = belief_loss_inputs(config, state, *(x[-1] for x in minibatches))
    _, losses = belief_loss(config, coders, filters, *last)
    return state._replace(
        encoder=coders[0],
        decoder=coders[1],
        filter=filters,
        vae_opt_state=coder_memory,
        filter_opt_state=filter_memory,
        losses=losses,
    )


def sample_minibatches(
    config: BeliefConfig, state: BeliefState, key: Key[Array, ""]
) -> tuple[Float[Array, "M B N O"], Bool[Array, "M B N"], Float[Array, "M B 1 Z"]]:
    """Returns a burst's observations, who played, and the noise of its samples."""
    draw_key, noise_key = jax.random.split(key)
    shape = (config.belief_minibatches, config.belief_minibatch_size)
    obs, playing = sample_steps(state.replay_buffer, draw_key, shape)
    # One draw serves all agents: no loss ever joins two of them.
    noise = jax.random.normal(noise_key, (*shape, 1, config.latent_dim))
    return obs, playing, noise


def belief_loss_inputs(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "B N O"],
    alive: Bool[Array, "B N"],
    noise: Float[Array, "B 1 Z"],
) -> tuple[Array, ...]:
    """Returns what `belief_loss` takes, but for the networks, of a minibatch."""
    own = normalize_obs(config, state.shared_stats, obs)
    others = other_agents_obs(normalize_obs(config, state.per_agent_stats, obs))
    # The slow filter stands still during the burst; its weights are still found
    # minibatch by minibatch, where they stay in the cache.
    w_slow = filter_weights(config, state.target_filter, own)
    noise = jnp.broadcast_to(noise, (*own.shape[:-1], config.latent_dim))
    return own, others, w_slow, noise, alive


def belief_loss(
    config: BeliefConfig,
    vae: tuple[Encoder, Decoder],
    filters: Filter,
    own: Float[Array, "B N O"],
    others: Float[Array, "B N F"],
    w_target: Float[Array, "B N F"],
    noise: Float[Array, "B N Z"],
    alive: Bool[Array, "B N"],
) -> tuple[Float[Array, ""], BeliefLosses]:
    """Returns the off-policy part of eq. 7: mean over samples, sum over agents.

    An agent learns of the samples in which it plays. That a teammate has finished is
    there to be inferred: its features are those of zeros.
    """
    encoder, decoder = vae
    mean, log_var = encode_normalized(config, encoder, own)
    prediction = apply_per_agent(decoder, gaussian_sample(noise, mean, log_var))
    w = filter_weights(config, filters, own)
    norm = per_agent_mean(norm_loss(w), alive)
    if config.filter_regularizer == "parameters":
        # The other losses are means, where the released code's are sums.
        norm = parameter_norms(filters) / (own.shape[0] * own.shape[1])
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
    # Each agent's own networks descend that agent's own mean loss.
    return own.shape[1] * loss, losses


def per_agent_mean(
    x: Float[Array, "B N"], alive: Bool[Array, "B N"]
) -> Float[Array, ""]:
    """Returns the mean over agents of each one's mean over the samples it plays in."""
    share = alive / jnp.maximum(jnp.sum(alive, axis=0), 1)
    return jnp.sum(share * x) / x.shape[1]


def parameter_norms(filters: PyTree[Float[Array, "N ..."]]) -> Float[Array, ""]:
    """Returns Σ ‖θ‖ over the filters' weights and biases, of all agents."""

    def norms(leaf: Float[Array, "N *shape"]) -> Float[Array, ""]:
        squares = jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=-1)
        # A norm has no gradient at zero.
        return jnp.sum(jnp.sqrt(squares + 1e-12))

    return sum((norms(leaf) for leaf in jax.tree.leaves(filters)), jnp.zeros(()))


def teammate_prediction_error(
    config: BeliefConfig,
    state: BeliefState,
    obs: Float[Array, "*batch N O"],
    alive: Bool[Array, "*batch N"],
) -> Float[Array, "*batch N"]:
    """Returns how wrong, on average, the teammates are about what each agent sees.

    Of agent i: the mean over j ≠ i who play of ‖o_i − ô_i^j‖², normalised, ô^j decoded
    from the mean of j's belief.
    """
    agents, size = obs.shape[-2:]
    mean, _ = encode(config, state, obs)
    others = other_agents_obs(normalize_obs(config, state.per_agent_stats, obs))
    wrong = (others - apply_per_agent(state.decoder, mean)) ** 2
    # Of judge j about its k-th teammate, who has the number k, or k + 1 from j on.
    by_mate = jnp.sum(wrong.reshape(*obs.shape[:-1], agents - 1, size), axis=-1)
    judge, mate = jnp.indices((agents, agents - 1))
    about = (mate + (mate >= judge)).ravel()
    flat = by_mate.reshape(*obs.shape[:-2], -1)
    judges = jnp.repeat(alive, agents - 1, axis=-1)
    of_each = jax.nn.one_hot(about, agents)
    return (judges * flat) @ of_each / jnp.maximum(judges @ of_each, 1.0)

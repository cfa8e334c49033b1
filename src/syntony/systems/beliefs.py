"""What a team believes: encoders, decoders and filters, and how they learn.

Beliefs learn off-policy, in bursts over a replay of whole episodes, and stand still
in between. One network of each kind for each agent, stacked: no agent is looped over.
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from syntony.equations.belief import (
    bounded_log_var,
    encodings_loss,
    kl_loss,
    norm_loss,
    reconstruction_loss,
)
from syntony.equations.densities import gaussian_sample
from syntony.equations.moments import (
    Moments,
    initial_moments,
    standardise,
    update_moments,
)
from syntony.errors import BadInput
from syntony.networks.agents import Decoder, Encoder, Filter, each, team, teammates
from syntony.optim import RmsProp
from syntony.record import check_choices, record
from syntony.systems.recollection import Replay, blank_replay, draw, remembered
from syntony.tasks.rollout import Trajectory
from syntony.tasks.task import Task


@record
class Beliefs:
    """Constants of the belief learning."""

    latent: int = 32
    """Size Z of a belief, and width of encoder and decoder."""
    filters: bool = True
    """Weigh the teammates' features; without, every weight is one (ablation)."""
    filter_layers: int = 3
    """Linear layers of a filter."""
    filter_hidden: int = 0
    """Width of a filter's inner layers; 0: as many as it gives weights."""
    filter_floor: float = 0.0
    """Weights are cut off below this value."""
    lambda_rec: float = 0.5
    """Weight of the reconstruction loss."""
    norm_of: Literal["weights", "parameters"] = "weights"
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
    burst_every: int = 2_000
    """Environment steps from burst to burst."""
    minibatches: int = 225
    """Steps of descent in a burst."""
    minibatch: int = 32
    """Time steps in a minibatch, drawn with replacement."""
    slow_every: int = 100_000
    """Environment steps from copy to copy of the filters into the slow ones."""
    replay: int = 500
    """Episodes that are remembered."""
    filter_every: int = 1
    """Bursts from one that trains the filters to the next; 0: none does."""
    cut: float = 5.0
    """Standard deviations at which observations are cut off before beliefs are formed
    of them; 0: nowhere."""
    bounded_variance: bool = True
    """Slow a belief's log-variance down above 2, so that it stays finite."""

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_choices(self)
        counts = ("latent", "filter_layers", "burst_every", "minibatches", "minibatch")
        for name in (*counts, "slow_every", "replay"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least 1")
        rates = ("belief_lr", "filter_lr", "filter_critic_lr")
        counts = ("filter_hidden", "filter_every")
        for name in (*counts, *rates, "lambda_rec", "lambda_norm", "lambda_kl", "cut"):
            if not getattr(self, name) >= 0.0:
                raise BadInput(f"{name} is {getattr(self, name)}; expected 0 or more")
        if not 0.0 <= self.filter_floor < 1.0:
            raise BadInput(
                f"filter_floor is {self.filter_floor}; expected 0 to below 1"
            )

    def init(self, task: Task, key: Key[Array, ""]) -> "BeliefState":
        """Returns beliefs that know nothing yet."""
        encoder_key, decoder_key, filter_key = jax.random.split(key, 3)
        others_size = (task.agents - 1) * task.obs_size
        encoder = team(
            lambda key: Encoder(task.obs_size, self.latent, key=key),
            task.agents,
            encoder_key,
        )
        decoder = team(
            lambda key: Decoder(self.latent, others_size, key=key),
            task.agents,
            decoder_key,
        )
        sizes = self.filter_sizes(task)
        filters = team(lambda key: Filter(*sizes, key=key), task.agents, filter_key)
        return BeliefState(
            encoder=encoder,
            decoder=decoder,
            filter=filters,
            slow_filter=jax.tree.map(jnp.copy, filters),
            coder_memory=self.coder_optimiser.init((encoder, decoder)),
            filter_memory=self.filter_optimiser.init(filters),
            filter_critic_memory=self.filter_critic_optimiser.init(filters),
            pooled=initial_moments((task.obs_size,)),
            each=jax.tree.map(
                lambda x: jnp.stack([x] * task.agents),
                initial_moments((task.obs_size,)),
            ),
            replay=blank_replay(task, self.replay),
            losses=BurstLosses(*jnp.zeros(4)),
        )

    def filter_sizes(self, task: Task) -> tuple[int, ...]:
        """Returns the widths of a filter, from what it sees to what it weighs."""
        others_size = (task.agents - 1) * task.obs_size
        hidden = self.filter_hidden or others_size
        return task.obs_size, *[hidden] * (self.filter_layers - 1), others_size

    @property
    def coder_optimiser(self) -> RmsProp:
        return RmsProp(learning_rate=self.belief_lr)

    @property
    def filter_optimiser(self) -> RmsProp:
        return RmsProp(learning_rate=self.filter_lr)

    @property
    def filter_critic_optimiser(self) -> RmsProp:
        return RmsProp(learning_rate=self.filter_critic_lr)


class BurstLosses(NamedTuple):
    """Mean losses of the latest burst's last minibatch, and the mean weight."""

    reconstruction: Float[Array, ""]
    norm: Float[Array, ""]
    kl: Float[Array, ""]
    weight: Float[Array, ""]


class BeliefState(NamedTuple):
    """All of the beliefs that training changes."""

    encoder: Encoder
    decoder: Decoder
    filter: Filter
    slow_filter: Filter
    coder_memory: PyTree
    filter_memory: PyTree
    filter_critic_memory: PyTree
    pooled: Moments
    """Of one agent's observation, all agents pooled: what goes into the networks."""
    each: Moments
    """Of every agent's observation by itself: what the decoders aim at."""
    replay: Replay
    losses: BurstLosses


def normalised(
    settings: Beliefs, moments: Moments, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N O"]:
    """Returns standardised observations, cut off at so many standard deviations.

    Foraging and the particle worlds hardly have any beyond five. In a warehouse what is
    almost never there is 24 of them: encoders then learn little else, and what they
    believe grows worse from ten million steps on.
    """
    cut = jnp.where(settings.cut > 0.0, settings.cut, jnp.inf)
    return jnp.clip(standardise(moments, obs), -cut, cut)


def encode(
    settings: Beliefs, state: BeliefState, obs: Float[Array, "*batch N O"]
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Returns mean and log-variance of each agent's belief."""
    own = normalised(settings, state.pooled, obs)
    return believed(settings, state.encoder, own)


def believed(
    settings: Beliefs, encoder: Encoder, own: Float[Array, "*batch N O"]
) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
    """Returns mean and log-variance of beliefs, of normalised observations."""
    mean, log_var = each(encoder, own)
    return mean, bounded_log_var(log_var) if settings.bounded_variance else log_var


def filter_weights(
    settings: Beliefs, filters: Filter, own: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N F"]:
    """Returns w_i of each agent from its own normalised observation."""
    if not settings.filters:
        agents, size = own.shape[-2:]
        return jnp.ones((*own.shape[:-1], (agents - 1) * size))
    # No gradient passes where a weight is cut off.
    return jnp.maximum(each(filters, own), settings.filter_floor)


def remember(state: BeliefState, episodes: Trajectory) -> BeliefState:
    """Returns the beliefs with the episodes in their replay and their statistics."""
    obs, playing = episodes.obs[:-1], episodes.playing
    return state._replace(
        pooled=update_moments(state.pooled, obs, playing),
        each=jax.vmap(update_moments, (0, -2, -1))(state.each, obs, playing),
        replay=remembered(state.replay, episodes),
    )


def burst(
    settings: Beliefs,
    state: BeliefState,
    key: Key[Array, ""],
    filters_too: Bool[Array, ""] | bool = True,
) -> BeliefState:
    """Returns the beliefs after one burst of learning over the replay.

    Args:
        filters_too: train the filters, beside encoders and decoders.
    """

    def descend(learners: tuple[PyTree, ...], minibatch: tuple[Array, ...]):
        coders, filters, coder_memory, filter_memory = learners
        (coder_grad, filter_grad), _ = jax.grad(
            belief_loss, argnums=(1, 2), has_aux=True
        )(settings, coders, filters, *belief_inputs(settings, state, *minibatch))
        coders, coder_memory = settings.coder_optimiser.descend(
            coder_grad, coder_memory, coders
        )
        taught = settings.filter_optimiser.descend(filter_grad, filter_memory, filters)
        filters, filter_memory = jax.tree.map(
            partial(jnp.where, filters_too), taught, (filters, filter_memory)
        )
        return (coders, filters, coder_memory, filter_memory), None

    coders = (state.encoder, state.decoder)
    learners = (coders, state.filter, state.coder_memory, state.filter_memory)
    minibatches = draw_minibatches(settings, state, key)
    learners, _ = jax.lax.scan(descend, learners, minibatches)
    coders, filters, coder_memory, filter_memory = learners
    # Measured once, on the last minibatch: at every step it would cost a tenth more.
    last = belief_inputs(settings, state, *(x[-1] for x in minibatches))
    _, losses = belief_loss(settings, coders, filters, *last)
    return state._replace(
        encoder=coders[0],
        decoder=coders[1],
        filter=filters,
        coder_memory=coder_memory,
        filter_memory=filter_memory,
        losses=losses,
    )


def draw_minibatches(
    settings: Beliefs, state: BeliefState, key: Key[Array, ""]
) -> tuple[Float[Array, "M B N O"], Bool[Array, "M B N"], Float[Array, "M B 1 Z"]]:
    """Returns a burst's observations, who played, and the noise of its samples."""
    draw_key, noise_key = jax.random.split(key)
    shape = (settings.minibatches, settings.minibatch)
    obs, playing = draw(state.replay, draw_key, shape)
    # One draw serves all agents: no loss ever joins two of them.
    noise = jax.random.normal(noise_key, (*shape, 1, settings.latent))
    return obs, playing, noise


def belief_inputs(
    settings: Beliefs,
    state: BeliefState,
    obs: Float[Array, "B N O"],
    playing: Bool[Array, "B N"],
    noise: Float[Array, "B 1 Z"],
) -> tuple[Array, ...]:
    """Returns what `belief_loss` takes, but for the networks, of a minibatch."""
    own = normalised(settings, state.pooled, obs)
    others = teammates(normalised(settings, state.each, obs))
    # The slow filter stands still during the burst; its weights are still found
    # minibatch by minibatch, where they stay in the cache.
    w_slow = filter_weights(settings, state.slow_filter, own)
    noise = jnp.broadcast_to(noise, (*own.shape[:-1], settings.latent))
    return own, others, w_slow, noise, playing


def belief_loss(
    settings: Beliefs,
    coders: tuple[Encoder, Decoder],
    filters: Filter,
    own: Float[Array, "B N O"],
    others: Float[Array, "B N F"],
    w_slow: Float[Array, "B N F"],
    noise: Float[Array, "B N Z"],
    playing: Bool[Array, "B N"],
) -> tuple[Float[Array, ""], BurstLosses]:
    """Returns the off-policy part of eq. 7: mean over samples, sum over agents.

    An agent learns of the samples in which it plays. That a teammate has finished is
    there to be inferred: its features are those of zeros.
    """
    encoder, decoder = coders
    mean, log_var = believed(settings, encoder, own)
    prediction = each(decoder, gaussian_sample(noise, mean, log_var))
    w = filter_weights(settings, filters, own)
    norm = own_mean(norm_loss(w), playing)
    if settings.norm_of == "parameters":
        # The other losses are means, where the released code's are sums.
        norm = parameter_norms(filters) / (own.shape[0] * own.shape[1])
    reconstruction = reconstruction_loss(w_slow, others, w, prediction)
    losses = BurstLosses(
        reconstruction=own_mean(reconstruction, playing),
        norm=norm,
        kl=own_mean(kl_loss(mean, log_var), playing),
        weight=jnp.mean(w),
    )
    loss = encodings_loss(
        0.0,
        losses.reconstruction,
        losses.norm,
        losses.kl,
        lambda_rec=settings.lambda_rec,
        lambda_norm=settings.lambda_norm,
        lambda_kl=settings.lambda_kl,
    )
    # Each agent's own networks descend that agent's own mean loss.
    return own.shape[1] * loss, losses


def own_mean(x: Float[Array, "B N"], playing: Bool[Array, "B N"]) -> Float[Array, ""]:
    """Returns the mean over agents of each one's mean over the samples it plays in."""
    share = playing / jnp.maximum(jnp.sum(playing, axis=0), 1)
    return jnp.sum(share * x) / x.shape[1]


def parameter_norms(filters: PyTree[Float[Array, "N ..."]]) -> Float[Array, ""]:
    """Returns Σ ‖θ‖ over the filters' weights and biases, of all agents."""

    def norms(leaf: Float[Array, "N *shape"]) -> Float[Array, ""]:
        squares = jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=-1)
        # A norm has no gradient at zero.
        return jnp.sum(jnp.sqrt(squares + 1e-12))

    return sum((norms(leaf) for leaf in jax.tree.leaves(filters)), jnp.zeros(()))


def errors_about(
    settings: Beliefs,
    state: BeliefState,
    obs: Float[Array, "*batch N O"],
    playing: Bool[Array, "*batch N"],
) -> Float[Array, "*batch N"]:
    """Returns how wrong, on average, the teammates are about what each agent sees.

    Of agent i: the mean over j ≠ i who play of ‖o_i − ô_i^j‖², normalised, ô^j decoded
    from the mean of j's belief.
    """
    agents, size = obs.shape[-2:]
    mean, _ = encode(settings, state, obs)
    others = teammates(normalised(settings, state.each, obs))
    wrong = (others - each(state.decoder, mean)) ** 2
    # Of judge j about its k-th teammate, who has the number k, or k + 1 from j on.
    by_mate = jnp.sum(wrong.reshape(*obs.shape[:-1], agents - 1, size), axis=-1)
    judge, mate = jnp.indices((agents, agents - 1))
    about = (mate + (mate >= judge)).ravel()
    flat = by_mate.reshape(*obs.shape[:-2], -1)
    judges = jnp.repeat(playing, agents - 1, axis=-1)
    of_each = jax.nn.one_hot(about, agents)
    return (judges * flat) @ of_each / jnp.maximum(judges @ of_each, 1.0)

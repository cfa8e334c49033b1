"""What a team believes: encoders, decoders and filters, and how they learn.

Beliefs learn off-policy, in bursts over a replay of whole episodes, and stand still
in between. One network of each kind for each agent, stacked: no agent is looped over.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from syntony.equations.belief import (
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

    def check(self) -> None:
        """Raises BadInput where a constant makes no sense."""
        check_choices(self)
        counts = ("latent", "filter_layers", "burst_every", "minibatches", "minibatch")
        for name in (*counts, "slow_every", "replay"):
            if getattr(self, name) < 1:
                raise BadInput(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.filter_hidden < 0:
            raise BadInput(f"filter_hidden is {self.filter_hidden}; expected 0 or more")
        rates = ("belief_lr", "filter_lr", "filter_critic_lr")
        for name in (*rates, "lambda_rec", "lambda_norm", "lambda_kl"):
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
        shape = (self.replay, task.time_limit, task.agents, task.obs_size)
        return BeliefState(
            encoder=encoder,
            decoder=decoder,
            filter=filters,
            slow_filter=jax.tree.map(jnp.copy, filters),
            coder_memory=self.coder_optimiser.init((encoder, decoder)),
            filter_memory=self.filter_optimiser.init(filters),
            filter_critic_memory=self.filter_critic_optimiser.init(filters),
            pooled=initial_moments((task.obs_size,)),
            each=initial_moments((task.agents, task.obs_size)),
            replay=Replay(
                obs=jnp.zeros(shape),
                lengths=jnp.zeros(self.replay, jnp.int32),
                cursor=jnp.zeros((), jnp.int32),
            ),
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


class Replay(NamedTuple):
    """The newest episodes, in a ring."""

    obs: Float[Array, "R T N O"]
    lengths: Int[Array, " R"]
    """Steps lived; zero where no episode is remembered yet."""
    cursor: Int[Array, ""]


class BurstLosses(NamedTuple):
    """Mean losses of the latest burst's last minibatch, and the mean weight."""

    reconstruction: Float[Array, ""]
    norm: Float[Array, ""]
    kl: Float[Array, ""]
    weight: Float[Array, ""]


CUT = 5.0
"""Standard deviations beyond which an observation is cut off."""


def normalised(
    moments: Moments, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N O"]:
    """Returns standardised observations, cut off at five standard deviations.

    Foraging and the particle worlds hardly have any beyond. In a warehouse what is
    almost never there is 24 of them: encoders then learn little else, and what they
    believe grows worse from ten million steps on.
    """
    return jnp.clip(standardise(moments, obs), -CUT, CUT)


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

    def encode(
        self, obs: Float[Array, "*batch N O"]
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Returns mean and log-variance of each agent's belief."""
        return each(self.encoder, normalised(self.pooled, obs))


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
    obs = episodes.obs[:-1]
    agents = obs.shape[-2]
    lived = jnp.repeat(episodes.mask[..., None], agents, axis=-1)

    replay = state.replay
    capacity, newest = replay.obs.shape[0], episodes.mask.shape[1]
    rows = (replay.cursor + jnp.arange(newest)) % capacity
    replay = Replay(
        obs=replay.obs.at[rows].set(jnp.moveaxis(obs, 0, 1)),
        lengths=replay.lengths.at[rows].set(jnp.sum(episodes.mask, axis=0)),
        cursor=(replay.cursor + newest) % capacity,
    )
    return state._replace(
        pooled=update_moments(state.pooled, obs, lived),
        each=update_moments(state.each, obs, episodes.mask),
        replay=replay,
    )


def burst(settings: Beliefs, state: BeliefState, key: Key[Array, ""]) -> BeliefState:
    """Returns the beliefs after one burst of learning over the replay."""

    def descend(learners: tuple[PyTree, ...], minibatch: tuple[Array, ...]):
        coders, filters, coder_memory, filter_memory = learners
        (coder_grad, filter_grad), _ = jax.grad(
            belief_loss, argnums=(1, 2), has_aux=True
        )(settings, coders, filters, *belief_inputs(settings, state, *minibatch))
        coders, coder_memory = settings.coder_optimiser.descend(
            coder_grad, coder_memory, coders
        )
        filters, filter_memory = settings.filter_optimiser.descend(
            filter_grad, filter_memory, filters
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
) -> tuple[Float[Array, "M B N O"], Float[Array, "M B 1 Z"]]:
    """Returns a burst's observations, and the noise of its sampled beliefs."""
    draw_key, noise_key = jax.random.split(key)
    shape = (settings.minibatches, settings.minibatch)
    obs = draw(state.replay, draw_key, shape)
    # One draw serves all agents: no loss ever joins two of them.
    return obs, jax.random.normal(noise_key, (*shape, 1, settings.latent))


def belief_inputs(
    settings: Beliefs,
    state: BeliefState,
    obs: Float[Array, "B N O"],
    noise: Float[Array, "B 1 Z"],
) -> tuple[Array, Array, Array, Array]:
    """Returns own and others' observations, slow weights and noise of a minibatch."""
    own = normalised(state.pooled, obs)
    others = teammates(normalised(state.each, obs))
    # The slow filter stands still during the burst; its weights are still found
    # minibatch by minibatch, where they stay in the cache.
    w_slow = filter_weights(settings, state.slow_filter, own)
    noise = jnp.broadcast_to(noise, (*own.shape[:-1], settings.latent))
    return own, others, w_slow, noise


def belief_loss(
    settings: Beliefs,
    coders: tuple[Encoder, Decoder],
    filters: Filter,
    own: Float[Array, "B N O"],
    others: Float[Array, "B N F"],
    w_slow: Float[Array, "B N F"],
    noise: Float[Array, "B N Z"],
) -> tuple[Float[Array, ""], BurstLosses]:
    """Returns the off-policy part of eq. 7: mean over samples, sum over agents."""
    encoder, decoder = coders
    mean, log_var = each(encoder, own)
    prediction = each(decoder, gaussian_sample(noise, mean, log_var))
    w = filter_weights(settings, filters, own)
    norm = jnp.mean(norm_loss(w))
    if settings.norm_of == "parameters":
        # The other losses are means, where the released code's are sums.
        norm = parameter_norms(filters) / (own.shape[0] * own.shape[1])
    losses = BurstLosses(
        reconstruction=jnp.mean(reconstruction_loss(w_slow, others, w, prediction)),
        norm=norm,
        kl=jnp.mean(kl_loss(mean, log_var)),
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


def parameter_norms(filters: PyTree[Float[Array, "N ..."]]) -> Float[Array, ""]:
    """Returns Σ ‖θ‖ over the filters' weights and biases, of all agents."""

    def norms(leaf: Float[Array, "N *shape"]) -> Float[Array, ""]:
        squares = jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=-1)
        # A norm has no gradient at zero.
        return jnp.sum(jnp.sqrt(squares + 1e-12))

    return sum((norms(leaf) for leaf in jax.tree.leaves(filters)), jnp.zeros(()))


def errors_about(
    state: BeliefState, obs: Float[Array, "*batch N O"]
) -> Float[Array, "*batch N"]:
    """Returns how wrong, on average, the teammates are about what each agent sees.

    Of agent i: the mean over j ≠ i of ‖o_i − ô_i^j‖², normalised, ô^j decoded from the
    mean of j's belief.
    """
    agents, size = obs.shape[-2:]
    mean, _ = state.encode(obs)
    others = teammates(normalised(state.each, obs))
    wrong = (others - each(state.decoder, mean)) ** 2
    # Of judge j about its k-th teammate, who has the number k, or k + 1 from j on.
    by_mate = jnp.sum(wrong.reshape(*obs.shape[:-1], agents - 1, size), axis=-1)
    judge, mate = jnp.indices((agents, agents - 1))
    about = (mate + (mate >= judge)).ravel()
    flat = by_mate.reshape(*obs.shape[:-2], -1)
    return flat @ jax.nn.one_hot(about, agents) / (agents - 1)


def draw(
    replay: Replay, key: Key[Array, ""], shape: tuple[int, ...]
) -> Float[Array, "*shape N O"]:
    """Draws time steps uniformly from all that were lived, with replacement."""
    ends = jnp.cumsum(replay.lengths)
    step = jax.random.randint(key, shape, 0, ends[-1])
    episode = jnp.searchsorted(ends, step, side="right")
    start = ends[episode] - replay.lengths[episode]
    return replay.obs[episode, step - start]

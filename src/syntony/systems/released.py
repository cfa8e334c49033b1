"""What the authors' released code does that their paper does not say.

All of it is off by default. Switched on, one by one or together by the preset
`official_compat`, it tells which difference changes what.

Two more need no switch. The standard critic takes two steps of Adam with each gradient,
by two optimisers with the same history: that is one step at twice the rate. And the
filters' step under the critic's loss ignores its own rate: it takes that of the bursts,
as `filter_critic_lr` may.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from syntony.record import record
from syntony.tasks.rollout import Trajectory


@record
class Released:
    """Ways of the released code, each a switch."""

    frozen_filtered_critic: bool = False
    """The filtered critic never learns: its optimiser and its slow copy are the
    standard critic's by mistake, as that was drawn. Filters are trained to fit a random
    function."""
    one_filter_memory: bool = False
    """The filters' steps in the bursts and under the critic's loss share the memory of
    one RMSprop."""
    last_step_bootstrap: bool = False
    """Targets bootstrap where a batch's longest episode has its last step, terminal or
    not, and nowhere else; from the value of padding if an episode has ended before."""
    full_rounds: bool = False
    """The schedules of beliefs count every episode as if it had gone on to the time
    limit."""
    padding: bool = False
    """What lies behind an episode's end is counted, learned from and averaged in, as
    observations of zero."""
    sketch: bool = False
    """Novelty counts in six tables of about ten thousand cells, where codes collide;
    the fullest estimate that is not too high counts."""
    beliefs_first: bool = False
    """Statistics and beliefs learn before bonus and policy do: the policy is improved
    on beliefs that it has not acted on."""


def bootstrap_at_last_step(episodes: Trajectory) -> Trajectory:
    """Returns the episodes with one end: that of the batch's longest, as a time-out."""
    longest = jnp.max(jnp.sum(episodes.mask, axis=0))
    last = jnp.arange(len(episodes.mask))[:, None] == longest - 1
    return episodes._replace(
        obs=behind_ends_zero(episodes),
        terminated=jnp.zeros_like(episodes.terminated),
        truncated=jnp.broadcast_to(last, episodes.truncated.shape),
    )


def padded(episodes: Trajectory) -> Trajectory:
    """Returns the episodes at full length: behind each end, agents see zeros."""
    return episodes._replace(
        obs=behind_ends_zero(episodes),
        mask=jnp.ones_like(episodes.mask),
        playing=jnp.ones_like(episodes.playing),
    )


def behind_ends_zero(episodes: Trajectory) -> Float[Array, "T1 E N O"]:
    """Returns what agents saw; behind an episode's final observation, zeros."""
    known = jnp.concatenate([jnp.ones_like(episodes.mask[:1]), episodes.mask])
    return jnp.where(known[..., None, None], episodes.obs, 0.0)

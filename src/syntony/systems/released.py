"""What the authors' released code does that their paper does not say.

All of it is off by default. Switched on, one by one or together by the preset
`official_compat`, it tells which difference changes what.

Two more need no switch. The standard critic takes two steps of Adam with each gradient,
by two optimisers with the same history: that is one step at twice the rate. And the
filters' step under the critic's loss ignores its own rate: it takes that of the bursts,
as `filter_critic_lr` may.
"""

import jax.numpy as jnp

from syntony.record import record
from syntony.tasks.rollout import Trajectory


@record
class Released:
    """Ways of the released code, each a switch."""

    frozen_filtered_critic: bool = False
    """The filtered critic never learns: its optimiser holds the standard critic's
    parameters by mistake. Filters are trained to fit a random function."""
    last_step_bootstrap: bool = False
    """Targets bootstrap at the last step of a batch's longest episodes, be it a
    terminal or not, and nowhere else."""
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
    """Returns the episodes with every end but the batch's latest taken as terminal."""
    lengths = jnp.sum(episodes.mask, axis=0)
    ended = episodes.terminated | episodes.truncated
    latest = lengths == jnp.max(lengths)
    return episodes._replace(truncated=ended & latest, terminated=ended & ~latest)


def padded(episodes: Trajectory) -> Trajectory:
    """Returns the episodes at full length: behind each end, agents see zeros."""
    # An episode's final observation is its own; what comes later is padding.
    known = jnp.concatenate([jnp.ones_like(episodes.mask[:1]), episodes.mask])
    obs = jnp.where(known[..., None, None], episodes.obs, 0.0)
    return episodes._replace(obs=obs, mask=jnp.ones_like(episodes.mask))

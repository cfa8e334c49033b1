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

from syntony.config import pytree_dataclass
from syntony.tasks.rollout import Trajectory


@pytree_dataclass
class OfficialQuirks:
    """Ways of the released code, each a switch."""

    frozen_filtered_critic: bool = False
    """The filtered critic never learns: its optimiser and its slow copy are the
    standard critic's by mistake, as that was drawn. Filters are trained to fit a random
    function."""
    shared_filter_optimizer: bool = False
    """The filters' steps in the bursts and under the critic's loss share the memory of
    one RMSprop."""
    last_step_bootstrap: bool = False
    """Targets bootstrap where a batch's longest episode has its last step, terminal or
    not, and nowhere else; from the value of padding if an episode has ended before."""
    count_padded_steps: bool = False
    """The schedules of beliefs count every episode as if it had gone on to the time
    limit."""
    include_padding: bool = False
    """What lies behind an episode's end is counted, learned from and averaged in, as
    observations of zero."""
    count_sketch: bool = False
    """Novelty counts in six tables of about ten thousand cells, where codes collide;
    the fullest estimate that is not too high counts."""
    beliefs_first: bool = False
    """Statistics and beliefs learn before bonus and policy do: the policy is improved
    on beliefs that it has not acted on."""


def bootstrap_at_last_step(trajectory: Trajectory) -> Trajectory:
    """Returns the episodes with one end: that of the batch's longest, as a time-out."""
    longest = jnp.max(jnp.sum(trajectory.valid, axis=0))
    last = jnp.arange(len(trajectory.valid))[:, None] == longest - 1
    return trajectory._replace(
        obs=zero_after_done(trajectory),
        terminated=jnp.zeros_like(trajectory.terminated),
        truncated=jnp.broadcast_to(last, trajectory.truncated.shape),
    )


def unmask_padding(trajectory: Trajectory) -> Trajectory:
    """Returns the episodes at full length: behind each end, agents see zeros."""
    return trajectory._replace(
        obs=zero_after_done(trajectory),
        valid=jnp.ones_like(trajectory.valid),
        alive=jnp.ones_like(trajectory.alive),
    )


def zero_after_done(trajectory: Trajectory) -> Float[Array, "T1 E N O"]:
    """Returns what agents saw; behind an episode's final observation, zeros."""
    known = jnp.concatenate([jnp.ones_like(trajectory.valid[:1]), trajectory.valid])
    return jnp.where(known[..., None, None], trajectory.obs, 0.0)

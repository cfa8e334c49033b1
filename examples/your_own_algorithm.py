"""An algorithm of one's own: recurrent REINFORCE with a team baseline.

All agents share one recurrent actor. At each time step the mean return of the batch's
episodes is the baseline of all agents, so that no critic is needed.

    cd examples
    syntony train python:your_own_algorithm:Reinforce --task probe-remember --steps 4e4
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

import syntony
from syntony.equations import distributions
from syntony.equations.score import actor_loss
from syntony.networks.actors import GRUActor
from syntony.networks.agents import agent_ids


class ReinforceState(NamedTuple):
    """State of a run."""

    actor: GRUActor
    opt_state: optax.OptState
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@syntony.pytree_dataclass
class Reinforce(syntony.MultiAgentSystem[ReinforceState]):
    """Recurrent REINFORCE with a team baseline.

    Source: Williams, "Simple Statistical Gradient-Following Algorithms", 1992.
    """

    task: syntony.Task
    """The task to train on; see: syntony list tasks."""
    num_envs: int = syntony.field(32, static=True, limits=syntony.at_least(2))
    """Environments side by side; each update uses one episode of each."""
    hidden: int = syntony.field(32, static=True, limits=syntony.at_least(1))
    """Width of the actor."""
    gamma: float = syntony.field(0.99, limits=syntony.between(0, 1))
    """Discount factor per step."""
    learning_rate: float = syntony.field(5e-3, limits=syntony.above(0))
    """Learning rate of Adam."""
    entropy_coef: float = syntony.field(0.01, limits=syntony.at_least(0))
    """Weight of the policy's entropy, per nat."""

    def check(self) -> None:
        syntony.validate(self)

    @property
    def optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.learning_rate)

    def init(self, key: Key[Array, ""]) -> ReinforceState:
        actor_key, run_key = jax.random.split(key)
        in_size = self.task.obs_dim + self.task.num_agents
        actor = GRUActor(in_size, self.hidden, self.task.num_actions, key=actor_key)
        opt_state = syntony.init_opt_state(self.optimizer, actor)
        return ReinforceState(actor, opt_state, run_key, jnp.zeros((), jnp.int32))

    def policy(self, state: ReinforceState) -> syntony.Policy:
        ids = agent_ids(self.task.num_agents)
        return lambda obs, hidden: state.actor(obs, ids, hidden)

    def initial_hidden(self, episodes: int) -> Float[Array, "E N H"]:
        return jnp.zeros((episodes, self.task.num_agents, self.hidden))

    def update(
        self, state: ReinforceState, trajectory: syntony.Trajectory, key: Key[Array, ""]
    ) -> tuple[ReinforceState, syntony.Metrics]:
        del key  # Nothing is random.
        loss, grads = jax.value_and_grad(self.loss)(state.actor, trajectory)
        actor, opt_state = syntony.apply_gradients(
            self.optimizer, grads, state.opt_state, state.actor
        )
        return state._replace(actor=actor, opt_state=opt_state), {"train/loss": loss}

    def loss(self, actor: GRUActor, trajectory: syntony.Trajectory) -> Float[Array, ""]:
        ids = agent_ids(self.task.num_agents)
        logits = actor.unroll(trajectory.obs[:-1], ids)
        logits = distributions.masked_logits(logits, trajectory.action_mask)
        log_prob = distributions.categorical_log_prob(logits, trajectory.action)
        entropy = distributions.categorical_entropy(logits)
        advantage = jnp.broadcast_to(self.advantage(trajectory), log_prob.shape)
        coef = self.entropy_coef
        losses = actor_loss(log_prob, advantage, entropy, entropy_coef=coef)
        return jnp.mean(losses, where=trajectory.alive)

    def advantage(self, trajectory: syntony.Trajectory) -> Float[Array, "T E 1"]:
        reward = jnp.sum(trajectory.reward, axis=-1)

        def discount(later: Array, reward: Array) -> tuple[Array, Array]:
            return (now := reward + self.gamma * later), now

        start = jnp.zeros_like(reward[0])
        _, returns = jax.lax.scan(discount, start, reward, reverse=True)
        baseline = jnp.mean(returns, axis=1, keepdims=True)
        return (returns - baseline)[..., None]

    def params(self, state: ReinforceState) -> dict[str, GRUActor]:
        return {"actor": state.actor}

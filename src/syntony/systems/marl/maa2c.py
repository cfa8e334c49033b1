"""MAA2C: recurrent actors and one central critic that learn from whole episodes.

The backbone of SMPE², usable alone. One step of learning:

    live whole episodes with the actors as they are
    standardise the team's rewards by the statistics of all rewards so far
    G ← n-step targets from the slow critic; time-outs bootstrap, terminals do not
    critic: descend (G − V(s, i))²; the slow critic follows
    actors: descend −ln π(a | h) (G − V) − β_H H(π)

IA2C, MAPPO and IPPO are the same record with other defaults: the critic sees what its
agent sees, or the actors learn several times from each batch, or both.

Source: Papoudakis et al., "Benchmarking Multi-Agent Deep Reinforcement Learning
    Algorithms in Cooperative Tasks", NeurIPS 2021; constants of SMPE², Table 3.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from syntony.config import check_literals, pytree_dataclass
from syntony.equations.running_stats import (
    RunningMeanStd,
    init_running_mean_std,
    normalize,
    update_running_mean_std,
)
from syntony.networks.agents import Actor
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    CriticState,
    joint_state,
    recurrent_policy,
    run_update_epochs,
    update_actor,
    value_loss,
    zero_hidden_state,
)
from syntony.systems.marl.recalling import LastActionSystem
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task


class ActorCriticState(NamedTuple):
    """All that training changes."""

    actor: Actor
    actor_opt_state: PyTree
    critic_state: CriticState
    reward_stats: RunningMeanStd
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@pytree_dataclass
class MAA2C(LastActionSystem):
    """Settings of MAA2C, and what it can do: start, learn, be measured."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    critic_input: Literal["joint", "local"] = "joint"
    """What V_i is of: all agents' observations, or agent i's alone."""
    last_action: bool = False
    """Show each agent, beside what it observes, what it did last."""

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.actor_critic.check()
        check_literals(self)

    @property
    def num_envs(self) -> int:
        return self.actor_critic.num_envs

    def init(self, key: Key[Array, ""]) -> ActorCriticState:
        actor_key, critic_key, run_key = jax.random.split(key, 3)
        world, own = self.wrapped_task, self.wrapped_task.obs_dim
        actor = self.actor_critic.init_actors(world, own, actor_key)
        seen = own if self.critic_input == "local" else own * world.num_agents
        return ActorCriticState(
            actor=actor,
            actor_opt_state=self.actor_critic.actor_optimizer.init(actor),
            critic_state=self.actor_critic.init_critic(world, critic_key, seen),
            reward_stats=init_running_mean_std(()),
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: ActorCriticState) -> Policy:
        return recurrent_policy(self.actor_critic, state.actor, lambda obs: obs)

    def initial_hidden(self, episodes: int) -> Float[Array, "E N H"]:
        return zero_hidden_state(self.actor_critic, self.task, episodes)

    def update(
        self, state: ActorCriticState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[ActorCriticState, Metrics]:
        del key  # All is learned from all episodes: nothing is left to chance.
        reward = jnp.sum(trajectory.reward, axis=-1, keepdims=True)
        rewards = update_running_mean_std(
            state.reward_stats, reward[..., 0], trajectory.valid
        )
        if self.actor_critic.normalize_rewards:
            reward = normalize(rewards, reward)
        reward = jnp.broadcast_to(reward, trajectory.reward.shape)
        return run_update_epochs(
            self.actor_critic,
            lambda state: self.update_actor_critic(state, trajectory, reward),
            state._replace(reward_stats=rewards),
        )

    def update_actor_critic(
        self,
        state: ActorCriticState,
        trajectory: Trajectory,
        reward: Float[Array, "T E N"],
    ) -> tuple[ActorCriticState, Metrics]:
        """Returns a wiser critic and, by its advantages, wiser actors."""
        backbone, judge = self.actor_critic, state.critic_state
        (loss, advantage), grad = jax.value_and_grad(
            value_loss, argnums=1, has_aux=True
        )(
            backbone,
            judge.critic,
            judge.target_critic,
            self.select_critic_input(trajectory),
            reward,
            trajectory,
        )
        actor, memory, metrics = update_actor(
            backbone,
            state.actor,
            state.actor_opt_state,
            trajectory.obs[:-1],
            advantage,
            trajectory,
        )
        judge = judge.apply_gradients(backbone, grad)
        state = state._replace(actor=actor, actor_opt_state=memory, critic_state=judge)
        return state, metrics | {"train/critic_loss": loss}

    def select_critic_input(self, trajectory: Trajectory) -> Float[Array, "T1 E #N S"]:
        """Returns what the critic sees."""
        return (
            trajectory.obs
            if self.critic_input == "local"
            else joint_state(trajectory.obs)
        )

    def params(self, state: ActorCriticState) -> PyTree[Float[Array, "..."]]:
        return {"actor": state.actor, "critic": state.critic_state.critic}

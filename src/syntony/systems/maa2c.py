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

from syntony.equations.moments import (
    Moments,
    initial_moments,
    standardise,
    update_moments,
)
from syntony.networks.agents import Actor
from syntony.record import check_choices, record
from syntony.systems.actor_critic import (
    Backbone,
    Judge,
    blank_memory,
    improve,
    improve_actor,
    joint_state,
    recurrent_policy,
    value_loss,
)
from syntony.systems.recalling import RecallingTeam
from syntony.systems.system import Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task


class Maa2cState(NamedTuple):
    """All that training changes."""

    actor: Actor
    actor_memory: PyTree
    judge: Judge
    rewards: Moments
    key: Key[Array, ""]
    env_steps: Int[Array, ""]


@record
class Maa2c(RecallingTeam):
    """Settings of MAA2C, and what it can do: start, learn, be measured."""

    task: Task
    """The world to learn in; see: syntony list tasks."""
    backbone: Backbone = Backbone()
    critic_sees: Literal["joint", "own"] = "joint"
    """What V_i is of: all agents' observations, or agent i's alone."""
    last_action: bool = False
    """Show each agent, beside what it observes, what it did last."""

    def check(self) -> None:
        """Raises BadInput where a setting makes no sense."""
        self.backbone.check()
        check_choices(self)

    @property
    def environments(self) -> int:
        return self.backbone.environments

    def init(self, key: Key[Array, ""]) -> Maa2cState:
        actor_key, critic_key, run_key = jax.random.split(key, 3)
        world, own = self.world, self.world.obs_size
        actor = self.backbone.actors(world, own, actor_key)
        seen = own if self.critic_sees == "own" else own * world.agents
        return Maa2cState(
            actor=actor,
            actor_memory=self.backbone.actor_optimiser.init(actor),
            judge=self.backbone.judge(world, critic_key, seen),
            rewards=initial_moments(()),
            key=run_key,
            env_steps=jnp.zeros((), jnp.int32),
        )

    def policy(self, state: Maa2cState) -> Policy:
        return recurrent_policy(self.backbone, state.actor, lambda obs: obs)

    def memory(self, episodes: int) -> Float[Array, "E N H"]:
        return blank_memory(self.backbone, self.task, episodes)

    def learn(
        self, state: Maa2cState, episodes: Trajectory, key: Key[Array, ""]
    ) -> tuple[Maa2cState, Metrics]:
        del key  # All is learned from all episodes: nothing is left to chance.
        reward = jnp.sum(episodes.reward, axis=-1, keepdims=True)
        rewards = update_moments(state.rewards, reward[..., 0], episodes.mask)
        if self.backbone.standardise_rewards:
            reward = standardise(rewards, reward)
        reward = jnp.broadcast_to(reward, episodes.reward.shape)
        return improve(
            self.backbone,
            lambda state: self.improve(state, episodes, reward),
            state._replace(rewards=rewards),
        )

    def improve(
        self, state: Maa2cState, episodes: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[Maa2cState, Metrics]:
        """Returns a wiser critic and, by its advantages, wiser actors."""
        backbone, judge = self.backbone, state.judge
        (loss, advantage), grad = jax.value_and_grad(
            value_loss, argnums=1, has_aux=True
        )(backbone, judge.critic, judge.slow, self.judged(episodes), reward, episodes)
        actor, memory, metrics = improve_actor(
            backbone,
            state.actor,
            state.actor_memory,
            episodes.obs[:-1],
            advantage,
            episodes,
        )
        judge = judge.improve(backbone, grad)
        state = state._replace(actor=actor, actor_memory=memory, judge=judge)
        return state, metrics | {"train/critic_loss": loss}

    def judged(self, episodes: Trajectory) -> Float[Array, "T1 E #N S"]:
        """Returns what the critic sees."""
        return episodes.obs if self.critic_sees == "own" else joint_state(episodes.obs)

    def weights(self, state: Maa2cState) -> PyTree[Float[Array, "..."]]:
        return {"actor": state.actor, "critic": state.judge.critic}

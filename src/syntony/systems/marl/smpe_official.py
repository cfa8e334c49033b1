"""SMPE² as the authors' released code has it, where that differs from their paper.

`SMPEOfficial` is composed of the pieces of `smpe.SMPE`; each difference is a switch of
`OfficialQuirks`. All of them together, with the released constants, are the preset
`official_compat`; one by one they tell which difference changes what.

Two more differences need no switch. The standard critic takes two Adam steps with each
gradient, by two optimizers with the same history: that is one step at twice the
learning rate. And the filters' step under the critic's loss ignores its own learning
rate and takes that of the training phases, as `filter_critic_lr` may.
"""

from collections.abc import Mapping
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from syntony.config import field, pytree_dataclass
from syntony.equations import novelty
from syntony.pytrees import PyTree
from syntony.systems.marl.actor_critic import (
    ActorCriticConfig,
    PPOConfig,
    run_update_epochs,
)
from syntony.systems.marl.base import MultiAgentSystem
from syntony.systems.marl.smpe import (
    SMPE,
    ExplorationConfig,
    SMPEState,
    belief_metrics,
    update_inputs,
)
from syntony.systems.marl.smpe_beliefs import BeliefConfig, output_norm
from syntony.systems.system import DecodedBelief, Metrics
from syntony.tasks.rollout import Policy, Trajectory
from syntony.tasks.task import Task


@pytree_dataclass
class OfficialQuirks:
    """Differences of the released code from the paper, each a switch."""

    frozen_filtered_critic: bool = field(False, static=True)
    """The filtered critic is never trained: its optimizer is the standard critic's by
    mistake, and its target network is that of the standard critic at the start. The
    filters are trained to fit a random function."""
    shared_filter_optimizer: bool = field(False, static=True)
    """The filters' steps in the training phases and under the critic's loss share one
    optimizer state."""
    last_step_bootstrap: bool = field(False, static=True)
    """Targets bootstrap at the last step of a batch's longest episode, terminal or not,
    and nowhere else; from the value of padding if an episode has ended before."""
    count_padded_steps: bool = field(False, static=True)
    """The schedules of the beliefs count every episode as if it had reached the time
    limit."""
    include_padding: bool = field(False, static=True)
    """Padding after the end of an episode is counted, trained on and averaged in, as
    observations of zeros."""
    count_sketch: bool = field(False, static=True)
    """Codes are counted in a sketch of six tables of about ten thousand cells, in which
    codes collide; the smallest of the six counts is used."""
    beliefs_first: bool = field(False, static=True)
    """Statistics and beliefs are updated before bonus and policy: the policy is trained
    on beliefs that it has not acted on."""
    parameter_norm: bool = field(False, static=True)
    """The filters' norm loss is the sum of the norms of their networks' parameters,
    with the opposite sign, in place of the outputs'."""


@pytree_dataclass
class SMPEOfficial(MultiAgentSystem[SMPEState]):
    """SMPE² with switches for what the released code does differently.

    Examples:
        >>> import syntony
        >>> task = syntony.task("Foraging-2s-8x8-3p-2f-coop")
        >>> system = syntony.preset("smpe", "official_compat", task)
    """

    task: Task
    """The task to train on; see: syntony list tasks."""
    actor_critic: ActorCriticConfig = ActorCriticConfig()
    objective: Literal["a2c", "ppo"] = field("a2c", static=True)
    """Actor loss: the paper's, or PPO's clipped one over several epochs."""
    ppo: PPOConfig = PPOConfig()
    beliefs: BeliefConfig = BeliefConfig()
    exploration: ExplorationConfig = ExplorationConfig()
    standard_critic: bool = field(True, static=True)
    """Take advantages from V_ξ; without, from the filtered critic (ablation)."""
    filtered_critic: bool = field(True, static=True)
    """Train the filters by the loss of a critic of the filtered state, too; without, is
    an ablation."""
    quirks: OfficialQuirks = OfficialQuirks()

    @property
    def smpe(self) -> SMPE:
        """The system without its quirks."""
        return SMPE(
            task=self.task,
            actor_critic=self.actor_critic,
            objective=self.objective,
            ppo=self.ppo,
            beliefs=self.beliefs,
            exploration=self.exploration,
            standard_critic=self.standard_critic,
            filtered_critic=self.filtered_critic,
        )

    def check(self) -> None:
        """Raises InvalidInputError where a setting is invalid."""
        self.smpe.check()

    @property
    def num_envs(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.actor_critic.num_envs

    def init(self, key: Key[Array, ""]) -> SMPEState:
        """Initial state; the key is consumed."""
        state = self.smpe.init(key)
        if self.quirks.frozen_filtered_critic:
            target_critic = jax.tree.map(jnp.copy, state.critic_state.critic)
            critic_state = state.filtered_critic_state._replace(
                target_critic=target_critic
            )
            state = state._replace(filtered_critic_state=critic_state)
        if self.quirks.count_sketch:
            shape = (self.task.num_agents, novelty.SKETCH_SIZE)
            state = state._replace(counts=jnp.zeros(shape, jnp.int32))
        return state

    def policy(self, state: SMPEState) -> Policy:
        return self.smpe.policy(state)

    def initial_hidden(self, episodes: int) -> PyTree[Array]:
        return self.smpe.initial_hidden(episodes)

    def encode_beliefs(
        self, state: SMPEState, obs: Float[Array, "*batch N O"]
    ) -> tuple[Float[Array, "*batch N Z"], Float[Array, "*batch N Z"]]:
        """Mean μ and log-variance ln σ² of each agent's belief."""
        return self.smpe.encode_beliefs(state, obs)

    def decode_beliefs(
        self, state: SMPEState, obs: Float[Array, "*batch N O"]
    ) -> DecodedBelief:
        """Decoded beliefs of all agents, in units of the observations."""
        return self.smpe.decode_beliefs(state, obs)

    def update(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[SMPEState, Metrics]:
        """State after all updates on a batch of episodes."""
        bonus_key, belief_key = jax.random.split(key)
        quirks, smpe = self.quirks, self.smpe
        if quirks.last_step_bootstrap:
            trajectory = bootstrap_at_last_step(trajectory)
        padded = unmask_padding(trajectory) if quirks.include_padding else trajectory
        num_steps = trajectory.num_steps
        if quirks.count_padded_steps:
            num_steps = trajectory.valid.size
        update_beliefs = partial(
            smpe.update_beliefs,
            trajectory=padded,
            schedule_steps=state.schedule_steps + num_steps,
            key=belief_key,
            filter_norm=parameter_norm if quirks.parameter_norm else output_norm,
        )
        if quirks.beliefs_first:
            state = update_beliefs(state)
        state, reward, reward_metrics = self.augmented_reward(state, padded, bonus_key)
        state, metrics = self.update_policy(state, trajectory, reward)
        if not quirks.beliefs_first:
            state = update_beliefs(state)
        state = update_inputs(state, trajectory)
        return state, metrics | reward_metrics | belief_metrics(state)

    def augmented_reward(
        self, state: SMPEState, trajectory: Trajectory, key: Key[Array, ""]
    ) -> tuple[SMPEState, Float[Array, "T E N"], Metrics]:
        """r̃ of each agent, with counts in the table or in the sketch."""
        if not self.quirks.count_sketch:
            return self.smpe.augmented_reward(state, trajectory, key)
        cell_fn = partial(
            novelty.count_min_sketch_cells, num_bits=self.exploration.hash_bits
        )
        return self.smpe.augmented_reward(state, trajectory, key, cell_fn)

    def update_policy(
        self, state: SMPEState, trajectory: Trajectory, reward: Float[Array, "T E N"]
    ) -> tuple[SMPEState, Metrics]:
        """State after the updates of critics, filters, actors and target critics."""
        smpe, frozen = self.smpe, self.quirks.frozen_filtered_critic
        before = state.filtered_critic_state

        def update_networks(state: SMPEState) -> tuple[SMPEState, Metrics]:
            shared = self.quirks.shared_filter_optimizer
            state = swap_filter_optimizers(state) if shared else state
            state, metrics = smpe.update_networks(state, trajectory, reward)
            state = swap_filter_optimizers(state) if shared else state
            if frozen:
                state = state._replace(filtered_critic_state=before)
            return state, metrics

        state, metrics = run_update_epochs(smpe.ppo_config, update_networks, state)
        state = smpe.update_target_critics(state)
        if frozen:
            state = state._replace(filtered_critic_state=before)
        return state, metrics

    def params(self, state: SMPEState) -> PyTree[Float[Array, "..."]]:
        return self.smpe.params(state)

    def weights(self, state: SMPEState) -> dict[str, PyTree[Array]]:
        return self.smpe.weights(state)

    def with_weights(
        self, state: SMPEState, weights: Mapping[str, PyTree[Array]]
    ) -> SMPEState:
        return self.smpe.with_weights(state, weights)


def swap_filter_optimizers(state: SMPEState) -> SMPEState:
    """State in which the two optimizer states of the filters have changed places."""
    beliefs = state.beliefs
    beliefs = beliefs._replace(
        filter_opt_state=beliefs.filter_critic_opt_state,
        filter_critic_opt_state=beliefs.filter_opt_state,
    )
    return state._replace(beliefs=beliefs)


def parameter_norm(
    filters: PyTree[Float[Array, "N ..."]],
    w: Float[Array, "B N F"],
    alive: Bool[Array, "B N"],
) -> Float[Array, ""]:
    """Norm loss of the filters' parameters, Σ ‖θ‖ over weights and biases.

    Divided by B N: the other losses are means here, and sums in the released code.
    """
    del alive

    def norms(leaf: Float[Array, "N *shape"]) -> Float[Array, ""]:
        squares = jnp.sum(leaf.reshape(leaf.shape[0], -1) ** 2, axis=-1)
        # A norm has no gradient at zero.
        return jnp.sum(jnp.sqrt(squares + 1e-12))

    total = sum((norms(leaf) for leaf in jax.tree.leaves(filters)), jnp.zeros(()))
    return total / (w.shape[0] * w.shape[1])


def bootstrap_at_last_step(trajectory: Trajectory) -> Trajectory:
    """Episodes with one end: that of the batch's longest, as a truncation."""
    longest = jnp.max(jnp.sum(trajectory.valid, axis=0))
    last = jnp.arange(len(trajectory.valid))[:, None] == longest - 1
    return trajectory._replace(
        obs=zero_after_done(trajectory),
        terminated=jnp.zeros_like(trajectory.terminated),
        truncated=jnp.broadcast_to(last, trajectory.truncated.shape),
    )


def unmask_padding(trajectory: Trajectory) -> Trajectory:
    """Episodes of full length: agents observe zeros after each end."""
    return trajectory._replace(
        obs=zero_after_done(trajectory),
        valid=jnp.ones_like(trajectory.valid),
        alive=jnp.ones_like(trajectory.alive),
    )


def zero_after_done(trajectory: Trajectory) -> Float[Array, "T1 E N O"]:
    """Observations, with zeros after each episode's final one."""
    known = jnp.concatenate([jnp.ones_like(trajectory.valid[:1]), trajectory.valid])
    return jnp.where(known[..., None, None], trajectory.obs, 0.0)

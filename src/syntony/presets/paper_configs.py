"""Presets of multi-agent systems: the papers' constants, by the benchmark of a task."""

import dataclasses
from collections.abc import Callable
from typing import TypedDict

from syntony.config import FieldValues
from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig, PPOConfig
from syntony.systems.marl.input_normalization import is_published
from syntony.systems.marl.ppo import MAPPO, GAEConfig
from syntony.systems.marl.smpe import SMPE, ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.smpe_official import OfficialQuirks, SMPEOfficial
from syntony.systems.marl.value_decomposition import QLearningConfig
from syntony.systems.registry import system_class
from syntony.systems.system import System
from syntony.tasks.scene import Benchmark
from syntony.tasks.task import HasBenchmark, Task

MAX_UNSHARED_ACTORS = 5
"""Maximum number of agents of a spread task with an actor of their own each."""

DOUBLED_CRITIC_LR = 1e-3
"""Adam's learning rate that equals two steps of 5e-4 with the same gradient."""

MAX_FILTER_HIDDEN = 128
"""Most units of a filter's hidden layers. The paper leaves them open: as wide as its
output, a filter of N agents costs N⁴ and more. Up to 5 agents outputs are fewer."""

LARGE_BOARD_ROWS = 11
"""Rows of a foraging board from which on hashes are of samples, with more bits."""


FORAGING = Benchmark("foraging")


def paper_benchmark(task: Task | None) -> Benchmark:
    """Benchmark whose constants a task has; without any, those of foraging."""
    if isinstance(task, HasBenchmark) and is_published(task):
        return task.benchmark
    return FORAGING


def table_3_actor_critic(task: Task | None) -> ActorCriticConfig:
    """Actor-critic of SMPE²'s Table 3."""
    benchmark = paper_benchmark(task)
    if benchmark.name == "warehouse":
        return ActorCriticConfig(hidden=64)
    if task is None or benchmark.scenario != "simple_spread":
        return ActorCriticConfig()
    return ActorCriticConfig(shared_actor=task.num_agents > MAX_UNSHARED_ACTORS)


def paper_actor_critic(task: Task | None) -> ActorCriticConfig:
    """Actor-critic of SMPE²'s preset `paper`.

    In warehouses the critics' learning rate is twice the printed one: the released code
    takes two steps with each gradient, and teams deliver more with it.
    """
    table_3 = table_3_actor_critic(task)
    if paper_benchmark(task).name == "warehouse":
        return dataclasses.replace(table_3, critic_lr=DOUBLED_CRITIC_LR)
    return table_3


def paper_maa2c(task: Task) -> MAA2C:
    """MAA2C with the actor-critic of SMPE²'s preset `paper`."""
    return MAA2C(task=task, actor_critic=paper_actor_critic(task))


def paper_mappo(task: Task) -> MAPPO:
    """MAPPO with the constants that SMPE²'s paper lists for it.

    Two differ: the paper copies the critic to the target network every 200 updates,
    which is a moving average here; and actors are shared as in SMPE², as MAPPO does not
    learn SimpleSpread-3 with a shared actor.
    """
    shared = table_3_actor_critic(task).shared_actor
    backbone = ActorCriticConfig(hidden=64, shared_actor=shared)
    return MAPPO(task=task, actor_critic=backbone, last_action=True)


def table_3_smpe(task: Task) -> SMPE:
    """SMPE² with the constants of its Table 3, as printed."""
    exploration = ExplorationConfig(hash_input="sample", hash_bits=16)
    match paper_benchmark(task).name:
        case "particles":
            beliefs = BeliefConfig(
                latent_dim=64, lambda_rec=1.0, lambda_norm=0.1, filter_critic_lr=5e-7
            )
            exploration = dataclasses.replace(exploration, intrinsic_reward=False)
        case "warehouse":
            # The paper does not give the filter's hidden size. With that of the beliefs
            # it costs a quarter of one as wide as three teammates' 213 features.
            beliefs = BeliefConfig(
                filter_hidden=32,
                lambda_rec=1.0,
                lambda_norm=0.1,
                filter_lr=5e-5,
                filter_critic_lr=5e-7,
            )
            exploration = dataclasses.replace(exploration, bonus_coef=1e-3)
        case _:
            # The defaults of the config are the column of foraging.
            beliefs = BeliefConfig()
    if (task.num_agents - 1) * task.obs_dim > MAX_FILTER_HIDDEN:
        hidden = beliefs.filter_hidden or MAX_FILTER_HIDDEN
        beliefs = dataclasses.replace(beliefs, filter_hidden=hidden)
    return SMPE(
        task=task,
        actor_critic=table_3_actor_critic(task),
        # The paper clips neither observations nor log-variances.
        beliefs=dataclasses.replace(beliefs, obs_clip=0.0, soft_clip_log_var=False),
        exploration=exploration,
    )


def paper_smpe(task: Task) -> SMPE:
    """SMPE² of its paper: Table 3, except for constants that do not reproduce it."""
    table_3 = table_3_smpe(task)
    beliefs: FieldValues = {"obs_clip": 5.0, "soft_clip_log_var": True}
    exploration: FieldValues = {"hash_input": "mean", "hash_bits": 10}
    if paper_benchmark(task).rows >= LARGE_BOARD_ROWS:
        # With 0.1, of the released code, all teams learn; with 0.5, of Table 3, none in
        # the same time.
        beliefs |= {"lambda_rec": 0.1}
        exploration = {"hash_bits": 13}
    if paper_benchmark(task).name == "warehouse":
        # The released code counts 250 steps for ten episodes, which are 5,000 here: its
        # interval of 2,000 steps between belief updates is eight times ten episodes.
        beliefs |= {"belief_update_interval": 40_000}
    return dataclasses.replace(
        table_3,
        actor_critic=paper_actor_critic(task),
        beliefs=dataclasses.replace(table_3.beliefs, **beliefs),
        exploration=dataclasses.replace(table_3.exploration, **exploration),
    )


def action_filters(beliefs: BeliefConfig) -> BeliefConfig:
    """Constants of filters that a critic of actions trains.

    Without a norm loss the weights of what does not change the best action vanish. The
    critic has to be the faster of the two: at a quarter of its rate, distractors keep
    a weight of 0.15.
    """
    return dataclasses.replace(
        beliefs, filters=True, lambda_norm=0.0, filter_critic_lr=2e-3
    )


def action_filtered_smpe(task: Task) -> SMPE:
    """SMPE² of its paper, with filters that a critic of actions trains."""
    smpe = paper_smpe(task)
    return dataclasses.replace(
        smpe,
        beliefs=action_filters(smpe.beliefs),
        filtered_critic_values="action",
    )


def official_smpe(task: Task) -> SMPEOfficial:
    """SMPE² of its released code: its constants, and its deviations from the paper.

    The schedules of the released code count rounds, at 250 steps each; here a round
    counts as many steps as it has with full episodes.
    """
    table_3 = table_3_smpe(task)
    beliefs: FieldValues = {"filter_layers": 1}
    match paper_benchmark(task).name:
        case "foraging":
            beliefs |= {"lambda_rec": 0.1, "lambda_norm": 0.5, "min_filter_weight": 0.3}
            beliefs |= {"filter_critic_lr": 5e-4, "belief_update_interval": 4_000}
        case "particles":
            beliefs |= {"min_filter_weight": 0.1, "filter_layers": 2}
            beliefs |= {"filter_critic_lr": 5e-4, "filter_update_interval": 10}
            beliefs |= {"target_filter_interval": 150_000}
        case "warehouse":
            # Its schedule has no step at which a belief update trains the filters.
            beliefs |= {"min_filter_weight": 0.1, "filter_update_interval": 0}
            beliefs |= {"filter_critic_lr": 5e-5, "belief_update_interval": 40_000}
            beliefs |= {"target_filter_interval": 3_000_000}
    return SMPEOfficial(
        task=task,
        actor_critic=dataclasses.replace(
            table_3.actor_critic, critic_lr=DOUBLED_CRITIC_LR
        ),
        beliefs=dataclasses.replace(table_3.beliefs, **beliefs),
        exploration=table_3.exploration,
        quirks=OfficialQuirks(
            frozen_filtered_critic=True,
            shared_filter_optimizer=True,
            last_step_bootstrap=True,
            count_padded_steps=True,
            include_padding=True,
            count_sketch=True,
            beliefs_first=True,
            parameter_norm=True,
        ),
    )


def yu2022_factory(system: str) -> Callable[[Task], System]:
    """Factory of IPPO or MAPPO as Yu et al. (2022) have it.

    Constants of `config.py` and the scripts `train_mpe_*.sh` of their released code. On
    simple_spread activations are tanh: its script has the flag `--use_ReLU`, which
    switches ReLU off. Agents of simple_speaker_listener share no network.
    """
    cls = system_class(system)

    def make(task: Task) -> System:
        scenario = paper_benchmark(task).scenario
        is_spread = scenario == "simple_spread"
        shared = scenario != "simple_speaker_listener"
        network = "layernorm_tanh_gru" if is_spread else "layernorm_gru"
        config = ActorCriticConfig(
            num_envs=128,
            hidden=64,
            actor=network,
            critic=network,
            shared_actor=shared,
            shared_critic=shared,
            entropy_coef=0.01,
            adam_eps=1e-5,
            actor_lr=7e-4,
            critic_lr=7e-4,
            normalize_rewards=False,
        )
        return cls(
            task=task,
            actor_critic=config,
            ppo=PPOConfig(ppo_epochs=10 if shared else 15),
            gae=GAEConfig(targets="gae"),
        )

    return make


OFF_POLICY_SYSTEMS = ("qmix", "vdn")
"""Systems with a replay buffer of episodes."""


def epymarl_factory(system: str) -> Callable[[Task], System]:
    """Factory of a baseline with EPyMARL's constants.

    They are the defaults of the configs, the same for every task; only the size of the
    replay buffer depends on the task.
    """
    cls = system_class(system)
    if system in OFF_POLICY_SYSTEMS:
        return lambda task: cls(task=task, q_learning=q_learning_config(task))
    return lambda task: cls(task=task)


def q_learning_config(task: Task | None) -> QLearningConfig:
    """Q-learning constants of VDN and QMIX.

    A replay buffer of 5,000 warehouse episodes (500 steps of four agents with 71
    features each) would take 2.8 GB. Its observations are integers below 2,048, which
    float16 holds exactly: 1,000 episodes take 0.3 GB.
    """
    if paper_benchmark(task).name == "warehouse":
        return QLearningConfig(buffer_size=1_000, obs_dtype="float16")
    return QLearningConfig()


class RunOptions(TypedDict):
    """Number of steps and evaluations of a run, as `syntony.train` takes them."""

    steps: int
    eval_every: int
    eval_episodes: int


def paper_run_options(system: str, task: Task | None) -> RunOptions:
    """Default number of steps and evaluations of a run on a task.

    On-policy systems take more steps than those with a replay buffer, following
    Papoudakis et al. (2021).
    """
    long = paper_benchmark(task).name == "warehouse"
    steps = 40_000_000 if long else 10_000_000
    if system in OFF_POLICY_SYSTEMS:
        steps = 4_000_000 if long else 2_000_000
    # In warehouses one evaluation, of 100 episodes of 500 steps with sampled and 100
    # with greedy actions, takes 100,000 steps.
    every = 500_000 if long else 50_000
    return {"steps": steps, "eval_every": every, "eval_episodes": 100}

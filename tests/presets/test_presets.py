"""Presets against the papers' tables, for each benchmark."""

import dataclasses
from typing import Any

import pytest
from your_own_task import Corridor

from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.presets.registry import PRESETS, default_run_options, preset
from syntony.systems.marl.actor_critic import ActorCriticConfig, PPOConfig
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.smpe_official import SMPEOfficial
from syntony.systems.marl.value_decomposition import QLearningConfig
from syntony.systems.registry import SYSTEMS
from syntony.tasks.external.external_env import ExternalEnv
from syntony.tasks.registry import task
from syntony.tasks.scene import Benchmark

LBF, MPE, RWARE = "Foraging-2s-8x8-3p-2f-coop", "SimpleSpread-3", "rware-tiny-2ag-hard"
UNCLIPPED = {"obs_clip": 0.0, "soft_clip_log_var": False}
TEAMS = [name for name in PRESETS if name != "link"]

# SMPE², Table 3: H, Z, λ_rec, λ_norm, λ_KL, β, and the filters' learning rates.
TABLE_3 = {
    LBF: (128, 32, 0.5, 1.0, 0.1, 0.1, 5e-4, 5e-5),
    MPE: (128, 64, 1.0, 0.1, 0.1, None, 5e-4, 5e-7),
    RWARE: (64, 32, 1.0, 0.1, 0.1, 1e-3, 5e-5, 5e-7),
}


@pytest.mark.parametrize("id", TABLE_3)
def test_table_3_as_printed(id):
    hidden, latent, rec, norm, kl, beta, filter_lr, critic_lr = TABLE_3[id]
    system: Any = preset("smpe", "table3", task(id))
    assert system.actor_critic == ActorCriticConfig(
        hidden=hidden, shared_actor=id != MPE, entropy_coef=0.01, n_step=5
    )
    assert system.beliefs == BeliefConfig(
        latent_dim=latent,
        lambda_rec=rec,
        lambda_norm=norm,
        lambda_kl=kl,
        filter_lr=filter_lr,
        filter_critic_lr=critic_lr,
        belief_lr=5e-4,
        belief_update_interval=2_000,
        target_filter_interval=100_000,
        **UNCLIPPED,
        # The paper does not give it.
        filter_hidden=32 if id == RWARE else 0,
    )
    bonus = {"intrinsic_reward": False} if beta is None else {"bonus_coef": beta}
    assert system.exploration == ExplorationConfig(
        hash_input="sample", hash_bits=16, **bonus
    )


def test_filters_of_large_teams_are_narrower_than_their_outputs():
    ids = (LBF, MPE, RWARE, "SimpleSpread-5", "SimpleSpread-8")
    for name in ("paper", "table3", "official_compat"):
        systems: list[Any] = [preset("smpe", name, task(id)) for id in ids]
        widths = [system.beliefs.filter_hidden for system in systems]
        assert widths == [0, 0, 32, 0, 128]


CLIPPED = {"obs_clip": 5.0, "soft_clip_log_var": True}
LARGE = {"beliefs": CLIPPED | {"lambda_rec": 0.1}, "exploration": {"hash_bits": 13}}
MEAN_HASHES = {"hash_input": "mean", "hash_bits": 10}


@pytest.mark.parametrize(
    ("id", "overrides"),
    [
        (LBF, {"exploration": MEAN_HASHES, "beliefs": CLIPPED}),
        (MPE, {"exploration": MEAN_HASHES, "beliefs": CLIPPED}),
        (
            RWARE,
            {
                "exploration": MEAN_HASHES,
                "beliefs": CLIPPED | {"belief_update_interval": 40_000},
                "actor_critic": {"critic_lr": 1e-3},
            },
        ),
        ("Foraging-4s-11x11-3p-2f-coop", LARGE),
        ("Foraging-12x12-2p-2f", LARGE),
        ("gymnasium:lbforaging:Foraging-2s-11x11-3p-2f-coop-v3", LARGE),
        (
            "gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3",
            {"exploration": MEAN_HASHES, "beliefs": CLIPPED},
        ),
    ],
)
def test_differences_of_the_paper_preset_from_table_3(id, overrides):
    if ":" in id:
        pytest.importorskip("lbforaging")
    paper: Any = preset("smpe", "paper", task(id))
    table_3: Any = preset("smpe", "table3", task(id))
    configs = {
        name: dataclasses.replace(getattr(table_3, name), **settings)
        for name, settings in overrides.items()
    }
    assert paper == dataclasses.replace(table_3, **configs)


@pytest.mark.parametrize("system", ["smpe", "air"])
def test_filters_that_a_critic_of_actions_trains_differ_in_them_alone(system):
    """Beside the signal that a team that transmits feeds back."""
    base: Any = preset(system, "paper" if system == "smpe" else "default", task(LBF))
    beliefs = dataclasses.replace(
        base.beliefs, filters=True, lambda_norm=0.0, filter_critic_lr=2e-3
    )
    expected = dataclasses.replace(
        base,
        beliefs=beliefs,
        filtered_critic=True,
        filtered_critic_values="action",
    )
    if system == "air":
        transmission = dataclasses.replace(base.transmission, feedback_signal="belief")
        expected = dataclasses.replace(expected, transmission=transmission)
    assert preset(system, "action_filters", task(LBF)) == expected


# The released configuration: λ_rec, λ_norm, the minimum filter weight, the filter's
# layers, its learning rate under the critic loss, the intervals of belief updates and
# of the target filter in steps, and that of filter updates in belief updates.
RELEASED = {
    LBF: (0.1, 0.5, 0.3, 1, 5e-4, 4_000, 100_000, 1),
    MPE: (1.0, 0.1, 0.1, 2, 5e-4, 2_000, 150_000, 10),
    RWARE: (1.0, 0.1, 0.1, 1, 5e-5, 40_000, 3_000_000, 0),
}


@pytest.mark.parametrize("id", RELEASED)
def test_official_compat_is_the_released_code(id):
    rec, norm, floor, layers, critic_lr, belief, target, filter_ = RELEASED[id]
    system: Any = preset("smpe", "official_compat", task(id))
    beliefs = system.beliefs
    assert (beliefs.lambda_rec, beliefs.lambda_norm) == (rec, norm)
    assert (beliefs.min_filter_weight, beliefs.filter_layers) == (floor, layers)
    assert beliefs.filter_critic_lr == critic_lr
    assert beliefs.belief_update_interval == belief
    assert beliefs.target_filter_interval == target
    assert beliefs.filter_update_interval == filter_
    assert (beliefs.obs_clip, beliefs.soft_clip_log_var) == (0.0, False)
    assert system.exploration.hash_input == "sample"
    assert system.exploration.hash_bits == 16
    assert system.actor_critic.critic_lr == 2 * ActorCriticConfig().critic_lr
    # Among them the regularizer of the filter's parameters.
    assert system.quirks.parameter_norm
    assert all(vars(system.quirks).values())


@pytest.mark.parametrize(
    ("id", "shared"),
    [("SimpleSpread-5", False), ("SimpleSpread-8", True), ("SpeakerListener", True)],
)
def test_small_spread_teams_do_not_share_actors(id, shared):
    for name in ("smpe", "maa2c"):
        system: Any = preset(name, "paper", task(id))
        assert system.actor_critic.shared_actor == shared


def test_maa2c_has_the_actor_critic_of_smpe_or_of_epymarl():
    for id in TABLE_3:
        smpe: Any = preset("smpe", "paper", task(id))
        maa2c: Any = preset("maa2c", "paper", task(id))
        epymarl: Any = preset("maa2c", "epymarl", task(id))
        assert maa2c.actor_critic == smpe.actor_critic
        assert epymarl.actor_critic == ActorCriticConfig()


def test_mappo_with_the_constants_of_smpes_paper():
    for id, shared in (
        (LBF, True),
        ("SimpleSpread-3", False),
        ("SimpleSpread-8", True),
    ):
        system: Any = preset("mappo", "paper", task(id))
        expected = ActorCriticConfig(hidden=64, shared_actor=shared)
        assert system.actor_critic == expected
        assert system.ppo == PPOConfig()
        assert system.last_action


def test_replay_buffer_of_long_episodes_is_smaller():
    for system in ("qmix", "vdn"):
        long: Any = preset(system, "epymarl", task(RWARE))
        short: Any = preset(system, "epymarl", task(LBF))
        assert short.q_learning == QLearningConfig()
        assert long.q_learning == QLearningConfig(
            buffer_size=1_000, obs_dtype="float16"
        )


@pytest.mark.parametrize("system", TEAMS)
@pytest.mark.parametrize("id", TABLE_3)
def test_settings_of_all_presets_on_all_benchmarks_are_valid(system, id):
    for name in PRESETS[system]:
        result = preset(system, name, task(id))
        official = (system, name) == ("smpe", "official_compat")
        assert type(result) is (SMPEOfficial if official else SYSTEMS[system])
        result.check()


def test_default_run_options_by_benchmark():
    assert (
        default_run_options("smpe")
        == default_run_options("smpe", task(LBF))
        == default_run_options("ippo", task(MPE))
    )
    assert default_run_options("smpe", task(MPE))["steps"] == 10_000_000
    assert default_run_options("smpe", task(RWARE))["steps"] == 40_000_000
    assert default_run_options("qmix", task(LBF))["steps"] == 2_000_000
    assert default_run_options("vdn", task(RWARE))["steps"] == 4_000_000
    assert (
        default_run_options("maa2c", task(RWARE))["eval_every"]
        > default_run_options("maa2c")["eval_every"]
    )
    assert default_run_options("link")["steps"] == 10_000


@pytest.mark.parametrize(
    ("id", "same"),
    [
        ("gymnasium:rware:rware-tiny-2ag-hard-v2", RWARE),
        ("gymnasium:lbforaging:Foraging-4s-11x11-3p-2f-v3", "Foraging-4s-11x11-3p-2f"),
        ("pettingzoo:mpe2.simple_spread_v3", MPE),
        ("pettingzoo:mpe2.simple_speaker_listener_v4", "SpeakerListener"),
        ("pettingzoo:rooms", LBF),
        ("python:rooms:SimpleSpread-", LBF),
    ],
)
def test_original_packages_have_the_constants_of_the_built_in_tasks(id, same):
    ours = task(same)
    sizes = ("num_agents", "num_actions", "obs_dim", "time_limit")
    env = ExternalEnv(id=id, **{name: getattr(ours, name) for name in sizes})
    for system in ("smpe", "maa2c", "qmix"):
        for name in PRESETS[system]:
            result: Any = preset(system, name, env)
            assert dataclasses.replace(result, task=ours) == preset(system, name, ours)
        assert default_run_options(system, env) == default_run_options(system, ours)


@pytree_dataclass
class Shelves(Corridor):
    """A user's task that states its benchmark."""

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("warehouse")


def test_a_users_task_has_the_constants_of_its_benchmark():
    warehouse: Any = preset("smpe", "table3", task(RWARE))
    foraging: Any = preset("smpe", "table3", task(LBF))
    stated: Any = preset("smpe", "table3", Shelves())
    silent: Any = preset("smpe", "table3", Corridor())
    assert stated.beliefs == warehouse.beliefs
    assert silent.beliefs == foraging.beliefs


def test_unknown_preset():
    with pytest.raises(InvalidInputError, match=r"unknown preset 'epimarl'.*'epymarl'"):
        preset("qmix", "epimarl", task(LBF))

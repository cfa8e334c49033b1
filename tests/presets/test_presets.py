"""Presets: the tables of the papers, entry by entry, for each benchmark."""

import dataclasses
from typing import Any

import pytest

from syntony.errors import InvalidInputError
from syntony.presets.registry import PRESETS, default_run_options, preset
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.value_decomposition import QLearningConfig
from syntony.systems.registry import SYSTEMS
from syntony.tasks.registry import task

LBF, MPE, RWARE = "Foraging-2s-8x8-3p-2f-coop", "SimpleSpread-3", "rware-tiny-2ag-hard"
UNBOUNDED = {"cut": 0.0, "bounded_variance": False}
TEAMS = [name for name in PRESETS if name != "link"]

# SMPE², Table 3: H, Z, λ_rec, λ_norm, λ_KL, β, and the rates of the filters.
TABLE_3 = {
    LBF: (128, 32, 0.5, 1.0, 0.1, 0.1, 5e-4, 5e-5),
    MPE: (128, 64, 1.0, 0.1, 0.1, None, 5e-4, 5e-7),
    RWARE: (64, 32, 1.0, 0.1, 0.1, 1e-3, 5e-5, 5e-7),
}


@pytest.mark.parametrize("id", TABLE_3)
def test_table_3_is_as_it_is_printed(id):
    hidden, latent, rec, norm, kl, beta, filter_lr, critic_lr = TABLE_3[id]
    found: Any = preset("smpe", "table3", task(id))
    assert found.actor_critic == ActorCriticConfig(
        hidden=hidden, shared_actor=id != MPE, entropy_coef=0.01, n_step=5
    )
    assert found.beliefs == BeliefConfig(
        latent_dim=latent,
        lambda_rec=rec,
        lambda_norm=norm,
        lambda_kl=kl,
        filter_lr=filter_lr,
        filter_critic_lr=critic_lr,
        belief_lr=5e-4,
        belief_update_interval=2_000,
        target_filter_interval=100_000,
        **UNBOUNDED,
        # Not the paper's: it does not say how wide a filter is.
        filter_hidden=32 if id == RWARE else 0,
    )
    bonus = {"intrinsic": False} if beta is None else {"beta": beta}
    assert found.exploration == ExplorationConfig(
        hash_input="sample", hash_bits=16, **bonus
    )


BOUNDED = {"cut": 5.0, "bounded_variance": True}
LARGE = {"beliefs": BOUNDED | {"lambda_rec": 0.1}, "novelty": {"bits": 13}}
MEANS = {"hashed": "mean", "bits": 10}


@pytest.mark.parametrize(
    ("id", "changes"),
    [
        (LBF, {"novelty": MEANS, "beliefs": BOUNDED}),
        (MPE, {"novelty": MEANS, "beliefs": BOUNDED}),
        (
            RWARE,
            {
                "novelty": MEANS,
                "beliefs": BOUNDED | {"burst_every": 40_000},
                "backbone": {"critic_lr": 1e-3},
            },
        ),
        ("Foraging-4s-11x11-3p-2f-coop", LARGE),
        ("Foraging-12x12-2p-2f", LARGE),
        ("gymnasium:lbforaging:Foraging-2s-11x11-3p-2f-coop-v3", LARGE),
        (
            "gymnasium:lbforaging:Foraging-2s-8x8-3p-2f-coop-v3",
            {"novelty": MEANS, "beliefs": BOUNDED},
        ),
    ],
)
def test_where_the_paper_preset_is_not_table_3(id, changes):
    if ":" in id:
        pytest.importorskip("lbforaging")
    world = task(id)
    found: Any = preset("smpe", "paper", world)
    printed: Any = preset("smpe", "table3", world)
    parts = {
        part: dataclasses.replace(getattr(printed, part), **new)
        for part, new in changes.items()
    }
    assert found == dataclasses.replace(printed, **parts)


# The released configuration: λ_rec, λ_norm, the filter's floor, layers, its rate under
# the critic; bursts and copies of the filter every so many steps; and which part of the
# bursts trains it.
RELEASED = {
    LBF: (0.1, 0.5, 0.3, 1, 5e-4, 4_000, 100_000, 1),
    MPE: (1.0, 0.1, 0.1, 2, 5e-4, 2_000, 150_000, 10),
    RWARE: (1.0, 0.1, 0.1, 1, 5e-5, 40_000, 3_000_000, 0),
}


@pytest.mark.parametrize("id", RELEASED)
def test_official_compat_is_the_released_code(id):
    rec, norm, floor, layers, critic_lr, burst, copy, filters = RELEASED[id]
    found: Any = preset("smpe", "official_compat", task(id))
    beliefs = found.beliefs
    assert (beliefs.lambda_rec, beliefs.lambda_norm) == (rec, norm)
    assert (beliefs.min_filter_weight, beliefs.filter_layers) == (floor, layers)
    assert beliefs.filter_critic_lr == critic_lr
    assert (beliefs.belief_update_interval, beliefs.slow_every) == (burst, copy)
    assert beliefs.filter_update_interval == filters
    assert (beliefs.obs_clip, beliefs.soft_clip_log_var) == (0.0, False)
    assert beliefs.filter_regularizer == "parameters"
    assert (found.exploration.hashed, found.exploration.bits) == ("sample", 16)
    assert found.actor_critic.critic_lr == 2 * ActorCriticConfig().critic_lr
    assert all(vars(found.official_quirks).values())


@pytest.mark.parametrize(
    ("id", "shared"),
    [("SimpleSpread-5", False), ("SimpleSpread-8", True), ("SpeakerListener", True)],
)
def test_small_spread_teams_have_actors_of_their_own(id, shared):
    for system in ("smpe", "maa2c"):
        found: Any = preset(system, "paper", task(id))
        assert found.actor_critic.shared_actor == shared


def test_maa2c_is_the_backbone_of_smpe_and_epymarls_is_the_same_everywhere():
    for id in TABLE_3:
        world = task(id)
        smpe, maa2c, epymarl = (
            preset(*names, world)
            for names in (("smpe", "paper"), ("maa2c", "paper"), ("maa2c", "epymarl"))
        )
        assert maa2c.actor_critic == smpe.actor_critic  # type: ignore[attr-defined]
        assert epymarl.actor_critic == ActorCriticConfig()  # type: ignore[attr-defined]


def test_mappo_as_the_paper_of_smpe_lists_it():
    for id, shared in (
        (LBF, True),
        ("SimpleSpread-3", False),
        ("SimpleSpread-8", True),
    ):
        found: Any = preset("mappo", "paper", task(id))
        own = ActorCriticConfig(objective="ppo", hidden=64, shared_actor=shared)
        assert found.actor_critic == own
        assert found.last_action


def test_the_replay_of_long_episodes_is_bounded():
    for system in ("qmix", "vdn"):
        long: Any = preset(system, "epymarl", task(RWARE))
        short: Any = preset(system, "epymarl", task(LBF))
        assert short.q_learning == QLearningConfig()
        assert long.q_learning == QLearningConfig(
            buffer_size=1_000, obs_dtype="float16"
        )


@pytest.mark.parametrize("system", TEAMS)
@pytest.mark.parametrize("id", TABLE_3)
def test_every_preset_of_every_benchmark_is_a_system_that_can_start(system, id):
    for name in PRESETS[system]:
        found = preset(system, name, task(id))
        assert type(found) is SYSTEMS[system]
        found.check()


def test_runs_are_as_long_as_their_benchmark_asks():
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


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(InvalidInputError, match=r"unknown preset 'epimarl'.*'epymarl'"):
        preset("qmix", "epimarl", task(LBF))

"""Each system solves the probe tasks, whose solutions are known.

Constants were tuned; seeds were not: each test has seed 0 and one try.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int

from syntony.systems.marl.actor_critic import MAA2C, ActorCriticConfig, critic_values
from syntony.systems.marl.smpe import SMPE, ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.marl.team_actors import unroll
from syntony.systems.marl.value_decomposition import QLearningConfig, ValueDecomposition
from syntony.systems.registry import SYSTEMS
from syntony.tasks.registry import task
from syntony.training.devices import compiler_options, fast_compile_options

PROBES = ("bandit", "see", "remember", "delay")
QUICK = [("maa2c", "see"), ("ippo", "remember"), ("vdn", "see")]
ON_PPO = "smpe, ppo"
LONG = [
    pytest.param(system, probe, marks=pytest.mark.slow)
    for system in ("smpe", ON_PPO, "maa2c", "ia2c", "ippo", "mappo", "vdn", "qmix")
    for probe in PROBES
    if (system, probe) not in QUICK
]


def small_system(name: str, id: str) -> tuple[Any, int]:
    """A small, fast system and the number of updates that it takes."""
    # To agree on a message takes longer exploration.
    patient = id == "probe-coordinate"
    if name in ("smpe", ON_PPO):
        system, updates = small_system("ippo" if name == ON_PPO else "maa2c", id)
        beliefs = BeliefConfig(
            latent_dim=8, belief_update_interval=200, belief_minibatches=20
        )
        exploration = ExplorationConfig(bonus_coef=0.01)
        return SMPE(
            task=system.task,
            actor_critic=system.actor_critic,
            beliefs=beliefs,
            exploration=exploration,
            objective="ppo" if name == ON_PPO else "a2c",
        ), updates
    kind: Any = SYSTEMS[name]
    if name in ("qmix", "vdn"):
        config = QLearningConfig(
            hidden=32,
            # While messages are random QMIX learns to ignore them; see below.
            epsilon_start=0.1 if (name, patient) == ("qmix", True) else 1.0,
            epsilon_anneal_steps=6_000 if patient else 2_000,
            learning_rate=1e-3 if patient else 3e-3,
            buffer_size=200,
            target_update_interval=50,
        )
        return kind(task=task(id), q_learning=config), 500 if patient else 200
    is_a2c = kind(task=task(id)).ppo_config is None
    rate = 5e-3 if is_a2c and not patient else 1e-3
    constants = {"hidden": 32, "actor_lr": rate, "critic_lr": rate}
    constants |= {"entropy_coef": 0.05} if is_a2c and patient else {}
    default = kind(task=task(id)).actor_critic
    config = dataclasses.replace(default, **constants)
    return kind(task=task(id), actor_critic=config), 1_600 if patient else 400


def trained(
    system: Any, updates: int, *, hasty: bool = True
) -> tuple[Any, dict[str, Array]]:
    """State after so many updates, from seed 0, and its mean metrics."""

    def live() -> tuple[Any, dict[str, Array]]:
        state = system.init(jax.random.key(0))
        state, _ = jax.lax.scan(lambda s, _: system.step(s), state, length=updates)
        found = system.evaluate(state, jax.random.key(1), 200)
        return state, jax.tree.map(jnp.mean, found)

    # Tiny networks learn faster than they compile.
    options = fast_compile_options() if hasty else compiler_options()
    return jax.jit(live, compiler_options=options)()


@pytest.mark.parametrize(("name", "probe"), [*QUICK, *LONG])
def test_it_solves_the_probe(name: str, probe: str):
    system, updates = small_system(name, f"probe-{probe}")
    _, scores = trained(system, updates)
    assert scores["eval/return_mean_greedy"] > 0.97 * system.task.optimal_return


SPEAKERS = ["smpe", ON_PPO, "ia2c", "ippo", "mappo", "vdn", "qmix"]


def eight_teams(system: Any, updates: int) -> tuple[Any, Float[Array, " 8"]]:
    """States from eight seeds, and their greedy returns."""

    def live(seed: Int[Array, ""]) -> tuple[Any, Float[Array, ""]]:
        state = system.init(jax.random.key(seed))
        state, _ = jax.lax.scan(lambda s, _: system.step(s), state, length=updates)
        found = system.evaluate(state, jax.random.key(1), 100)
        return state, found["eval/return_mean_greedy"].mean()

    teams = jax.jit(jax.vmap(live), compiler_options=fast_compile_options())
    # It takes a key that all seeds of a vmap share for one that is used twice.
    with jax.debug_key_reuse(False):
        return teams(jnp.arange(8))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["maa2c", *SPEAKERS])
def test_teams_agree_on_a_word(name: str):
    """Whom nobody listens to says nothing: some teams are content so, not most.

    Of QMIX's most are, even where few words are random.
    """
    _, returns = eight_teams(*small_system(name, "probe-coordinate"))
    assert np.sum(np.asarray(returns) > 0.97) >= (2 if name == "qmix" else 4)


@pytest.mark.slow
def test_random_words_teach_qmix_not_to_listen():
    """It fits one cue exactly, and takes the listener's weight away under the other."""
    system, updates = small_system("qmix", "probe-coordinate")
    config = dataclasses.replace(system.q_learning, epsilon_start=1.0)
    states, returns = eight_teams(
        dataclasses.replace(system, q_learning=config), updates
    )
    assert np.all(returns < 0.6)

    def heed(networks: Any, cue: int, word: int) -> tuple[Array, Array]:
        """Returns what the listener does, and dQ_tot/dQ of it, in the last step."""
        agents, mixer = networks
        cue_seen, blank = jax.nn.one_hot(cue, 2), jnp.zeros(2)
        speaker = jnp.concatenate([cue_seen, blank])
        heard = jnp.concatenate([blank, jax.nn.one_hot(word, 2)])
        obs = jnp.array([[speaker, jnp.zeros(4)], [speaker, heard]])
        q_values = unroll(agents, obs[:, None], shared=True)[1, 0]
        slopes = jax.grad(mixer)(jnp.max(q_values, axis=-1), obs[1].ravel())
        return jnp.argmax(q_values[1]), slopes[1]

    said = [(cue, word) for cue in (0, 1) for word in (0, 1)]
    found = [
        jax.vmap(lambda n, s=s: heed(n, *s))(states.learner.networks) for s in said
    ]
    does, slope = (np.array(each).reshape(2, 2, 8) for each in zip(*found, strict=True))
    assert np.all(does == does[0, 0])
    each_cue = slope.max(axis=1)
    assert np.all(each_cue.min(axis=0) < 0.1)
    assert np.all(each_cue.max(axis=0) > 1.0)


def test_a_critic_bootstraps_at_a_time_limit():
    """A reward of 1 per step for ever has value 1 / (1 − γ) = 10; ten, 6.5."""
    config = ActorCriticConfig(
        hidden=16, gamma=0.9, target_tau=0.2, critic_lr=5e-3, normalize_rewards=False
    )
    system = MAA2C(task=task("probe-horizon"), actor_critic=config)
    state, _ = trained(system, 200)
    found = critic_values(config, state.critic_state.critic, jnp.ones((1, 1, 1, 2)), 2)
    np.testing.assert_allclose(found, 10.0, rtol=0.03)


@pytest.mark.slow
def test_mixed_values_bootstrap_at_a_time_limit():
    config = QLearningConfig(
        hidden=16,
        gamma=0.9,
        target_update="soft",
        target_tau=0.05,
        learning_rate=3e-3,
        buffer_size=40,
        normalize_rewards=False,
    )
    kind: Any = SYSTEMS["vdn"]
    system = kind(task=task("probe-horizon"), q_learning=config)
    state, _ = trained(system, 200)
    agents, mixer = state.learner.networks
    q_values = unroll(agents, jnp.ones((10, 1, 2, 1)), shared=True)
    found = mixer(jnp.max(q_values, axis=-1), jnp.ones((10, 1, 2)))
    np.testing.assert_allclose(found, 10.0, rtol=0.05)


# Updates of ten episodes each, and the return that they have to reach.
FORAGING = {
    "smpe": (1_200, 0.9),
    ON_PPO: (1_200, 0.9),
    "ia2c": (1_200, 0.9),
    "ippo": (1_200, 0.9),
    "mappo": (1_200, 0.9),
    "vdn": (800, 0.9),
    "qmix": (1_600, 0.75),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FORAGING)
def test_it_learns_cooperative_foraging(name: str):
    """Measured as papers do: on-policy teams draw their actions, the others do not."""
    kind: Any = SYSTEMS[name.partition(",")[0]]
    system = kind(task=task("Foraging-5x5-2p-1f-coop?time_limit=25"))
    if issubclass(kind, ValueDecomposition):
        config = QLearningConfig(hidden=32, buffer_size=2_000, learning_rate=1e-3)
        system = dataclasses.replace(system, q_learning=config)
    else:
        hasty: Any = {"hidden": 32, "actor_lr": 1e-3, "critic_lr": 1e-3}
        config = dataclasses.replace(system.actor_critic, **hasty)
        system = dataclasses.replace(system, actor_critic=config)
        if name == ON_PPO:
            system = dataclasses.replace(system, objective="ppo")
    updates, wanted = FORAGING[name]
    assert trained(system, 0)[1]["eval/return_mean"] < 0.5
    assert trained(system, updates, hasty=False)[1]["eval/return_mean"] > wanted

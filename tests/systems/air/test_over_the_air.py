"""A team that transmits: nothing but the channel tells what a teammate observes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reports import messages

import syntony
from syntony.channels.registry import channel
from syntony.conformance.system import check_system
from syntony.equations.signal import mean_power
from syntony.errors import InvalidInputError
from syntony.presets.air_configs import filtered_air, tuned_air
from syntony.systems.air.config import TransmissionConfig
from syntony.systems.air.over_the_air import OverTheAir
from syntony.systems.air.states import OverTheAirState
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe import ExplorationConfig
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.systems.system import TransmitsObservations
from syntony.tasks.registry import task
from syntony.training.devices import fast_compile_options

CUE = "probe-cue?cues=3"
ENVS, USES = 4, 2


def small(
    channel_id: str = "awgn?snr_db=10", task_id: str = CUE, **settings: Any
) -> OverTheAir:
    """A team that is compiled in seconds; settings of the transmission are flat."""
    feedback = settings.pop("link_feedback", "perfect")
    constants: dict[str, Any] = {
        "schedule_steps": 100,
        "link_batch_size": 4,
        "link_transmitter_steps": 1,
        "link_hidden": 8,
        "link_receiver_hidden": 8,
    }
    return OverTheAir(
        task=task(task_id),
        channel=channel(channel_id),
        uses=USES,
        link_feedback=syntony.feedback(feedback),
        transmission=TransmissionConfig(**constants | settings),
        actor_critic=ActorCriticConfig(num_envs=ENVS, hidden=8, actor="mlp"),
        beliefs=BeliefConfig(
            latent_dim=4,
            filters=False,
            buffer_size=16,
            belief_update_interval=ENVS,
            belief_minibatches=2,
            belief_minibatch_size=4,
        ),
        exploration=ExplorationConfig(intrinsic_reward=False),
        filtered_critic=False,
    )


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(function, compiler_options=fast_compile_options())


@compiled
def two_steps(system: OverTheAir) -> tuple[OverTheAirState, dict[str, jax.Array]]:
    """State after two steps."""

    def step(state: OverTheAirState, _: None):
        return system.step(state)

    state = system.init(jax.random.key(0))
    state, metrics = jax.lax.scan(step, state, length=2)
    return state, jax.tree.map(lambda x: x[-1], metrics)


@pytest.fixture(scope="module")
def trained() -> tuple[OverTheAir, OverTheAirState]:
    system = small()
    return system, two_steps(system)[0]


def observations(system: OverTheAir, count: int = 5) -> jax.Array:
    keys = jax.random.split(jax.random.key(7), count)
    return jax.vmap(lambda key: system.task.reset(key)[1])(keys)


def test_it_has_the_capability(trained: tuple[OverTheAir, OverTheAirState]):
    system, state = trained
    assert isinstance(system, TransmitsObservations)
    obs = observations(system)
    x = system.symbols(state, obs)
    assert x.shape == (5, 2, USES, 2)
    np.testing.assert_allclose(mean_power(x), 1.0, rtol=1e-5)
    y = system.receive(state, jax.random.key(0), obs)
    assert y.shape == (5, 2, 2 * USES)
    belief = system.decode_received(state, obs, y)
    np.testing.assert_array_equal(belief.others, obs[:, ::-1])
    shapes = {name: x.shape for name, x in system.snapshot(state).items()}
    assert shapes == {"obs": (64, 2, 6), "symbols": (64, 2, USES, 2)}


def test_symbols_follow_from_one_observation_alone(
    trained: tuple[OverTheAir, OverTheAirState],
):
    system, state = trained
    obs = observations(system)
    together = system.symbols(state, obs)
    for i in range(len(obs)):
        alone = system.symbols(state, obs[i : i + 1])
        np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-6)


def test_the_snr_falls_to_that_of_the_channel():
    system = small(snr_start_offset_db=20.0, snr_fall_fraction=0.5)
    offsets = [
        float(
            system.at_step(system.init_transmission(jax.random.key(0)), n).snr_offset_db
        )
        for n in map(jnp.asarray, (0, 25, 50, 100))
    ]
    np.testing.assert_allclose(offsets, [20.0, 10.0, 0.0, 0.0])
    link = system.init_transmission(jax.random.key(0))
    assert np.asarray(system.channel_at(link).snr_db) == pytest.approx(30.0)


def test_beliefs_and_actions_follow_from_nothing_but_own_and_received(
    trained: tuple[OverTheAir, OverTheAirState],
):
    system, state = trained
    obs = observations(system, 1)
    received = jnp.ones((1, 2, 2 * USES))
    hidden = system.initial_hidden(1).actor

    def outputs(other: jax.Array) -> jax.Array:
        seen = obs.at[:, 1].set(other)
        mean, _ = system.encode_received(state, seen, received)
        logits, _ = system.act(state, seen, received, hidden)
        return jnp.concatenate([mean[0, 0], logits[0, 0]])

    assert not np.asarray(jax.jacobian(outputs)(obs[:, 1])).any()


def test_at_minus_100_db_nothing_arrives(trained: tuple[OverTheAir, OverTheAirState]):
    system, state = trained
    silent = system.with_channel(system.channel.with_snr(-100.0))
    state = silent.evaluation_state(state)
    obs = observations(system, 50)
    own = jnp.broadcast_to(obs[:1, :1], (50, 1, obs.shape[-1]))
    # The first agent sees the same, whatever its teammate does.
    seen = jnp.concatenate([own, obs[:, 1:]], axis=1)
    y = silent.receive(state, jax.random.key(0), seen)
    mean, _ = silent.encode_received(state, seen, y)
    assert np.ptp(np.asarray(mean[:, 0]), axis=0).max() < 1e-4
    assert np.ptp(np.asarray(seen[:, 1]), axis=0).max() == 1.0


@pytest.mark.slow
def test_at_minus_100_db_it_learns_as_without_communication():
    settings: dict[str, Any] = {"snr_start_offset_db": 0.0}
    deaf, _ = two_steps(small(communication="none", **settings))
    noisy, _ = two_steps(small("awgn?snr_db=-100", **settings))
    for name in ("actor", "critic_state"):
        pair = (getattr(s.team, name) for s in (deaf, noisy))
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *pair
        )


@pytest.mark.slow
def test_the_policy_gradient_is_that_of_backpropagation(
    trained: tuple[OverTheAir, OverTheAirState],
):
    """On the belief signal, through channel and encoders."""
    system = small(
        feedback_signal="belief",
        link_perturbation_variance=0.01,
        link_perturbation_pairs=4_000,
        link_learning_rate=1.0,
        link_optimizer="sgd",
        link_max_grad_norm=1e9,
    )
    state = trained[1]._replace(link=system.init_transmission(jax.random.key(0)))
    samples = system.replayed_samples(state, jax.random.key(1))

    @compiled
    def step(system: OverTheAir, key: jax.Array) -> jax.Array:
        after, _ = system.train_transmitters(state, state, samples, key)
        moved = jax.tree.map(
            jnp.subtract, after.link.transmitters, state.link.transmitters
        )
        return jnp.concatenate([x.ravel() for x in jax.tree.leaves(moved)])

    config = dataclasses.replace(system.transmission, link_gradient="backprop")
    reference = dataclasses.replace(system, transmission=config)
    keys = jax.random.split(jax.random.key(2), 200)
    exact = sum(step(reference, key) for key in keys)
    estimate = sum(step(system, key) for key in keys[:3])
    cosine = jnp.vdot(exact, estimate) / jnp.linalg.norm(exact)
    assert float(cosine / jnp.linalg.norm(estimate)) > 0.9


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"graph": "011"}, "graph is '011'; expected all, or 2 rows of 2"),
        (
            {"channel_id": "quantizer?bits=2", "link_gradient": "backprop"},
            "has no gradient; expected 'policy' or 'spsa'",
        ),
        ({"feedback_signal": "return", "link_gradient": "spsa"}, "sent once"),
        ({"link_feedback": "delayed", "link_gradient": "spsa"}, "pending batches"),
        ({"link_perturbation_variance": 1.0}, "between 0 and 1"),
        ({"task_id": "probe-cue?cues=2", "link_optimizer": "adm"}, "adam"),
    ],
)
def test_settings_that_exclude_each_other(settings: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message.replace("?", r"\?")):
        small(**settings).check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"feedback_signal": "belief"},
        {"feedback_signal": "return"},
        {"link_gradient": "backprop"},
        {"link_gradient": "spsa"},
        {"communication": "perfect"},
        {"graph": "00/10", "link_power_constraint": "average"},
        {"link_feedback": "noisy?std=0.5+quantized?bits=4+delayed?iterations=2"},
        {"channel_id": "jakes", "feedback_signal": "belief"},
        {"task_id": "Foraging-2s-5x5-3p-1f-coop?time_limit=5"},
    ],
    ids=str,
)
def test_it_keeps_the_rules(settings: dict[str, Any]):
    report = check_system("air", small(**settings))
    assert messages(report) == {}


@pytest.mark.slow
def test_over_a_black_box_it_learns_on_the_host():
    system = small("python:numpy:conj")
    assert not system.jittable
    state, metrics = system.step(system.init(jax.random.key(0)))
    assert np.isfinite(metrics["train/transmitter_loss"])
    compiled_state, _ = compiled(lambda s: s.step(s.init(jax.random.key(0))))(
        system.as_jittable()
    )
    assert jax.tree.structure(state) == jax.tree.structure(compiled_state)


@pytest.mark.slow
@pytest.mark.parametrize("task_id", ["probe-cue?cues=4", "SpeakerListener?word=false"])
def test_at_60_db_it_comes_near_to_perfect_communication(task_id: str):
    returns = {}
    for mode in ("learned", "perfect"):
        system = tuned_air(task(task_id), channel("awgn"))
        system = dataclasses.replace(
            system.with_channel(system.channel.with_snr(60.0)),
            transmission=TransmissionConfig(communication=mode, schedule_steps=100_000),
        )
        returns[mode] = learned_return(system, 100_000)
    assert returns["learned"] > returns["perfect"] - 0.05 * abs(returns["perfect"])


def learned_return(system: OverTheAir, steps: int) -> float:
    """Mean return of 2,000 episodes after a training."""

    @jax.jit
    def train(state: OverTheAirState) -> OverTheAirState:
        return jax.lax.while_loop(
            lambda state: state.env_steps < steps, lambda s: system.step(s)[0], state
        )

    state = train(jax.jit(system.init)(jax.random.key(0)))
    samples = jax.jit(lambda s: system.evaluate(s, jax.random.key(1), 2_000))(state)
    return float(jnp.mean(samples["eval/return_mean"]))


def mutual_information(x: jax.Array, y: jax.Array, count: int) -> float:
    """I(x; y) in nats of two series of `count` values each, without the bias.

    The estimate from n relative frequencies is too large by (count − 1)² / (2 n).
    """
    table = np.zeros((count, count))
    np.add.at(table, (np.asarray(x).ravel(), np.asarray(y).ravel()), 1.0)
    joint = table / table.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0)
    seen = joint > 0.0
    information = np.sum(joint[seen] * np.log(joint[seen] / product[seen]))
    return float(information) - (count - 1) ** 2 / (2.0 * table.sum())


@pytest.mark.slow
def test_controls_of_a_learned_code():
    """Nothing but the symbols tells an agent what its teammate observes."""
    system = tuned_air(task("probe-cue?cues=4"))
    system = system.with_channel(system.channel.with_snr(10.0)).resolve_steps(200_000)
    # One program for the learned and for the frozen transmitters.
    train = jax.jit(
        lambda system, state: jax.lax.while_loop(
            lambda s: s.env_steps < 200_000, lambda s: system.step(s)[0], state
        )
    )
    start = jax.jit(system.init)(jax.random.key(0))
    state = system.evaluation_state(train(system, start))
    obs = observations(system, 4_000)
    cue = jnp.argmax(obs[:, ::-1, :4], axis=-1)
    own = system.receive(state, jax.random.key(0), obs)

    def action(state: OverTheAirState, received: jax.Array) -> jax.Array:
        hidden = system.initial_hidden(len(obs)).actor
        return jnp.argmax(system.act(state, obs, received, hidden)[0], axis=-1)

    def correct(received: jax.Array, state: OverTheAirState = state) -> float:
        return float(jnp.mean(action(state, received) == cue))

    assert correct(own) > 0.95
    assert mutual_information(cue, action(state, own), 4) > 1.2
    # Permuted messages, a constant symbol, and nothing but noise.
    assert correct(own[jax.random.permutation(jax.random.key(1), len(obs))]) < 0.3
    same = jnp.broadcast_to(obs[:1], obs.shape)
    assert correct(system.receive(state, jax.random.key(0), same)) < 0.35
    silent = system.with_channel(system.channel.with_snr(-100.0))
    noise = silent.receive(state, jax.random.key(0), obs)
    assert abs(mutual_information(cue, action(state, noise), 4)) < 0.005

    # Random symbols that never change are understood, but are a worse code.
    transmission = dataclasses.replace(system.transmission, link_learning_rate=0.0)
    frozen = dataclasses.replace(system, transmission=transmission)
    with jax.debug_key_reuse(False):
        # The same keys as above.
        other = frozen.evaluation_state(train(frozen, start))
    unchanged = (start.link.transmitters, other.link.transmitters)
    jax.tree.map(np.testing.assert_array_equal, *unchanged)
    received = frozen.receive(other, jax.random.key(0), obs)
    assert 0.3 < correct(received, other) < correct(own) - 0.02


@pytest.mark.slow
def test_filters_keep_the_cue_and_leave_out_distractors():
    """Preset `action_filters`: what does not change the best action gets no weight."""
    game = task("probe-cue?cues=4&distractors=16")
    system = filtered_air(game)
    system = system.with_channel(system.channel.with_snr(10.0)).resolve_steps(50_000)

    @jax.jit
    def weights(key: jax.Array) -> jax.Array:
        state = jax.lax.while_loop(
            lambda s: s.env_steps < 50_000,
            lambda s: system.step(s)[0],
            system.init(key),
        )
        obs = observations(system, 100)
        received = jnp.zeros((*obs.shape[:-1], system.received_dim))
        return system.decode_received(state, obs, received).filter_weights

    w = np.asarray(weights(jax.random.key(0)))
    assert np.min(np.mean(w[..., :4], axis=(0, 1))) > 0.9
    assert np.max(np.mean(w[..., 8:], axis=(0, 1))) < 0.1

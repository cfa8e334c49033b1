"""A trained team in a loop of one's own acts as in the rollouts of its run."""

# ruff: noqa: ARG001 - the arguments of a callback are those of an interface.

import contextlib
import dataclasses
import gc
import io
import re
import warnings
import weakref
from pathlib import Path
from typing import Any

import external_envs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key
from tiny_teams import ACTOR, EPISODES, SIZES, SYSTEMS, TASK, enlarged, state_of
from toy_capabilities import ToyTeam
from toy_system import Toy

import syntony
from syntony.errors import InvalidInputError
from syntony.systems.system import HasBeliefs, HasEvaluationState
from syntony.tasks.task import HasActionCounts
from syntony.training.player import MAX_RNG_SEED, Player
from syntony.training.player_inputs import InputConverter, available_actions


def episodes(system: Any, state: Any, key: Key[Array, ""]) -> Any:
    """Episodes with greedy actions, as an evaluation collects them."""

    def collect(state: Any, key: Key[Array, ""]) -> Any:
        return system.collect_episodes(state, key, EPISODES, greedy=True)

    if isinstance(system, HasEvaluationState):
        state = system.evaluation_state(state)
    return jax.device_get(jax.jit(collect)(state, key))


LIKE_OTHERS = {"smpe_official", "mappo", "ippo", "ia2c", "vdn"}
"""Systems whose policy is that of another one."""
NAMES = [
    pytest.param(name, marks=pytest.mark.slow) if name in LIKE_OTHERS else name
    for name in SYSTEMS
]


@pytest.mark.parametrize("name", NAMES)
def test_it_acts_as_in_a_rollout(name: str, key: Key[Array, ""]):
    system = SYSTEMS[name]
    player = Player(system, state_of(name), greedy=True)
    trajectory = episodes(system, state_of(name), key)
    obs = trajectory.obs[:-1, ..., : SIZES[2]].astype(np.float64)
    assert len(np.unique(trajectory.action)) > 2
    for t, valid in enumerate(trajectory.valid):
        action = player.act_batch(obs[t], trajectory.action_mask[t])
        np.testing.assert_array_equal(action[valid], trajectory.action[t][valid])


def observations(steps: int, num_envs: int) -> np.ndarray:
    shape = (steps, num_envs, SIZES[0], SIZES[2])
    return np.random.default_rng(3).normal(scale=10, size=shape)


@pytest.mark.parametrize("name", ["qmix", "ippo", "own algorithm"])
def test_environments_start_anew_one_by_one(name: str):
    """Also where the hidden state counts steps (QMIX), or has several parts (LSTM)."""
    obs = observations(24, EPISODES)
    starts = np.random.default_rng(4).random((len(obs), EPISODES)) < 0.3
    player = Player(SYSTEMS[name], state_of(name), greedy=True)
    alone = Player(SYSTEMS[name], state_of(name), greedy=True)
    actions = []
    for t in range(len(obs)):
        player.reset(envs=starts[t])
        actions.append(player.act_batch(obs[t]))
    for e in range(EPISODES):
        alone.reset()
        for t in range(len(obs)):
            if starts[t, e]:
                alone.reset()
            np.testing.assert_array_equal(alone.act(obs[t, e]), actions[t][e])
    alone.reset()
    without = [alone.act(obs[t, 0]) for t in range(len(obs))]
    assert (np.stack(without) != np.stack(actions)[:, 0]).any(), "memory matters"


def play(player: Player, steps: int = 6, num_envs: int = 8) -> np.ndarray:
    return np.stack([player.act_batch(obs) for obs in observations(steps, num_envs)])


def test_sampled_actions_are_reproducible():
    system, state = SYSTEMS["maa2c"], state_of("maa2c")
    player = Player(system, state, rng_seed=5)
    first = play(player)
    np.testing.assert_array_equal(play(Player(system, state, rng_seed=5)), first)
    player.reset()
    assert (play(player) != first).any(), "further episodes have other actions"
    player.reset(rng_seed=5)
    np.testing.assert_array_equal(play(player), first)
    for other in (6, MAX_RNG_SEED):
        player.reset(rng_seed=other)
        assert (play(player) != first).any()


def test_sampled_actions_follow_the_policy():
    system, count = SYSTEMS["own protocol"], 4000
    obs = observations(1, 1)[0, 0] / 40
    mask = np.ones(SIZES[:2], bool)
    mask[0, 2] = False
    player = Player(system, state_of("own protocol"))
    batch = [np.broadcast_to(x, (count, *x.shape)) for x in (obs, mask)]
    action = player.act_batch(*batch)
    logits = np.where(mask, obs @ np.asarray(state_of("own protocol").weights), -np.inf)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    frequencies = np.stack([np.bincount(a, minlength=SIZES[1]) for a in action.T])
    error = np.abs(frequencies / count - p)
    assert (error <= 4 * np.sqrt(p * (1 - p) / count)).all()


def test_beliefs_are_those_of_the_latest_observations():
    system, state = SYSTEMS["smpe"], state_of("smpe")
    player, obs = Player(system, state, greedy=True), observations(2, EPISODES)
    with pytest.raises(InvalidInputError, match=r"observed nothing.*expected act"):
        _ = player.beliefs
    for each in obs:
        player.act_batch(each)
    beliefs = player.beliefs
    mean, log_var = system.encode_beliefs(state, jnp.asarray(obs[1], jnp.float32))
    decoded = system.decode_beliefs(state, jnp.asarray(obs[1], jnp.float32))
    expected = mean, log_var, decoded.prediction, decoded.filter_weights
    for got, exact in zip(beliefs, expected, strict=True):
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-6)
    assert beliefs.prediction.shape == (EPISODES, SIZES[0], 2 * SIZES[2])
    player.reset()
    player.act(obs[0, 0])
    assert player.beliefs.mean.shape == (SIZES[0], 4)
    with pytest.raises(InvalidInputError, match="MAA2C have no beliefs; expected"):
        _ = Player(SYSTEMS["maa2c"], state_of("maa2c")).beliefs


def test_the_released_codes_form_has_the_same_beliefs():
    system, state, obs = SYSTEMS["smpe_official"], state_of("smpe"), observations(1, 2)
    assert isinstance(system, HasBeliefs)
    programs = [Player(each, state, greedy=True) for each in (system, SYSTEMS["smpe"])]
    for player in programs:
        player.act_batch(obs[0])
    ours, theirs = (player.beliefs for player in programs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_player_keeps_no_replay_buffer():
    system = SYSTEMS["vdn"]
    state = jax.jit(system.init)(jax.random.key(2))
    stored = weakref.ref(state.replay_buffer.episodes.obs)
    player = Player(system, state, greedy=True)
    del state
    gc.collect()
    assert stored() is None
    assert player.greedy


def test_64_bit_numbers_change_nothing():
    system, state = SYSTEMS["qmix"], state_of("qmix")
    expected = play(Player(system, state, greedy=True))
    with jax.enable_x64(True):
        player = Player(system, state, greedy=True)
        np.testing.assert_array_equal(play(player), expected)


@pytest.mark.parametrize("kind", ["u1", "i8", "f2", "f4", "f8", "?"])
def test_observations_of_every_number_type(kind: str):
    numbers = np.arange(15).reshape(3, 5) % 2
    inputs = InputConverter(TASK).convert(numbers.astype(kind), None)
    assert inputs.obs.dtype == np.float32
    np.testing.assert_array_equal(inputs.obs[0], numbers)
    assert inputs.action_mask.all()


def test_lists_are_padded_and_finished_agents_take_the_first_action():
    long, short = np.arange(1.0, 6.0), [7, 8]
    inputs = InputConverter(TASK).convert(
        [short, long, None], [[0, 1], np.array([1, 0, 0, 1]), None]
    )
    np.testing.assert_array_equal(inputs.obs[0, 0], [7, 8, 0, 0, 0])
    np.testing.assert_array_equal(inputs.obs[0, 1], long)
    assert not inputs.obs[0, 2].any()
    np.testing.assert_array_equal(
        inputs.action_mask[0], [[0, 1, 0, 0], [1, 0, 0, 1], [1, 0, 0, 0]]
    )
    images = [np.ones((5, 1)), jnp.zeros(5), long]
    batch = InputConverter(TASK).convert_batch([images, [None, long, None]], None)
    np.testing.assert_array_equal(batch.obs[0, 0], np.ones(5))
    np.testing.assert_array_equal(batch.action_mask.sum(-1), [[4, 4, 4], [1, 4, 1]])


GOOD = np.zeros((3, 5))
NONFINITE = [[0.0] * 5, [0.0] * 5, [0.0, 1e39, 0.0, 0.0, 0.0]]
UNAVAILABLE = [[1] * 4, [0] * 4, [1] * 4]


@pytest.mark.parametrize(
    ("obs", "mask", "message"),
    [
        (np.zeros((3, 6)), None, r"shape \(3, 6\); expected \(3, 5\)"),
        (np.zeros(5), None, r"shape \(5,\); expected \(3, 5\)"),
        (np.zeros((1, 3, 5)), None, r"shape \(1, 3, 5\); expected \(3, 5\)"),
        ([[0.0] * 5] * 2, None, "2 entries; expected one vector for each of 3 agents"),
        ([[0.0] * 6, [0.0] * 5, []], None, "agent 0 holds 6 numbers; expected 5"),
        ([[0.0] * 4] * 3, None, "longest observation holds 4 numbers; expected 5"),
        ({"a": GOOD[0]}, None, "is a dict; expected one vector for each of 3 agents"),
        (None, None, "is a NoneType; expected one vector"),
        ([["a"] * 5] * 3, None, "agent 0 is of type <U1; expected numbers"),
        ([[[0.0], [0.0, 1.0]]] * 3, None, "agent 0 cannot be an array: ValueError"),
        (GOOD.astype(complex), None, "is of type complex128; expected numbers"),
        (np.full((3, 5), np.nan), None, "agent 0 holds numbers that are not finite"),
        (NONFINITE, None, "agent 2 holds numbers that are not finite in float32"),
        (GOOD, UNAVAILABLE, "no action of agent 1 is available; expected at least"),
        (GOOD, np.ones((3, 5)), r"action_mask has the shape \(3, 5\); expected \(3, 4"),
        (GOOD, [[1] * 4] * 2, "action_mask has 2 entries; expected one"),
        (GOOD, [[1] * 5] * 3, "action_mask of agent 0 holds 5 numbers; expected 4"),
        (GOOD, np.full((3, 4), np.nan), "action_mask holds nan; expected 0 and 1"),
        (GOOD, [[0, -1e9, 0, 0]] * 3, r"action_mask holds -1000000000.0; expected 0"),
        (GOOD, "all", "action_mask is a str; expected one"),
    ],
)
def test_wrong_inputs_are_one_line(obs: Any, mask: Any, message: str):
    with pytest.raises(InvalidInputError, match=message) as error:
        InputConverter(TASK).convert(obs, mask)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("obs", "mask", "message"),
    [
        (GOOD, None, r"shape \(3, 5\); expected \(environments, 3, 5\)"),
        (np.zeros((0, 3, 5)), None, r"expected \(environments, 3, 5\)"),
        ([], None, "of 0 environments"),
        (np.zeros((2, 3, 5)), np.ones((1, 3, 4)), r"\(1, 3, 4\); expected \(2, 3, 4\)"),
        ([GOOD, GOOD], [None], "of 2 environments and action masks of 1"),
        ([GOOD, GOOD + np.inf], None, "agent 0 in environment 1 holds numbers"),
        ([GOOD, GOOD], [None, UNAVAILABLE], "no action of agent 1 in environment 1"),
        ({0: GOOD}, None, "is a dict; expected one entry per environment"),
    ],
)
def test_wrong_batches_are_one_line(obs: Any, mask: Any, message: str):
    with pytest.raises(InvalidInputError, match=message):
        InputConverter(TASK).convert_batch(obs, mask)


def test_wrong_calls_are_one_line():
    system, state = SYSTEMS["own protocol"], state_of("own protocol")
    player = Player(system, state)
    player.act_batch(np.zeros((2, 3, 5)))
    with pytest.raises(InvalidInputError, match="of 1 environments; expected 2 as be"):
        player.act(GOOD)
    for envs in ([True], [0, 1], np.array(True)):
        with pytest.raises(InvalidInputError, match=r"envs is .*; expected bool\[2\]"):
            player.reset(envs=envs)
    player.reset(envs=[True, True])
    player.act(GOOD)
    for rng_seed in (-1, MAX_RNG_SEED + 1):
        with pytest.raises(InvalidInputError, match=r"rng_seed is .*; expected 0 to"):
            Player(system, state, rng_seed=rng_seed)
    with pytest.raises(InvalidInputError, match="Toy is no team of agents"):
        Player(Toy(), state)


@pytest.mark.parametrize("id", ["SpeakerListener", "pettingzoo:external_envs"])
def test_actions_that_an_agent_has_not_are_never_available(id: str):
    task = syntony.task(id)
    assert isinstance(task, HasActionCounts)
    expected = {"SpeakerListener": (3, 5)}.get(id, (2, 3, 4))
    assert tuple(available_actions(task).sum(-1)) == task.action_counts == expected
    if id == "SpeakerListener":
        mask = task.action_mask(task.reset(jax.random.key(0))[0])
        np.testing.assert_array_equal(available_actions(task), mask)


def test_it_acts_in_an_environment_whose_agents_differ_and_finish():
    """As the rollout of the task does: padding, masks, finished agents."""
    task: Any = syntony.task("pettingzoo:external_envs")
    system = syntony.MAA2C(
        task=task, actor_critic=dataclasses.replace(ACTOR, num_envs=1), last_action=True
    )
    state = enlarged(jax.jit(system.init)(jax.random.key(0)))
    key = jax.random.key(1)
    trajectory = jax.device_get(system.collect_episodes(state, key, 1, greedy=True))
    system.close()
    env: Any = external_envs.Relay()
    env.reset(seed=0)
    env.lifetimes = {
        "long": trajectory.obs[0, 0, 0, 1] / 10,
        "short": int(trajectory.obs[0, 0, 1, :4].argmax()) + 1,
        "masked": int(trajectory.alive[:, 0, 2].sum()),
    }
    player, obs = Player(system, state, greedy=True), env.observe()
    for t in np.flatnonzero(trajectory.valid[:, 0]):
        action = player.act(*relay_inputs(obs, env.agents))
        assert action.dtype == np.int32
        np.testing.assert_array_equal(action, trajectory.action[t, 0])
        by_agent = dict(zip(env.possible_agents, map(int, action), strict=True))
        by_agent["short"] += 5
        obs, *_ = env.step({name: by_agent[name] for name in env.agents})
    assert not env.agents


def relay_inputs(obs: dict[str, Any], agents: list[str]) -> tuple[list[Any], list[Any]]:
    """Observations and action masks, as a user of that environment reads them."""
    rows: list[Any] = [None] * 3
    masks: list[Any] = [None] * 3
    if "long" in agents:
        rows[0] = obs["long"]
    if "short" in agents:
        rows[1] = np.eye(4)[obs["short"] - 1]
    if "masked" in agents:
        rows[2], masks[2] = obs["masked"]["observation"], obs["masked"]["action_mask"]
    return rows, masks


OPTIONS: dict[str, Any] = {"eval_every": 100, "eval_episodes": 2, "quiet": True}
FORAGING = syntony.task("Foraging-2s-8x8-3p-2f-coop")
OBS = np.ones((FORAGING.num_agents, FORAGING.obs_dim))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> syntony.Run:
    """Run of seeds 3 and 4, whose callback acts as well."""
    return syntony.train(
        ToyTeam(task=FORAGING),
        steps=60,
        seeds=2,
        seed=3,
        out=tmp_path_factory.mktemp("run"),
        callbacks=[act_in_callback],
        **OPTIONS,
    )


live_actions: dict[int, np.ndarray] = {}
"""Actions of each seed in the callback of its last evaluation."""
live_errors: list[str] = []


def act_in_callback(run: syntony.Run, step: int, metrics: dict[str, Any]) -> None:
    live_actions[metrics["seed"]] = act_often(run.player(metrics["seed"]))
    for seed in {3, 4} - run.states.keys():
        with pytest.raises(InvalidInputError) as error:
            run.player(seed)
        live_errors.append(str(error.value))


def act_often(player: Player) -> np.ndarray:
    return np.stack([player.act(OBS) for _ in range(12)])


def test_players_of_a_run_and_of_a_run_in_training(run: syntony.Run):
    assert {error[6:] for error in live_errors} <= {
        " has not started yet; expected a seed of this evaluation"
    }
    for seed in (3, 4):
        np.testing.assert_array_equal(act_often(run.player(seed)), live_actions[seed])
    np.testing.assert_array_equal(act_often(run.player()), live_actions[3])
    assert (live_actions[3] != live_actions[4]).any()
    greedy = act_often(run.player(greedy=True))
    assert (greedy == greedy[0]).all(), "a policy without a hidden state"
    with pytest.raises(InvalidInputError, match="has no seed 5; expected 3 to 4"):
        run.player(5)


def test_a_run_without_a_team_has_no_player(tmp_path: Path):
    run = syntony.train(Toy(), steps=5, out=tmp_path, **OPTIONS)
    with pytest.raises(
        InvalidInputError, match=r"Toy is no team of agents.*`train maa2c`"
    ):
        run.player()


def test_the_program_of_the_guide_plays_in_lbforaging(run: syntony.Run):
    pytest.importorskip("lbforaging")
    guide = Path(__file__).parents[2] / "docs" / "how-to" / "use-a-trained-team.md"
    (program,) = re.findall(
        r"```python\n(import gymnasium\n.*?)```", guide.read_text(), re.DOTALL
    )
    for old, new in {
        "runs/first": str(run.path),
        "seed=0": "seed=3",
        "10": "2",
    }.items():
        assert program.count(old) == 1
        program = program.replace(old, new)
    output = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(output):
        # Those of Gymnasium on the environment are not ours.
        warnings.filterwarnings("ignore", module="gymnasium")
        exec(program, {})
    line = r"episode \d: return \d\.\d\d\n"
    assert re.fullmatch(line * 2, output.getvalue())

"""JaxMARL and Jumanji, in an environment of their own: `make test-jax-envs`."""

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array
from reports import messages

from syntony.conformance.task import check_task
from syntony.errors import InvalidInputError
from syntony.tasks.jax_envs.jaxmarl import ENV_RULES, REFUSED_NAMES
from syntony.tasks.registry import task
from syntony.tasks.task import Task, agents_alive

jaxmarl = pytest.importorskip("jaxmarl")
jumanji = pytest.importorskip("jumanji")
# Types that are promoted, in a scatter of JaxNav.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

EPISODES = 4
TASKS = {
    "jaxmarl:MPE_simple_spread_v3?max_steps=4": (3, 5, 18, 5, 0),
    "jaxmarl:MPE_simple_speaker_listener_v4": (2, 5, 11, 26, 0),
    "jaxmarl:SMAX?scenario=3m": (3, 8, 75, 101, 72),
    "jaxmarl:SMAX?scenario=2s3z": (5, 10, 127, 101, 120),
    "jaxmarl:switch_riddle": (3, 3, 2, 6, 0),
    "jaxmarl:hanabi?num_colors=2&num_agents=3": (3, 25, 443, 21, 0),
    "jaxmarl:overcooked?layout=cramped_room&max_steps=20": (2, 6, 520, 20, 0),
    "jaxmarl:coin_game?num_inner_steps=3&num_outer_steps=2": (2, 5, 36, 6, 0),
    "jaxmarl:storm_2p?num_inner_steps=8": (2, 5, 256, 8, 0),
    "jumanji:LevelBasedForaging-v0?time_limit=20": (2, 6, 12, 20, 0),
    "jumanji:RobotWarehouse-v0?num_agents=2&time_limit=20": (2, 5, 66, 20, 0),
    "jumanji:Connector-v3?grid_size=5&num_agents=3&time_limit=12": (3, 5, 150, 12, 0),
    "jumanji:Cleaner-v0?num_rows=4&num_cols=4&num_agents=2": (2, 4, 64, 16, 0),
}
"""Numbers of agents, actions and features, time limit, length of the global state."""
LIBRARY_ENVS: dict[str, Callable[[], Any]] = {
    "jaxmarl:MPE_simple_spread_v3?max_steps=4": partial(
        jaxmarl.make, "MPE_simple_spread_v3", max_steps=4
    ),
    "jaxmarl:SMAX?scenario=3m": lambda: jaxmarl.make(
        "HeuristicEnemySMAX",
        scenario=jaxmarl.environments.smax.map_name_to_scenario("3m"),
    ),
    "jaxmarl:switch_riddle": partial(jaxmarl.make, "switch_riddle"),
    "jaxmarl:hanabi?num_colors=2&num_agents=3": partial(
        jaxmarl.make, "hanabi", num_colors=2, num_agents=3
    ),
    "jaxmarl:coin_game?num_inner_steps=3&num_outer_steps=2": partial(
        jaxmarl.make, "coin_game", num_inner_steps=3, num_outer_steps=2
    ),
    "jumanji:LevelBasedForaging-v0?time_limit=20": partial(
        jumanji.make, "LevelBasedForaging-v0", time_limit=20
    ),
    "jumanji:Connector-v3?time_limit=12": partial(
        jumanji.make, "Connector-v3", time_limit=12
    ),
    "jumanji:Cleaner-v0": partial(jumanji.make, "Cleaner-v0"),
}


class Steps(NamedTuple):
    """Random play of an adapted environment and of the library's own, step by step."""

    reward: Array
    terminated: Array
    truncated: Array
    alive: Array
    library_reward: Array
    library_done: Array
    library_dead: Array


class JaxMARLLibrary:
    """JaxMARL's `step`, with its automatic reset."""

    def __init__(self, env: Any, counted_once: bool):
        self.env, self.counted_once = env, counted_once

    def reset(self, key: Array) -> Any:
        return self.env.reset(key)[1]

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, ...]:
        env = self.env
        actions = dict(zip(env.agents, action, strict=True))
        _, state, reward, done, _ = env.step(key, state, actions)
        rewards = jnp.stack([reward[agent] for agent in env.agents])
        team = rewards[0] if self.counted_once else jnp.sum(rewards)
        dead = jnp.stack([done[agent] for agent in env.agents])
        return state, team, done["__all__"], dead

    @staticmethod
    def step_key(key: Array) -> Array:
        """The key that `step_env` gets from `step`."""
        return jax.random.split(key)[0]


class JumanjiLibrary:
    """Jumanji's `step`."""

    def __init__(self, env: Any):
        self.env = env

    def reset(self, key: Array) -> Any:
        return self.env.reset(key)[0]

    def step(self, key: Array, state: Any, action: Array) -> tuple[Any, ...]:
        del key
        state, step = self.env.step(state, action)
        none = jnp.zeros(action.shape, bool)
        return state, jnp.sum(step.reward), step.last(), none

    @staticmethod
    def step_key(key: Array) -> Array:
        return key


def play(adapted: Task, library: Any, key: Array) -> Steps:
    """Steps of both with the same keys and random legal actions."""
    state, library_state = adapted.reset(key)[0], library.reset(key)

    def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Steps]:
        state, library_state = carry
        mask = adapted.action_mask(state)
        gumbel = jax.random.gumbel(jax.random.fold_in(key, 1), mask.shape)
        action = jnp.argmax(jnp.where(mask, gumbel, -jnp.inf), axis=-1)
        state, ours = adapted.step(library.step_key(key), state, action)
        library_state, *theirs = library.step(key, library_state, action)
        alive = agents_alive(adapted, state)
        reward = jnp.sum(ours.reward)
        steps = Steps(reward, ours.terminated, ours.truncated, alive, *theirs)
        return (state, library_state), steps

    keys = jax.random.split(jax.random.fold_in(key, 0), adapted.time_limit)
    return jax.lax.scan(step, (state, library_state), keys)[1]


@pytest.mark.parametrize("id", TASKS)
def test_it_keeps_the_rules_of_tasks(id: str):
    t = task(id)
    sizes = t.num_agents, t.num_actions, t.obs_dim, t.time_limit
    assert (*sizes, getattr(t, "global_state_dim", 0)) == TASKS[id]
    assert messages(check_task(t)) == {}


@pytest.mark.parametrize("id", LIBRARY_ENVS)
def test_rewards_and_ends_are_the_librarys(id: str):
    adapted, env = task(id), LIBRARY_ENVS[id]()
    name = id.partition("?")[0].partition(":")[2]
    if id.startswith("jaxmarl:"):
        library = JaxMARLLibrary(env, ENV_RULES[name].team_reward)
    else:
        library = JumanjiLibrary(env)
    keys = jax.random.split(jax.random.key(0), EPISODES)
    steps = jax.device_get(jax.jit(jax.vmap(partial(play, adapted, library)))(keys))
    lengths = np.argmax(steps.library_done, axis=1) + 1
    assert steps.library_done.any(axis=1).all()
    for e, length in enumerate(lengths):
        rewards = steps.reward[e, :length], steps.library_reward[e, :length]
        np.testing.assert_allclose(*rewards, atol=1e-5)
        ended = steps.terminated[e, :length] | steps.truncated[e, :length]
        assert ended.tolist() == [*[False] * (length - 1), True]
        assert not steps.truncated[e, : adapted.time_limit - 1].any()
        if name == "SMAX":
            np.testing.assert_array_equal(
                steps.alive[e, : length - 1], ~steps.library_dead[e, : length - 1]
            )


@pytest.mark.parametrize(
    ("id", "action", "steps", "terminated"),
    [
        ("jaxmarl:MPE_simple_spread_v3", 0, 26, False),
        ("jaxmarl:switch_riddle", 0, 6, False),
        ("jaxmarl:switch_riddle", 2, 1, True),
        ("jaxmarl:SMAX?scenario=3m&max_steps=3", 4, 4, False),
        ("jumanji:RobotWarehouse-v0?time_limit=5", 0, 5, False),
        ("jumanji:Cleaner-v0?time_limit=5", 0, 1, True),
    ],
)
def test_a_limit_truncates_and_an_end_terminates(
    id: str, action: int, steps: int, terminated: bool
):
    """An action that does nothing, one that tells, and one that runs into a wall."""
    t = task(id)
    step = jax.jit(t.step)
    state, _ = jax.jit(t.reset)(jax.random.key(0))
    for number in range(steps):
        key = jax.random.key(number)
        state, result = step(key, state, jnp.full(t.num_agents, action))
        ended = bool(result.terminated), bool(result.truncated)
        assert ended == (
            (terminated, not terminated) if number == steps - 1 else (False, False)
        )


def test_names_are_those_of_the_library():
    registered = set(jaxmarl.registered_envs)
    others = {name for name in registered if name.startswith("JaxRobotarium")}
    assert {*ENV_RULES, *REFUSED_NAMES} == registered - others


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("jaxmarl:SMAX?scenario=4m", "unknown scenario '4m'; valid: 10m_vs_11m, 25m"),
        ("jaxmarl:overcooked?layout=cramped", "did you mean 'cramped_room'?"),
        ("jaxmarl:MPE_simple_spread_v3?num_agent=4", "did you mean 'num_agents'?"),
        ("jaxmarl:jaxnav", "actions of agent_0 are Box; expected Discrete"),
        ("jaxmarl:switch_riddle?num_agents=2", "AssertionError: The minimum number"),
        ("jumanji:LevelBasedForaging-v1", "did you mean 'LevelBasedForaging-v0'?"),
        ("jumanji:LevelBasedForaging-v0?num_foods=4", "did you mean 'num_food'?"),
        ("jumanji:LevelBasedForaging-v0?fov=9", "AssertionError: Field of view must"),
        ("jumanji:Maze-v0", "it has no num_agents; expected several agents"),
    ],
)
def test_an_invalid_id_is_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError) as it:
        task(id)
    assert message in str(it.value)
    assert "\n" not in str(it.value)


def test_only_results_are_printed():
    """JaxMARL prints while it is imported."""
    program = "import syntony; print(syntony.task('jaxmarl:coin_game').num_agents)"
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert process.stdout == "2\n"

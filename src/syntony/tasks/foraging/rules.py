"""Level-based foraging: agents load food that may need several of them.

The rules are exactly those of lbforaging 2.0.0, including its oddities; each is noted
where it is implemented.

Source: Christianos, Schäfer and Albrecht, "Shared Experience Actor-Critic for
    Multi-Agent Reinforcement Learning", NeurIPS 2020.
"""

import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import (
    FieldValues,
    between,
    clip_to_limits,
    field,
    pytree_dataclass,
    validate,
)
from syntony.errors import InvalidInputError
from syntony.identifiers import format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.foraging import drawing
from syntony.tasks.scene import Benchmark, Feature, ObsWindow, Scene
from syntony.tasks.task import TimeStep

NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(6)

# Larger than any useful value; it keeps sums of levels exact in float32.
_MAX_VALUE = 1_000_000


class ForagingState(NamedTuple):
    """A board and the time step; rows and columns count from 0 at the top left."""

    position: Int[Array, "N 2"]
    level: Int[Array, " N"]
    food_position: Int[Array, "F 2"]
    """In the row below the board for a food that was not spawned."""
    food_level: Int[Array, " F"]
    """0 once loaded, and for a food that was not spawned."""
    total_food_level: Int[Array, ""]
    """Sum of all initial food levels, by which rewards are normalized."""
    time: Int[Array, ""]


@pytree_dataclass
class Foraging:
    """Agents move on a square board and load food together.

    A food is loaded by the adjacent agents that load in the same step, if the sum of
    their levels is at least its level. Its reward is shared in proportion to their
    levels; the rewards of all food of an episode sum to 1.
    """

    size: int = field(static=True, limits=between(3, 1000))  # No food on the border.
    """Number of rows, and of columns, of the board."""
    foods: int = field(
        static=True, limits=lambda values: between(1, (values["size"] - 2) ** 2)
    )
    """Number of foods."""
    players: int = field(
        static=True,
        limits=lambda values: between(1, values["size"] ** 2 - values["foods"]),
    )
    """Number of agents."""
    sight: int = field(static=True, limits=lambda values: between(1, values["size"]))
    """Cells that an agent observes in each direction; `size` is the whole board."""
    coop: bool = field(static=True)
    """Whether the level of each food is the sum of the three lowest agent levels (of
    all, if there are fewer agents); otherwise it is drawn from 1 to that sum."""
    min_player_level: int = field(1, static=True, limits=between(1, _MAX_VALUE))
    """Lowest level of an agent."""
    max_player_level: int = field(
        3,
        static=True,
        limits=lambda values: between(values["min_player_level"], _MAX_VALUE),
    )
    """Highest level of an agent: 3 in the tasks of SMPE², 2 in lbforaging's v3 ids."""
    penalty: float = field(0.0, limits=between(0.0, _MAX_VALUE))
    """Negative reward of each agent of a failed load."""
    time_limit: int = field(50, static=True, limits=between(1, _MAX_VALUE))
    """Steps after which an episode is truncated."""

    def __post_init__(self):
        validate(self)

    @classmethod
    def parse(cls, id: str) -> "Foraging":
        """Task with this id, which has the form `FAMILY.pattern`.

        Raises:
            InvalidInputError: the id is malformed, or a parameter is outside of its
                limits.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(**_parse_name(name), **parameters)

    @property
    def id(self) -> str:
        return format_id(_format_name(self), self)

    @property
    def num_agents(self) -> int:
        return self.players

    @property
    def num_actions(self) -> int:
        return 6

    @property
    def obs_dim(self) -> int:
        return 3 * (self.foods + self.players)

    @property
    def shared_reward(self) -> bool:
        return False

    @property
    def benchmark(self) -> Benchmark:
        return Benchmark("foraging", rows=self.size)

    @property
    def score_range(self) -> tuple[float, float] | None:
        """0 to 1, the rewards of all food; None with a penalty, which may exceed it."""
        return None if self.penalty else (0.0, 1.0)

    def reset(self, key: Key[Array, ""]) -> tuple[ForagingState, Float[Array, "N O"]]:
        """Spawns agents and food."""
        # Each random draw takes half a second to compile, so there is only one.
        uniform = jax.random.uniform(key, (self.size**2 + self.players + self.foods,))
        ends = [self.size**2, self.size**2 + self.players]
        priorities, player_uniform, food_uniform = jnp.split(uniform, ends)

        position, food_position = self._sample_positions(priorities)
        level = _uniform_integers(
            player_uniform, self.min_player_level, self.max_player_level
        )
        # The three lowest levels are the maximum, also where there are more agents.
        max_level = jnp.sum(jnp.sort(level)[:3])
        food_level = _uniform_integers(
            food_uniform, max_level if self.coop else 1, max_level
        )
        # Oddity: fewer foods than configured are spawned if no legal cell is left.
        spawned = food_position[:, 0] < self.size
        food_level = jnp.where(spawned, food_level, 0)
        state = ForagingState(
            position=position,
            level=level,
            food_position=food_position,
            food_level=food_level,
            total_food_level=jnp.sum(food_level),
            time=jnp.zeros((), jnp.int32),
        )
        return state, self.observe(state)

    def action_mask(self, state: ForagingState) -> Bool[Array, "N A"]:
        """All actions are available; an impossible one has the effect of `NONE`."""
        return jnp.ones((*state.level.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: ForagingState, action: Int[Array, " N"]
    ) -> tuple[ForagingState, TimeStep]:
        """Moves the agents, and loads food."""
        del key  # Only the initial state is random.
        food_level, reward = self._load(state, action)
        # The original loads after moving; as loading agents stay, the result is equal.
        state = state._replace(
            position=self._move(state, action),
            food_level=food_level,
            time=state.time + 1,
        )
        terminated = jnp.all(food_level == 0)
        truncated = ~terminated & (state.time >= self.time_limit)
        return state, TimeStep(self.observe(state), reward, terminated, truncated)

    def observe(self, state: ForagingState) -> Float[Array, "N O"]:
        """(row, column, level) of each visible food, then of each visible agent.

        Foods are in row-major order; the observing agent is the first agent, the others
        are in order of their index. Unused entries are (-1, -1, 0).
        """
        # Oddity: positions count from the corner of the window clipped to the board:
        # only near the low border do they reveal an agent's absolute position.
        corner = jnp.maximum(state.position - self.sight, 0)
        foods = _relative_triplets(state.food_position, state.food_level, corner)
        agents = _relative_triplets(state.position, state.level, corner)

        rows, columns = _abs_offsets(state.position, state.food_position)
        in_sight = jnp.maximum(rows, columns) <= self.sight
        foods_visible = in_sight & (state.food_level > 0)[None]
        # Oddity: the window for agents starts at the clipped corner but is not clipped:
        # near the low border, agents are visible up to twice the sight away.
        row, column = agents[..., 0], agents[..., 1]
        inside = jnp.maximum(row, column) <= 2 * self.sight
        agents_visible = inside & (jnp.minimum(row, column) >= 0)

        food_order = state.food_position[:, 0] * self.size + state.food_position[:, 1]
        order = jnp.arange(self.players)[None]
        agent_order = jnp.where(jnp.eye(self.players), -1, order)
        packed = [
            _pack_visible(foods, foods_visible, food_order[None]),
            _pack_visible(agents, agents_visible, agent_order),
        ]
        return jnp.concatenate(packed, axis=-1).astype(jnp.float32)

    def render(self, state: ForagingState) -> Scene:
        """Scene of the board."""
        return drawing.board_scene(
            size=self.size,
            sight=self.sight,
            position=np.asarray(state.position),
            level=np.asarray(state.level),
            food_position=np.asarray(state.food_position),
            food_level=np.asarray(state.food_level),
        )

    def feature_names(self, agent: int) -> list[Feature]:
        """Row, column and level of each food, of the agent, and of each other."""
        del agent  # All of them have the same features.
        return drawing.feature_names(foods=self.foods, players=self.players)

    def obs_window(self, agent: int) -> ObsWindow:
        """The part of the board that the agent observes."""
        side = min(2 * self.sight + 1, self.size)
        return drawing.obs_window(
            foods=self.foods, players=self.players, side=side, agent=agent
        )

    def _move(
        self, state: ForagingState, action: Int[Array, " N"]
    ) -> Int[Array, "N 2"]:
        target = state.position + _action_offsets(action)
        on_food = _manhattan_distances(target, state.food_position) == 0
        blocked = jnp.any(on_food & (state.food_level > 0)[None], axis=-1)
        outside = jnp.any((target < 0) | (target >= self.size), axis=-1)
        target = jnp.where((blocked | outside)[:, None], state.position, target)
        # The target of an agent that stays is its own cell. If several agents have the
        # same target, none of them moves.
        claims = jnp.sum(_manhattan_distances(target, target) == 0, axis=-1)
        # Oddity: an agent may enter a cell whose occupant tries to leave but is blocked
        # itself; both are then in the same cell.
        return jnp.where((claims == 1)[:, None], target, state.position)

    def _load(
        self, state: ForagingState, action: Int[Array, " N"]
    ) -> tuple[Int[Array, " F"], Float[Array, " N"]]:
        adjacent = _manhattan_distances(state.position, state.food_position) == 1
        # Foods are so far apart that an agent is adjacent to at most one: the order of
        # the original's set of loading agents has no effect.
        loading = adjacent & (state.food_level > 0)[None] & (action == LOAD)[:, None]
        loading_level = jnp.where(loading, state.level[:, None], 0)
        total_level = jnp.sum(loading_level, axis=0)
        loaded = total_level >= state.food_level

        value = state.food_level / jnp.maximum(state.total_food_level, 1)
        share = loading_level * (value / jnp.maximum(total_level, 1))[None]
        # Adjacent agents that do not load have neither reward nor penalty.
        penalty = jnp.where(loading, self.penalty, 0.0)
        reward = jnp.where(loaded[None], share, -penalty)
        return jnp.where(loaded, 0, state.food_level), jnp.sum(reward, axis=-1)

    def _sample_positions(
        self, priorities: Float[Array, " C"]
    ) -> tuple[Int[Array, "N 2"], Int[Array, "F 2"]]:
        """Positions of agents, then foods: the legal cell of highest priority each.

        As priorities are i.i.d., each position is uniform over the legal cells, the
        distribution of the original, which rejects illegal cells. A food without a
        legal cell is in the row below the board.
        """
        cells = jnp.stack(jnp.divmod(jnp.arange(self.size**2), self.size), axis=-1)
        inner = jnp.all((cells > 0) & (cells < self.size - 1), axis=-1)

        def place(free: Bool[Array, " C"], is_food: Bool[Array, ""]):
            legal = free & (inner | ~is_food)
            cell = jnp.argmax(jnp.where(legal, priorities, -1.0))
            distance = _manhattan_distances(cells, cells[cell][None])[:, 0]
            free = free & (distance > jnp.where(is_food, 2, 0))
            return free, jnp.where(jnp.any(legal), cells[cell], self.size)

        is_food = jnp.arange(self.players + self.foods) >= self.players
        _, position = jax.lax.scan(place, jnp.ones(self.size**2, bool), is_food)
        return position[: self.players], position[self.players :]


def _uniform_integers(
    uniform: Float[Array, " K"], low: Int[Array, ""] | int, high: Int[Array, ""] | int
) -> Int[Array, " K"]:
    """Uniform integers from `low` to `high`, from uniform numbers in [0, 1)."""
    return low + jnp.floor(uniform * (high - low + 1)).astype(int)


def _action_offsets(action: Int[Array, " N"]) -> Int[Array, "N 2"]:
    """Offset of a move north (−1, 0), south, west or east; (0, 0) for other actions."""
    row = (action == SOUTH).astype(int) - (action == NORTH).astype(int)
    column = (action == EAST).astype(int) - (action == WEST).astype(int)
    return jnp.stack([row, column], axis=-1)


def _abs_offsets(
    a: Int[Array, "P 2"], b: Int[Array, "Q 2"]
) -> tuple[Int[Array, "P Q"], Int[Array, "P Q"]]:
    """Absolute row and column offsets between all pairs of positions."""
    offset = jnp.abs(a[:, None] - b[None])
    return offset[..., 0], offset[..., 1]


def _manhattan_distances(
    a: Int[Array, "P 2"], b: Int[Array, "Q 2"]
) -> Int[Array, "P Q"]:
    """Manhattan distances between all pairs of positions; 1 is adjacent."""
    rows, columns = _abs_offsets(a, b)
    return rows + columns


def _relative_triplets(
    position: Int[Array, "K 2"], level: Int[Array, " K"], corner: Int[Array, "N 2"]
) -> Int[Array, "N K 3"]:
    """(row, column, level) of all entities, relative to each observer's corner."""
    relative = position[None] - corner[:, None]
    levels = jnp.broadcast_to(level[None, :, None], (*relative.shape[:2], 1))
    return jnp.concatenate([relative, levels], axis=-1)


def _pack_visible(
    triplets: Int[Array, "N K 3"], visible: Bool[Array, "N K"], order: Int[Array, "_ K"]
) -> Int[Array, "N K*3"]:
    """Visible triplets in ascending order, followed by the unused (−1, −1, 0)."""
    before = order[:, None, :] < order[:, :, None]
    rank = jnp.sum(before & visible[:, None, :], axis=-1)
    # Comparisons, as a sort or a gather of this size is many times slower.
    slots = jnp.arange(visible.shape[-1])[None, None]
    fills = visible[..., None] & (rank[..., None] == slots)
    # (1, 1, 0) is added before the sum and subtracted after it, so that an empty slot,
    # a sum of zeros, is (−1, −1, 0).
    shift = jnp.array([1, 1, 0])[None, None]
    chosen = jnp.where(fills[..., None], (triplets + shift)[:, :, None], 0)
    return (jnp.sum(chosen, axis=1) - shift).reshape(len(visible), -1)


FAMILY = TaskFamily(
    prefix="Foraging",
    pattern="Foraging[-{sight}s]-{size}x{size}-{players}p-{foods}f[-coop]",
    example="Foraging-2s-8x8-3p-2f-coop",
    summary="load food that takes several agents (level-based foraging)",
    parse=Foraging.parse,
)

_INTEGER_REGEX = "(0|[1-9][0-9]{0,8})"
_ID_REGEX = re.compile(
    rf"Foraging(?:-{_INTEGER_REGEX}s)?-{_INTEGER_REGEX}x{_INTEGER_REGEX}"
    rf"-{_INTEGER_REGEX}p-{_INTEGER_REGEX}f(-coop)?"
)


def _parse_name(name: str) -> FieldValues:
    """Fields that are in the name of an id: the inverse of `_format_name`."""
    match = _ID_REGEX.fullmatch(name)
    if match is None:
        raise _malformed_name_error(name)
    sight, rows, columns, players, foods, coop = match.groups()
    if rows != columns:
        raise InvalidInputError(
            f"{name!r} is not square; expected e.g. {_suggest_id(name)}"
        )
    return {
        "size": int(rows),
        "players": int(players),
        "foods": int(foods),
        "sight": int(sight or rows),
        "coop": coop is not None,
    }


def _malformed_name_error(name: str) -> InvalidInputError:
    unversioned = re.sub("-v[0-9]+$", "", name)
    if unversioned != name and _ID_REGEX.fullmatch(unversioned):
        return InvalidInputError(
            f"{name!r} has a version; expected {unversioned} (player levels up to 3, "
            f"as in SMPE²) or {unversioned}?max_player_level=2 (as in lbforaging's v3)"
        )
    return InvalidInputError(
        f"{name!r} names no foraging task; expected {FAMILY.pattern}, "
        f"e.g. {_suggest_id(name)}"
    )


def _suggest_id(name: str) -> str:
    """A valid id with the numbers that can be read from an invalid `name`."""

    def find(pattern: str, default: int) -> int:
        match = re.search(pattern, name)
        return int(match[1]) if match else default

    size = find(f"{_INTEGER_REGEX}x", 8)
    given = {
        "size": size,
        "foods": find(f"{_INTEGER_REGEX}f", 2),
        "players": find(f"{_INTEGER_REGEX}p", 3),
        "sight": find(f"{_INTEGER_REGEX}s", size),
        "coop": "-c" in name,
    }
    return Foraging(**clip_to_limits(Foraging, given)).id


def _format_name(task: Foraging) -> str:
    """Name of an id, without parameters: the inverse of `_parse_name`."""
    sight = "" if task.sight == task.size else f"-{task.sight}s"
    coop = "-coop" if task.coop else ""
    board = f"{task.size}x{task.size}-{task.players}p-{task.foods}f"
    return f"Foraging{sight}-{board}{coop}"

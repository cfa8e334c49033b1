"""Level-based foraging: agents must meet at food that none can lift alone.

Rule for rule the original, lbforaging 2.0.0, its oddities included; each is noted
where it is coded.

Source: Christianos, Schäfer and Albrecht, "Shared Experience Actor-Critic for
    Multi-Agent Reinforcement Learning", NeurIPS 2020.
"""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.identifiers import Limits, check_limits, clip_to_limits, format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.task import TimeStep

NONE, NORTH, SOUTH, WEST, EAST, LOAD = range(6)


class ForagingState(NamedTuple):
    """A board and the clock; rows and columns count from 0 at the top left."""

    position: Int[Array, "N 2"]
    level: Int[Array, " N"]
    food_position: Int[Array, "F 2"]
    """Below the board for a food that was never spawned."""
    food_level: Int[Array, " F"]
    """0 once loaded, and for a food that was never spawned."""
    total_food_level: Int[Array, ""]
    """Sum of all food levels at the start: what rewards are fractions of."""
    time: Int[Array, ""]


@pytree_dataclass
class Foraging:
    """Agents walk a square board and load food together.

    Food is loaded by the agents beside it that load at once, if their levels sum to
    at least its own. What it is worth is shared by their levels; the food of a whole
    episode is worth 1.
    """

    size: int
    """Rows, and columns, of the board."""
    players: int
    foods: int
    sight: int
    """Cells that an agent sees in each direction; `size` shows the whole board."""
    coop: bool
    """Whether each food takes the three weakest agents together, or all if fewer."""
    min_player_level: int = 1
    max_player_level: int = 3
    """The tasks of SMPE² have levels up to 3; lbforaging's own v3 ids have up to 2."""
    penalty: float = 0.0
    """What each loader loses when a load fails."""
    time_limit: int = 50

    def __post_init__(self):
        check_limits(self, _LIMITS)

    @classmethod
    def parse(cls, id: str) -> "Foraging":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
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

    def reset(self, key: Key[Array, ""]) -> tuple[ForagingState, Float[Array, "N O"]]:
        """Spawns a board."""
        # A draw costs half a second to compile: one serves for everything.
        chance = jax.random.uniform(key, (self.size**2 + self.players + self.foods,))
        ends = [self.size**2, self.size**2 + self.players]
        luck, player_chance, food_chance = jnp.split(chance, ends)

        position, food_position = self._sample_positions(luck)
        level = _uniform_integers(
            player_chance, self.min_player_level, self.max_player_level
        )
        # The three weakest set the bar, even where more agents could help.
        most = jnp.sum(jnp.sort(level)[:3])
        food_level = _uniform_integers(food_chance, most if self.coop else 1, most)
        # Oddity: fewer foods than asked for are spawned if no legal cell is left.
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
        """All of them: an action that cannot be done counts as `NONE`."""
        return jnp.ones((*state.level.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: ForagingState, action: Int[Array, " N"]
    ) -> tuple[ForagingState, TimeStep]:
        """Moves those who walk, then feeds those who load."""
        del key  # Chance only spawns the board.
        food_level, reward = self._load(state, action)
        # Loads come last in the original, but a loader stands still: no matter.
        state = state._replace(
            position=self._move(state, action),
            food_level=food_level,
            time=state.time + 1,
        )
        terminated = jnp.all(food_level == 0)
        truncated = ~terminated & (state.time >= self.time_limit)
        return state, TimeStep(self.observe(state), reward, terminated, truncated)

    def observe(self, state: ForagingState) -> Float[Array, "N O"]:
        """Returns (row, column, level) of each food seen, then of each agent seen.

        Foods come in row-major order; agents with the observer first, then in theirs.
        Places left over hold (-1, -1, 0).
        """
        # Oddity: positions count from the corner of the window as clipped by the
        # border: near the low border, and only there, an agent can tell where it is.
        corner = jnp.maximum(state.position - self.sight, 0)
        foods = _relative_triplets(state.food_position, state.food_level, corner)
        agents = _relative_triplets(state.position, state.level, corner)

        rows, columns = _abs_offsets(state.position, state.food_position)
        near = jnp.maximum(rows, columns) <= self.sight
        foods_seen = near & (state.food_level > 0)[None]
        # Oddity: agents are looked for in a window that is not clipped but starts at
        # the clipped one's corner: near the low border up to twice the sight away.
        row, column = agents[..., 0], agents[..., 1]
        inside = jnp.maximum(row, column) <= 2 * self.sight
        agents_seen = inside & (jnp.minimum(row, column) >= 0)

        food_order = state.food_position[:, 0] * self.size + state.food_position[:, 1]
        order = jnp.arange(self.players)[None]
        agent_order = jnp.where(jnp.eye(self.players), -1, order)
        listed = [
            _pack_visible(foods, foods_seen, food_order[None]),
            _pack_visible(agents, agents_seen, agent_order),
        ]
        return jnp.concatenate(listed, axis=-1).astype(jnp.float32)

    def _move(
        self, state: ForagingState, action: Int[Array, " N"]
    ) -> Int[Array, "N 2"]:
        wanted = state.position + _action_offsets(action)
        on_food = _manhattan_distances(wanted, state.food_position) == 0
        blocked = jnp.any(on_food & (state.food_level > 0)[None], axis=-1)
        outside = jnp.any((wanted < 0) | (wanted >= self.size), axis=-1)
        wanted = jnp.where((blocked | outside)[:, None], state.position, wanted)
        # An agent that stays wants its own cell. Where several want one, none moves.
        claims = jnp.sum(_manhattan_distances(wanted, wanted) == 0, axis=-1)
        # Oddity: an agent may enter a cell whose owner wants to leave and is refused
        # in its turn; the two then share it.
        return jnp.where((claims == 1)[:, None], wanted, state.position)

    def _load(
        self, state: ForagingState, action: Int[Array, " N"]
    ) -> tuple[Int[Array, " F"], Float[Array, " N"]]:
        beside = _manhattan_distances(state.position, state.food_position) == 1
        # Foods keep their distance: an agent is beside one at most, and the order in
        # which the original goes through its set of loaders cannot matter.
        loading = beside & (state.food_level > 0)[None] & (action == LOAD)[:, None]
        lift = jnp.where(loading, state.level[:, None], 0)
        lifted = jnp.sum(lift, axis=0)
        loaded = lifted >= state.food_level

        worth = state.food_level / jnp.maximum(state.total_food_level, 1)
        share = lift * (worth / jnp.maximum(lifted, 1))[None]
        # Who stands beside the food without loading neither earns nor pays.
        paid = jnp.where(loading, self.penalty, 0.0)
        earned = jnp.where(loaded[None], share, -paid)
        return jnp.where(loaded, 0, state.food_level), jnp.sum(earned, axis=-1)

    def _sample_positions(
        self, priorities: Float[Array, " C"]
    ) -> tuple[Int[Array, "N 2"], Int[Array, "F 2"]]:
        """Lets the agents, then the foods, take the luckiest cell that is still legal.

        As each cell's luck is drawn alike, each taker is as likely on one legal cell as
        on any other: what the original reaches by drawing cells until one is legal. A
        food that finds none is put in the row below the board.
        """
        cells = jnp.stack(jnp.divmod(jnp.arange(self.size**2), self.size), axis=-1)
        inner = jnp.all((cells > 0) & (cells < self.size - 1), axis=-1)

        def take(free: Bool[Array, " C"], is_food: Bool[Array, ""]):
            legal = free & (inner | ~is_food)
            cell = jnp.argmax(jnp.where(legal, priorities, -1.0))
            distance = _manhattan_distances(cells, cells[cell][None])[:, 0]
            free = free & (distance > jnp.where(is_food, 2, 0))
            return free, jnp.where(jnp.any(legal), cells[cell], self.size)

        is_food = jnp.arange(self.players + self.foods) >= self.players
        _, taken = jax.lax.scan(take, jnp.ones(self.size**2, bool), is_food)
        return taken[: self.players], taken[self.players :]


def _uniform_integers(
    uniform: Float[Array, " K"], low: Int[Array, ""] | int, high: Int[Array, ""] | int
) -> Int[Array, " K"]:
    """Turns chances in [0, 1) into whole numbers from `least` to `most`, all alike."""
    return low + jnp.floor(uniform * (high - low + 1)).astype(int)


def _action_offsets(action: Int[Array, " N"]) -> Int[Array, "N 2"]:
    """Returns one step north (−1, 0), south, west or east; (0, 0) for the rest."""
    row = (action == SOUTH).astype(int) - (action == NORTH).astype(int)
    column = (action == EAST).astype(int) - (action == WEST).astype(int)
    return jnp.stack([row, column], axis=-1)


def _abs_offsets(
    a: Int[Array, "A 2"], b: Int[Array, "B 2"]
) -> tuple[Int[Array, "A B"], Int[Array, "A B"]]:
    """Returns how many rows, and how many columns, lie between each two positions."""
    offset = jnp.abs(a[:, None] - b[None])
    return offset[..., 0], offset[..., 1]


def _manhattan_distances(
    a: Int[Array, "A 2"], b: Int[Array, "B 2"]
) -> Int[Array, "A B"]:
    """Returns the steps from each position to each other: 0 is on it, 1 beside it."""
    rows, columns = _abs_offsets(a, b)
    return rows + columns


def _relative_triplets(
    position: Int[Array, "E 2"], level: Int[Array, " E"], corner: Int[Array, "N 2"]
) -> Int[Array, "N E 3"]:
    """Returns (row, column, level) of all, as counted from each observer's corner."""
    relative = position[None] - corner[:, None]
    levels = jnp.broadcast_to(level[None, :, None], (*relative.shape[:2], 1))
    return jnp.concatenate([relative, levels], axis=-1)


def _pack_visible(
    triplets: Int[Array, "N E 3"], visible: Bool[Array, "N E"], order: Int[Array, "_ E"]
) -> Int[Array, "N E*3"]:
    """Lists the triplets that are seen, lowest order first, without gaps."""
    before = order[:, None, :] < order[:, :, None]
    place = jnp.sum(before & visible[:, None, :], axis=-1)
    # Sorting by comparison: at this size a sort or a gather costs many times more.
    places = jnp.arange(visible.shape[-1])[None, None]
    fills = visible[..., None] & (place[..., None] == places)
    # What fills a place is moved up by (1, 1, 0) and all are moved back at the end,
    # so that an empty one, a sum of nothing, reads (−1, −1, 0).
    up = jnp.array([1, 1, 0])[None, None]
    chosen = jnp.where(fills[..., None], (triplets + up)[:, :, None], 0)
    return jnp.reshape(jnp.sum(chosen, axis=1) - up, (len(visible), -1))


FAMILY = TaskFamily(
    prefix="Foraging",
    pattern="Foraging[-{sight}s]-{size}x{size}-{players}p-{foods}f[-coop]",
    example="Foraging-2s-8x8-3p-2f-coop",
    summary="meet at food that takes several to load (level-based foraging)",
    parse=Foraging.parse,
)

_INTEGER_REGEX = "(0|[1-9][0-9]{0,8})"
_ID_REGEX = re.compile(
    rf"Foraging(?:-{_INTEGER_REGEX}s)?-{_INTEGER_REGEX}x{_INTEGER_REGEX}-{_INTEGER_REGEX}p-{_INTEGER_REGEX}f(-coop)?"
)

# Beyond any use; it keeps sums of levels exact in float32.
_MAX_VALUE = 1_000_000

_LIMITS: Limits = {
    "size": lambda _: (3, 1000),  # Food keeps off the border.
    "foods": lambda task: (1, (task["size"] - 2) ** 2),
    "players": lambda task: (1, task["size"] ** 2 - task["foods"]),
    "sight": lambda task: (1, task["size"]),
    "min_player_level": lambda _: (1, _MAX_VALUE),
    "max_player_level": lambda task: (task["min_player_level"], _MAX_VALUE),
    "penalty": lambda _: (0.0, _MAX_VALUE),
    "time_limit": lambda _: (1, _MAX_VALUE),
}


def _parse_name(name: str) -> dict[str, Any]:
    """Returns the fields that the id's name holds."""
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
    bare = re.sub("-v[0-9]+$", "", name)
    if bare != name and _ID_REGEX.fullmatch(bare):
        return InvalidInputError(
            f"{name!r} has a version; expected {bare} (player levels up to 3, as in "
            f"SMPE²) or {bare}?max_player_level=2 (as in lbforaging's v3)"
        )
    return InvalidInputError(
        f"{name!r} names no foraging task; expected {FAMILY.pattern}, "
        f"e.g. {_suggest_id(name)}"
    )


def _suggest_id(name: str) -> str:
    """Returns a valid id with as much of `name` in it as can be made out."""

    def find(pattern: str, default: int) -> int:
        found = re.search(pattern, name)
        return int(found[1]) if found else default

    size = find(f"{_INTEGER_REGEX}x", 8)
    given = {
        "size": size,
        "foods": find(f"{_INTEGER_REGEX}f", 2),
        "players": find(f"{_INTEGER_REGEX}p", 3),
        "sight": find(f"{_INTEGER_REGEX}s", size),
        "coop": "-c" in name,
    }
    return Foraging(**clip_to_limits(given, _LIMITS)).id


def _format_name(task: Foraging) -> str:
    """Returns the id's name: the inverse of `_read`."""
    sight = "" if task.sight == task.size else f"-{task.sight}s"
    coop = "-coop" if task.coop else ""
    board = f"{task.size}x{task.size}-{task.players}p-{task.foods}f"
    return f"Foraging{sight}-{board}{coop}"

"""A warehouse: agents bring shelves that are asked for to the goals, and put them back.

Rule for rule the original, rware 2.0.0, its oddities included; each is noted where it
is coded.

Source: Papoudakis, Christianos, Schäfer and Albrecht, "Benchmarking Multi-Agent Deep
    Reinforcement Learning Algorithms in Cooperative Tasks", NeurIPS 2021.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.naming import join
from syntony.record import check_choices, record
from syntony.tasks import warehouse_names as names
from syntony.tasks.family import Family, split
from syntony.tasks.task import Step
from syntony.tasks.warehouse_traffic import advances

NONE, FORWARD, LEFT, RIGHT, TOGGLE = range(5)
UP, EAST, DOWN, WEST = range(4)
"""Headings, clockwise."""

AHEAD = ((-1, 0), (0, 1), (1, 0), (0, -1))


class WarehouseState(NamedTuple):
    """A warehouse and its clocks; rows and columns count from 0 at the top left.

    Shelves are told apart by labels alone: the first `request_queue_size` labels are
    those of the shelves asked for, and two shelves change labels when one is delivered.
    """

    position: Int[Array, "N 2"]
    heading: Int[Array, " N"]
    """`UP`, `EAST`, `DOWN` or `WEST`."""
    load: Int[Array, " N"]
    """The label of the shelf that each agent carries; 0 for none."""
    owed: Bool[Array, " N"]
    """Who is yet to be paid, in two stages, for putting back what it delivered."""
    standing: Int[Array, "H W"]
    """The label of the shelf that stands on each cell; 0 for none."""
    idle: Int[Array, ""]
    """Steps since the last delivery."""
    time: Int[Array, ""]


@record
class Warehouse:
    """Agents carry the shelves that are asked for to one of two goals.

    The episode has no end but the time limit: a shelf that is delivered makes another
    asked for, and must be put back before its carrier can fetch that.
    """

    shelf_rows: int
    shelf_columns: int
    """Pairs of columns of shelves, with aisles between them; odd."""
    agents: int
    difficulty: names.Difficulty
    """How many shelves are asked for at a time: 2, 1 or half as many as agents."""
    reward: names.Reward
    """Who is paid 1 for a delivery: who delivers; everyone; or who delivers, one half
    at once and one half for putting the shelf back."""
    column_height: int = 8
    """Shelves of a column between two aisles."""
    request_queue_size: int = 0
    """How many shelves are asked for at a time; 0 leaves it to the difficulty."""
    sensor_range: int = 1
    """Cells that an agent sees in each direction."""
    max_inactivity: int = 0
    """Steps without a delivery after which an episode is cut; 0 for never."""
    time_limit: int = 500

    def __post_init__(self):
        check_choices(self)
        names.check(self)

    @classmethod
    def parse(cls, id: str) -> "Warehouse":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
        """
        name, parameters = split(id, cls)
        return cls(**names.read(name, parameters))

    @property
    def id(self) -> str:
        return join(names.write(self), self)

    @property
    def actions(self) -> int:
        return 5

    @property
    def obs_size(self) -> int:
        return 8 + 7 * (2 * self.sensor_range + 1) ** 2

    @property
    def shared_reward(self) -> bool:
        return self.reward == "global"

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return names.shape(vars(self))

    @property
    def highway(self) -> Bool[np.ndarray, "H W"]:
        """Where shelves may pass but not be put: aisles, the goals and before them."""
        return names.highway(vars(self))

    @property
    def goals(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Row and column of both goals, in the order in which they are served."""
        rows, columns = self.shape
        return (rows - 1, columns // 2 - 1), (rows - 1, columns // 2)

    @property
    def requests(self) -> int:
        """How many shelves are asked for at a time."""
        return names.requests(vars(self))

    def reset(self, key: Key[Array, ""]) -> tuple[WarehouseState, Float[Array, "N O"]]:
        """Fills the warehouse; agents may start anywhere, under shelves too."""
        # A draw costs half a second to compile: one serves for everything.
        cells, shelves = self.highway.size, int((~self.highway).sum())
        chance = jax.random.uniform(key, (cells + shelves + self.agents,))
        luck, wanted, turn = jnp.split(chance, [cells, cells + shelves])

        cell = jnp.argsort(luck)[: self.agents]
        label = jnp.zeros(self.shape, int)
        label = label.at[~self.highway].set(1 + jnp.argsort(wanted))
        state = WarehouseState(
            position=jnp.stack(jnp.divmod(cell, self.shape[1]), axis=-1),
            heading=jnp.floor(4 * turn).astype(int),
            load=jnp.zeros(self.agents, int),
            owed=jnp.zeros(self.agents, bool),
            standing=label,
            idle=jnp.zeros((), int),
            time=jnp.zeros((), int),
        )
        return state, self.observe(state)

    def available(self, state: WarehouseState) -> Bool[Array, "N A"]:
        """All of them: an action that cannot be done counts as `NONE`."""
        return jnp.ones((*state.load.shape, self.actions), bool)

    def step(
        self, key: Key[Array, ""], state: WarehouseState, action: Int[Array, " N"]
    ) -> tuple[WarehouseState, Step]:
        """Moves, turns and lifts all at once; then serves the goals."""
        state, restored = self._toggle(self._move(state, action), action)
        state, delivered = self._deliver(key, state)
        state = state._replace(time=state.time + 1)
        idle = (self.max_inactivity > 0) & (state.idle >= self.max_inactivity)
        # More could have been earned after either: nothing terminates.
        truncated = idle | (state.time >= self.time_limit)
        terminated = jnp.zeros((), bool)
        return state, Step(
            self.observe(state), restored + delivered, terminated, truncated
        )

    def observe(self, state: WarehouseState) -> Float[Array, "N O"]:
        """Returns (column, row, loaded, heading in four, on a highway) of the observer.

        Then, for each cell around it in row-major order: (an agent, its heading in
        four, a shelf, one that is asked for). Beyond the walls nothing is seen.
        """
        reach = range(-self.sensor_range, self.sensor_range + 1)
        window = jnp.array([(row, column) for row in reach for column in reach])
        cells = state.position[:, None] + window[None]
        there = jnp.all(cells[:, :, None] == state.position[None, None], axis=-1)
        # What is on a cell is one number, a bit for each feature: XLA repeats what
        # follows the sum for every feature, so as little as possible does.
        heading = 2 << _order(state.heading)
        agent = 1 + heading + self._shelf(state.load)
        # Oddity: where nobody is, a heading is seen, too: up.
        empty = 2 + self._shelf(self._standing(state, cells))
        parts = jnp.where(there, agent[None, None] - 2, 0)
        first = jnp.arange(self.agents) == 0
        seen = jnp.sum(parts + jnp.where(first, empty[..., None], 0), axis=-1)

        row, column = state.position[:, 0], state.position[:, 1]
        own = (state.load > 0) + heading + 32 * jnp.array(self.highway)[row, column]
        words = [column[:, None], row[:, None], own[:, None], seen]
        return self._spread(jnp.concatenate(words, axis=-1))

    def _shelf(self, label: Int[Array, "*S"]) -> Int[Array, "*S"]:
        """Returns the bits for a shelf, and for one that is asked for."""
        return 32 * (label > 0) + 64 * ((label > 0) & (label <= self.requests))

    def _spread(self, words: Int[Array, "N W"]) -> Float[Array, "N O"]:
        """Writes the first two numbers as they are, the others bit by bit."""
        cells = words.shape[-1] - 3
        digits = [0, 0, *range(6), *list(range(7)) * cells]
        source = [0, 1, *[2] * 6, *np.repeat(range(3, 3 + cells), 7)]
        masks = [-1, -1, *[1] * (len(digits) - 2)]
        # Each word goes to its features by a product, exact for whole numbers: to join
        # small arrays, as to gather, takes XLA several times as long.
        copies = jnp.eye(words.shape[-1])[:, np.array(source)]
        spread = jnp.dot(words.astype(jnp.float32), copies, precision="highest")
        bits = (spread.astype(int) >> jnp.array(digits)[None]) & jnp.array(masks)[None]
        return bits.astype(jnp.float32)

    def _move(self, state: WarehouseState, action: Int[Array, " N"]) -> WarehouseState:
        """Turns those who turn; of those who walk, moves those who find room."""
        rows, columns = self.shape
        walks = (action == FORWARD)[:, None]
        ahead = state.position + walks * jnp.array(AHEAD)[state.heading]
        # The wall is no obstacle: who walks into it wants its own cell.
        ahead = jnp.clip(ahead, 0, jnp.array([rows - 1, columns - 1]))
        # Under shelves that stand passes only who carries none.
        full = (state.load > 0) & (self._standing(state, ahead[:, None])[:, 0] > 0)
        target = jnp.where(full[:, None], state.position, ahead)
        weights = jnp.array([columns, 1])
        moves = advances(state.position @ weights, target @ weights)
        turn = (action == RIGHT).astype(int) - (action == LEFT).astype(int)
        return state._replace(
            position=jnp.where(moves[:, None], target, state.position),
            heading=(state.heading + turn) % 4,
        )

    def _toggle(
        self, state: WarehouseState, action: Int[Array, " N"]
    ) -> tuple[WarehouseState, Float[Array, " N"]]:
        """Lifts and puts down; returns what is paid for that."""
        row, column = state.position[:, 0], state.position[:, 1]
        # Oddity: on a highway, nothing can be put down, and nothing is lost by trying.
        may = (state.load == 0) | ~jnp.array(self.highway)[row, column]
        toggles = (action == TOGGLE) & may
        puts = toggles & (state.load > 0)
        # Who lifts leaves nothing and who puts down finds nothing: both exchange.
        under = self._standing(state, state.position[:, None])[:, 0]
        left = jnp.where(toggles, state.load, under)
        standing = state.standing.at[row, column].set(left, unique_indices=True)
        # Oddity: any shelf put down anywhere settles what a delivery left owed.
        paid = jnp.where(puts & state.owed, 0.5, 0.0)
        return state._replace(
            load=jnp.where(toggles, under, state.load),
            owed=state.owed & ~puts,
            standing=standing,
        ), paid

    def _deliver(
        self, key: Key[Array, ""], state: WarehouseState
    ) -> tuple[WarehouseState, Float[Array, " N"]]:
        """Pays for shelves at the goals that are asked for, and asks for others."""
        others = int((~self.highway).sum()) - self.requests
        # Oddity: the goals are served in turn. What the first asks for anew may stand
        # on the second, and what the first has got may be asked for by the second.
        delivers = jnp.zeros(self.agents, bool)
        standing, load = state.standing, state.load
        for goal, chance in zip(self.goals, jax.random.uniform(key, (2,)), strict=True):
            here = jnp.all(state.position == jnp.array(goal), axis=-1)
            here = here & (load > 0) & (load <= self.requests)
            old = jnp.sum(jnp.where(here, load, 0))
            # Any other label, all alike; −1, which is none, if nothing is delivered.
            new = self.requests + 1 + jnp.floor(chance * others).astype(int)
            new = jnp.where(jnp.any(here), new, -1)
            standing = jnp.where(standing == new, old, standing)
            load = jnp.where(here, new, jnp.where(load == new, old, load))
            delivers = delivers | here
        state = state._replace(
            load=load,
            owed=state.owed | (delivers & (self.reward == "twostage")),
            standing=standing,
            idle=jnp.where(jnp.any(delivers), 0, state.idle + 1),
        )
        return state, self._pay(delivers)

    def _pay(self, delivers: Bool[Array, " N"]) -> Float[Array, " N"]:
        if self.reward == "global":
            # Each earns the whole: the team, as a sum, earns N for a delivery.
            return jnp.full(self.agents, jnp.sum(delivers), jnp.float32)
        return jnp.where(delivers, 0.5 if self.reward == "twostage" else 1.0, 0.0)

    def _standing(
        self, state: WarehouseState, cells: Int[Array, "N C 2"]
    ) -> Int[Array, "N C"]:
        """Returns the labels of the shelves that stand on cells; 0 beyond the walls."""
        rows, columns = self.shape
        row, column = cells[..., 0], cells[..., 1]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        place = jnp.where(inside, row * columns + column, 0)
        return jnp.where(inside, jnp.ravel(state.standing)[place], 0)


def _order(heading: Int[Array, " N"]) -> Int[Array, " N"]:
    """Returns the original's numbers of headings: up, down, left, right."""
    return jnp.array([0, 3, 1, 2])[heading]


FAMILY = Family(
    prefix="rware",
    pattern=names.PATTERN,
    example="rware-tiny-2ag-hard",
    summary="fetch shelves that are asked for, and put them back (robotic warehouse)",
    parse=Warehouse.parse,
)

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

from syntony.config import check_literals, pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.task import TimeStep
from syntony.tasks.warehouse import names as names
from syntony.tasks.warehouse.traffic import resolve_moves

NOOP, FORWARD, LEFT, RIGHT, TOGGLE_LOAD = range(5)
NORTH, EAST, SOUTH, WEST = range(4)
"""Headings, clockwise."""

HEADING_OFFSETS = ((-1, 0), (0, 1), (1, 0), (0, -1))


class WarehouseState(NamedTuple):
    """A warehouse and its clocks; rows and columns count from 0 at the top left.

    Shelves are told apart by labels alone: the first `request_queue_size` labels are
    those of the shelves asked for, and two shelves change labels when one is delivered.
    """

    position: Int[Array, "N 2"]
    heading: Int[Array, " N"]
    """`UP`, `EAST`, `DOWN` or `WEST`."""
    carried_shelf: Int[Array, " N"]
    """The label of the shelf that each agent carries; 0 for none."""
    pending_reward: Bool[Array, " N"]
    """Who is yet to be paid, in two stages, for putting back what it delivered."""
    shelf_grid: Int[Array, "H W"]
    """The label of the shelf that stands on each cell; 0 for none."""
    steps_without_delivery: Int[Array, ""]
    """Steps since the last delivery."""
    time: Int[Array, ""]


@pytree_dataclass
class Warehouse:
    """Agents carry the shelves that are asked for to one of two goals.

    The episode has no end but the time limit: a shelf that is delivered makes another
    asked for, and must be put back before its carrier can fetch that.
    """

    shelf_rows: int
    shelf_columns: int
    """Pairs of columns of shelves, with aisles between them; odd."""
    num_agents: int
    difficulty: names.Difficulty
    """How many shelves are asked for at a time: 2, 1 or half as many as agents."""
    reward_type: names.RewardType
    """Who is paid 1 for a delivery: who delivers; everyone; or who delivers, one half
    at once and one half for putting the shelf back."""
    column_height: int = 8
    """Shelves of a column between two aisles."""
    request_queue_size: int = 0
    """How many shelves are asked for at a time; 0 leaves it to the difficulty."""
    sensor_range: int = 1
    """Cells that an agent sees in each direction."""
    max_inactivity_steps: int = 0
    """Steps without a delivery after which an episode is cut; 0 for never."""
    time_limit: int = 500

    def __post_init__(self):
        check_literals(self)
        names.validate_warehouse(self)

    @classmethod
    def parse(cls, id: str) -> "Warehouse":
        """Returns the record that `id` names; its form is `FAMILY.pattern`.

        Raises:
            BadInput: the id is malformed, or no such task can exist.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(**names.parse_name(name, parameters))

    @property
    def id(self) -> str:
        return format_id(names.format_name(self), self)

    @property
    def num_actions(self) -> int:
        return 5

    @property
    def obs_dim(self) -> int:
        return 8 + 7 * (2 * self.sensor_range + 1) ** 2

    @property
    def shared_reward(self) -> bool:
        return self.reward_type == "global"

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return names.grid_shape(vars(self))

    @property
    def highway(self) -> Bool[np.ndarray, "H W"]:
        """Where shelves may pass but not be put: aisles, the goals and before them."""
        return names.highway(vars(self))

    @property
    def goals(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Row and column of both goals, in the order in which they are served."""
        rows, columns = self.grid_shape
        return (rows - 1, columns // 2 - 1), (rows - 1, columns // 2)

    @property
    def num_requests(self) -> int:
        """How many shelves are asked for at a time."""
        return names.num_requests(vars(self))

    def reset(self, key: Key[Array, ""]) -> tuple[WarehouseState, Float[Array, "N O"]]:
        """Fills the warehouse; agents may start anywhere, under shelves too."""
        # A draw costs half a second to compile: one serves for everything.
        cells, shelves = self.highway.size, int((~self.highway).sum())
        chance = jax.random.uniform(key, (cells + shelves + self.num_agents,))
        luck, wanted, turn = jnp.split(chance, [cells, cells + shelves])

        cell = jnp.argsort(luck)[: self.num_agents]
        label = jnp.zeros(self.grid_shape, int)
        label = label.at[~self.highway].set(1 + jnp.argsort(wanted))
        state = WarehouseState(
            position=jnp.stack(jnp.divmod(cell, self.grid_shape[1]), axis=-1),
            heading=jnp.floor(4 * turn).astype(int),
            carried_shelf=jnp.zeros(self.num_agents, int),
            pending_reward=jnp.zeros(self.num_agents, bool),
            shelf_grid=label,
            steps_without_delivery=jnp.zeros((), int),
            time=jnp.zeros((), int),
        )
        return state, self.observe(state)

    def action_mask(self, state: WarehouseState) -> Bool[Array, "N A"]:
        """All of them: an action that cannot be done counts as `NONE`."""
        return jnp.ones((*state.carried_shelf.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: WarehouseState, action: Int[Array, " N"]
    ) -> tuple[WarehouseState, TimeStep]:
        """Moves, turns and lifts all at once; then serves the goals."""
        state, restored = self._toggle_load(self._move(state, action), action)
        state, delivered = self._deliver(key, state)
        state = state._replace(time=state.time + 1)
        idle = (self.max_inactivity_steps > 0) & (
            state.steps_without_delivery >= self.max_inactivity_steps
        )
        # More could have been earned after either: nothing terminates.
        truncated = idle | (state.time >= self.time_limit)
        terminated = jnp.zeros((), bool)
        return state, TimeStep(
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
        heading = 2 << _rware_heading(state.heading)
        agent = 1 + heading + self._shelf_bits(state.carried_shelf)
        # Oddity: where nobody is, a heading is seen, too: up.
        empty = 2 + self._shelf_bits(self._shelf_labels_at(state, cells))
        parts = jnp.where(there, agent[None, None] - 2, 0)
        first = jnp.arange(self.num_agents) == 0
        seen = jnp.sum(parts + jnp.where(first, empty[..., None], 0), axis=-1)

        row, column = state.position[:, 0], state.position[:, 1]
        own = (
            (state.carried_shelf > 0)
            + heading
            + 32 * jnp.array(self.highway)[row, column]
        )
        words = [column[:, None], row[:, None], own[:, None], seen]
        return self._unpack_bits(jnp.concatenate(words, axis=-1))

    def _shelf_bits(self, label: Int[Array, "*S"]) -> Int[Array, "*S"]:
        """Returns the bits for a shelf, and for one that is asked for."""
        return 32 * (label > 0) + 64 * ((label > 0) & (label <= self.num_requests))

    def _unpack_bits(self, packed: Int[Array, "N W"]) -> Float[Array, "N O"]:
        """Writes the first two numbers as they are, the others bit by bit."""
        cells = packed.shape[-1] - 3
        digits = [0, 0, *range(6), *list(range(7)) * cells]
        source = [0, 1, *[2] * 6, *np.repeat(range(3, 3 + cells), 7)]
        masks = [-1, -1, *[1] * (len(digits) - 2)]
        # Each word goes to its features by a product, exact for whole numbers: to join
        # small arrays, as to gather, takes XLA several times as long.
        copies = jnp.eye(packed.shape[-1])[:, np.array(source)]
        spread = jnp.dot(packed.astype(jnp.float32), copies, precision="highest")
        bits = (spread.astype(int) >> jnp.array(digits)[None]) & jnp.array(masks)[None]
        return bits.astype(jnp.float32)

    def _move(self, state: WarehouseState, action: Int[Array, " N"]) -> WarehouseState:
        """Turns those who turn; of those who walk, moves those who find room."""
        rows, columns = self.grid_shape
        walks = (action == FORWARD)[:, None]
        ahead = state.position + walks * jnp.array(HEADING_OFFSETS)[state.heading]
        # The wall is no obstacle: who walks into it wants its own cell.
        ahead = jnp.clip(ahead, 0, jnp.array([rows - 1, columns - 1]))
        # Under shelves that stand passes only who carries none.
        full = (state.carried_shelf > 0) & (
            self._shelf_labels_at(state, ahead[:, None])[:, 0] > 0
        )
        target = jnp.where(full[:, None], state.position, ahead)
        weights = jnp.array([columns, 1])
        moves = resolve_moves(state.position @ weights, target @ weights)
        turn = (action == RIGHT).astype(int) - (action == LEFT).astype(int)
        return state._replace(
            position=jnp.where(moves[:, None], target, state.position),
            heading=(state.heading + turn) % 4,
        )

    def _toggle_load(
        self, state: WarehouseState, action: Int[Array, " N"]
    ) -> tuple[WarehouseState, Float[Array, " N"]]:
        """Lifts and puts down; returns what is paid for that."""
        row, column = state.position[:, 0], state.position[:, 1]
        # Oddity: on a highway, nothing can be put down, and nothing is lost by trying.
        may = (state.carried_shelf == 0) | ~jnp.array(self.highway)[row, column]
        toggles = (action == TOGGLE_LOAD) & may
        puts = toggles & (state.carried_shelf > 0)
        # Who lifts leaves nothing and who puts down finds nothing: both exchange.
        under = self._shelf_labels_at(state, state.position[:, None])[:, 0]
        left = jnp.where(toggles, state.carried_shelf, under)
        standing = state.shelf_grid.at[row, column].set(left, unique_indices=True)
        # Oddity: any shelf put down anywhere settles what a delivery left owed.
        paid = jnp.where(puts & state.pending_reward, 0.5, 0.0)
        return state._replace(
            carried_shelf=jnp.where(toggles, under, state.carried_shelf),
            pending_reward=state.pending_reward & ~puts,
            shelf_grid=standing,
        ), paid

    def _deliver(
        self, key: Key[Array, ""], state: WarehouseState
    ) -> tuple[WarehouseState, Float[Array, " N"]]:
        """Pays for shelves at the goals that are asked for, and asks for others."""
        others = int((~self.highway).sum()) - self.num_requests
        # Oddity: the goals are served in turn. What the first asks for anew may stand
        # on the second, and what the first has got may be asked for by the second.
        delivers = jnp.zeros(self.num_agents, bool)
        standing, load = state.shelf_grid, state.carried_shelf
        for goal, chance in zip(self.goals, jax.random.uniform(key, (2,)), strict=True):
            here = jnp.all(state.position == jnp.array(goal), axis=-1)
            here = here & (load > 0) & (load <= self.num_requests)
            old = jnp.sum(jnp.where(here, load, 0))
            # Any other label, all alike; −1, which is none, if nothing is delivered.
            new = self.num_requests + 1 + jnp.floor(chance * others).astype(int)
            new = jnp.where(jnp.any(here), new, -1)
            standing = jnp.where(standing == new, old, standing)
            load = jnp.where(here, new, jnp.where(load == new, old, load))
            delivers = delivers | here
        state = state._replace(
            carried_shelf=load,
            pending_reward=state.pending_reward
            | (delivers & (self.reward_type == "twostage")),
            shelf_grid=standing,
            steps_without_delivery=jnp.where(
                jnp.any(delivers), 0, state.steps_without_delivery + 1
            ),
        )
        return state, self._delivery_reward(delivers)

    def _delivery_reward(self, delivered: Bool[Array, " N"]) -> Float[Array, " N"]:
        if self.reward_type == "global":
            # Each earns the whole: the team, as a sum, earns N for a delivery.
            return jnp.full(self.num_agents, jnp.sum(delivered), jnp.float32)
        return jnp.where(delivered, 0.5 if self.reward_type == "twostage" else 1.0, 0.0)

    def _shelf_labels_at(
        self, state: WarehouseState, cells: Int[Array, "N C 2"]
    ) -> Int[Array, "N C"]:
        """Returns the labels of the shelves that stand on cells; 0 beyond the walls."""
        rows, columns = self.grid_shape
        row, column = cells[..., 0], cells[..., 1]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        place = jnp.where(inside, row * columns + column, 0)
        return jnp.where(inside, jnp.ravel(state.shelf_grid)[place], 0)


def _rware_heading(heading: Int[Array, " N"]) -> Int[Array, " N"]:
    """Returns the original's numbers of headings: up, down, left, right."""
    return jnp.array([0, 3, 1, 2])[heading]


FAMILY = TaskFamily(
    prefix="rware",
    pattern=names.ID_PATTERN,
    example="rware-tiny-2ag-hard",
    summary="fetch shelves that are asked for, and put them back (robotic warehouse)",
    parse=Warehouse.parse,
)

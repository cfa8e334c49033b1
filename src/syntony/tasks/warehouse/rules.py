"""The warehouse: agents bring requested shelves to the goals, and put them back.

The rules are exactly those of rware 2.0.0, including its oddities; each is noted where
it is implemented.

Source: Papoudakis, Christianos, Schäfer and Albrecht, "Benchmarking Multi-Agent Deep
    Reinforcement Learning Algorithms in Cooperative Tasks", NeurIPS 2021.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from syntony.config import between, field, pytree_dataclass
from syntony.identifiers import format_id
from syntony.tasks.family import TaskFamily, parse_task_id
from syntony.tasks.scene import Benchmark, Feature, ObsWindow, Scene
from syntony.tasks.task import TimeStep
from syntony.tasks.warehouse import drawing, names
from syntony.tasks.warehouse.traffic import resolve_moves

NOOP, FORWARD, LEFT, RIGHT, TOGGLE_LOAD = range(5)
NORTH, EAST, SOUTH, WEST = range(4)
"""Headings, clockwise."""

HEADING_OFFSETS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Row and column offset of a forward move, by heading."""


class WarehouseState(NamedTuple):
    """A warehouse and its counters; rows and columns count from 0 at the top left.

    Shelves are identified by labels: the labels 1 to R are those of the R requested
    shelves. At a delivery, the delivered and a newly requested shelf swap labels.
    """

    position: Int[Array, "N 2"]
    heading: Int[Array, " N"]
    """`NORTH`, `EAST`, `SOUTH` or `WEST`."""
    carried_shelf: Int[Array, " N"]
    """Label of the shelf that each agent carries; 0 for none."""
    pending_reward: Bool[Array, " N"]
    """Whether an agent is rewarded for its next put-down (reward type `twostage`)."""
    shelf_grid: Int[Array, "H W"]
    """Label of the shelf that stands on each cell; 0 for none."""
    steps_without_delivery: Int[Array, ""]
    """Steps since the last delivery."""
    time: Int[Array, ""]


@pytree_dataclass
class Warehouse:
    """Agents carry requested shelves to one of two goals.

    Episodes never terminate: after a delivery another shelf is requested, and the
    delivered one must be put back before its carrier can load that.
    """

    shelf_rows: int = field(static=True, limits=between(1, 100))
    """Rows of shelf blocks."""
    shelf_columns: int = field(static=True, limits=between(3, 101))
    """Columns of shelf blocks, each two shelves wide, with aisles between them; odd."""
    column_height: int = field(8, static=True, limits=between(1, 100))
    """Height of a shelf block, in shelves."""
    num_agents: int = field(static=True, limits=names.agent_limits)
    """Number of agents."""
    difficulty: names.Difficulty = field(static=True)
    """Number of requested shelves: 2 (easy), 1 (normal) or 0.5 (hard) per agent."""
    reward_type: names.RewardType = field(static=True)
    """Reward of 1 for a delivery: to the agent that delivers (indiv), to every agent
    (global), or to the agent that delivers, half of it for putting the shelf back
    (twostage)."""
    request_queue_size: int = field(0, static=True, limits=between(0, names.MAX_VALUE))
    """Number of requested shelves; 0 is that of the difficulty."""
    sensor_range: int = field(1, static=True, limits=names.sensor_range_limits)
    """Cells that an agent observes in each direction."""
    max_inactivity_steps: int = field(
        0, static=True, limits=between(0, names.MAX_VALUE)
    )
    """Steps without a delivery after which an episode is truncated; 0 is never."""
    time_limit: int = field(500, static=True, limits=between(1, names.MAX_VALUE))
    """Steps after which an episode is truncated."""

    def __post_init__(self):
        names.validate_warehouse(self)

    @classmethod
    def parse(cls, id: str) -> "Warehouse":
        """Task with this id, which has the form `FAMILY.pattern`.

        Raises:
            InvalidInputError: the id is malformed, or its parameters are invalid.
        """
        name, parameters = parse_task_id(id, cls)
        return cls(**names.parse_name(name, parameters))

    @property
    def id(self) -> str:
        return format_id(names.format_name(vars(self)), self)

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
    def benchmark(self) -> Benchmark:
        return Benchmark("warehouse")

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of cells."""
        return names.grid_shape(vars(self))

    @property
    def highway(self) -> Bool[np.ndarray, "H W"]:
        """Mask of cells where shelves cannot be put: aisles, goals and before them."""
        return names.highway(vars(self))

    @property
    def goals(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Row and column of both goals, in the order in which deliveries count."""
        rows, columns = self.grid_shape
        return (rows - 1, columns // 2 - 1), (rows - 1, columns // 2)

    @property
    def num_requests(self) -> int:
        """Number of simultaneously requested shelves."""
        return names.num_requests(vars(self))

    def reset(self, key: Key[Array, ""]) -> tuple[WarehouseState, Float[Array, "N O"]]:
        """Random agents, also under shelves, and random requests."""
        # Each random draw takes half a second to compile, so there is only one.
        cells, shelves = self.highway.size, int((~self.highway).sum())
        uniform = jax.random.uniform(key, (cells + shelves + self.num_agents,))
        cell_order, label_order, heading = jnp.split(uniform, [cells, cells + shelves])

        cell = jnp.argsort(cell_order)[: self.num_agents]
        label = jnp.zeros(self.grid_shape, int)
        label = label.at[~self.highway].set(1 + jnp.argsort(label_order))
        state = WarehouseState(
            position=jnp.stack(jnp.divmod(cell, self.grid_shape[1]), axis=-1),
            heading=jnp.floor(4 * heading).astype(int),
            carried_shelf=jnp.zeros(self.num_agents, int),
            pending_reward=jnp.zeros(self.num_agents, bool),
            shelf_grid=label,
            steps_without_delivery=jnp.zeros((), int),
            time=jnp.zeros((), int),
        )
        return state, self.observe(state)

    def action_mask(self, state: WarehouseState) -> Bool[Array, "N A"]:
        """All actions are available; an impossible one has the effect of `NOOP`."""
        return jnp.ones((*state.carried_shelf.shape, self.num_actions), bool)

    def step(
        self, key: Key[Array, ""], state: WarehouseState, action: Int[Array, " N"]
    ) -> tuple[WarehouseState, TimeStep]:
        """Applies the joint action, then the deliveries at the goals."""
        moved = self._move(state, action)
        state, put_down_reward = self._toggle_load(moved, action)
        state, delivery_reward = self._deliver(key, state)
        state = state._replace(time=state.time + 1)
        inactive = (self.max_inactivity_steps > 0) & (
            state.steps_without_delivery >= self.max_inactivity_steps
        )
        # Neither state is terminal: later rewards would be possible.
        truncated = inactive | (state.time >= self.time_limit)
        terminated = jnp.zeros((), bool)
        reward = put_down_reward + delivery_reward
        return state, TimeStep(self.observe(state), reward, terminated, truncated)

    def observe(self, state: WarehouseState) -> Float[Array, "N O"]:
        """Own (column, row, loaded, one-hot heading, on a highway), then the cells.

        Each cell around the agent, in row-major order, is (an agent, its one-hot
        heading, a shelf, whether that is requested); zeros outside of the warehouse.
        """
        offsets = range(-self.sensor_range, self.sensor_range + 1)
        window = jnp.array([(row, column) for row in offsets for column in offsets])
        cells = state.position[:, None] + window[None]
        occupied = jnp.all(cells[:, :, None] == state.position[None, None], axis=-1)
        # A cell is one number, with a bit for each feature: XLA repeats the operations
        # after the sum for every feature, so there should be few of them.
        heading = 2 << _rware_heading(state.heading)
        agent = 1 + heading + self._shelf_bits(state.carried_shelf)
        # Oddity: cells without an agent have a heading as well, up.
        empty = 2 + self._shelf_bits(self._shelf_labels_at(state, cells))
        parts = jnp.where(occupied, agent[None, None] - 2, 0)
        first = jnp.arange(self.num_agents) == 0
        visible = jnp.sum(parts + jnp.where(first, empty[..., None], 0), axis=-1)

        row, column = state.position[:, 0], state.position[:, 1]
        own = (
            (state.carried_shelf > 0)
            + heading
            + 32 * jnp.array(self.highway)[row, column]
        )
        packed = [column[:, None], row[:, None], own[:, None], visible]
        return self._unpack_bits(jnp.concatenate(packed, axis=-1))

    def render(self, state: WarehouseState) -> Scene:
        """Scene of the warehouse."""
        return drawing.warehouse_scene(
            highway=self.highway,
            goals=self.goals,
            num_requests=self.num_requests,
            shelf_grid=np.asarray(state.shelf_grid),
            position=np.asarray(state.position),
            direction=np.array(HEADING_OFFSETS)[np.asarray(state.heading)],
            carried_shelf=np.asarray(state.carried_shelf),
        )

    def feature_names(self, agent: int) -> list[Feature]:
        """The agent's own features, then those of each cell around it."""
        del agent  # All of them have the same features.
        return drawing.feature_names(self.sensor_range)

    def obs_window(self, agent: int) -> ObsWindow:
        """The cells around the agent."""
        return drawing.obs_window(self.sensor_range, agent)

    def _shelf_bits(self, label: Int[Array, "*S"]) -> Int[Array, "*S"]:
        """Bits of a shelf, and of a requested one."""
        return 32 * (label > 0) + 64 * ((label > 0) & (label <= self.num_requests))

    def _unpack_bits(self, packed: Int[Array, "N W"]) -> Float[Array, "N O"]:
        """Features: the first two numbers unchanged, the others bit by bit."""
        cells = packed.shape[-1] - 3
        digits = [0, 0, *range(6), *list(range(7)) * cells]
        source = [0, 1, *[2] * 6, *np.repeat(range(3, 3 + cells), 7)]
        masks = [-1, -1, *[1] * (len(digits) - 2)]
        # Each number is copied to its features by a matrix product, exact for integers:
        # concatenating small arrays, or a gather, takes XLA several times as long.
        copy = jnp.eye(packed.shape[-1])[:, np.array(source)]
        copied = jnp.dot(packed.astype(jnp.float32), copy, precision="highest")
        bits = (copied.astype(int) >> jnp.array(digits)[None]) & jnp.array(masks)[None]
        return bits.astype(jnp.float32)

    def _move(self, state: WarehouseState, action: Int[Array, " N"]) -> WarehouseState:
        """Rotates agents, and moves those whose target cell becomes free."""
        rows, columns = self.grid_shape
        forward = (action == FORWARD)[:, None]
        ahead = state.position + forward * jnp.array(HEADING_OFFSETS)[state.heading]
        # The target of an agent that moves into a wall is its own cell.
        ahead = jnp.clip(ahead, 0, jnp.array([rows - 1, columns - 1]))
        # Only agents without a load can move under standing shelves.
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
        """Loads and unloads shelves; the second value is the reward for unloading."""
        row, column = state.position[:, 0], state.position[:, 1]
        # Oddity: on a highway shelves cannot be put down; the action has no effect.
        can_toggle = (state.carried_shelf == 0) | ~jnp.array(self.highway)[row, column]
        toggles = (action == TOGGLE_LOAD) & can_toggle
        puts_down = toggles & (state.carried_shelf > 0)
        # Either the agent has no shelf or the cell has none: both are an exchange.
        standing = self._shelf_labels_at(state, state.position[:, None])[:, 0]
        label = jnp.where(toggles, state.carried_shelf, standing)
        shelf_grid = state.shelf_grid.at[row, column].set(label, unique_indices=True)
        # Oddity: the second half is paid for any shelf, put down anywhere.
        reward = jnp.where(puts_down & state.pending_reward, 0.5, 0.0)
        return state._replace(
            carried_shelf=jnp.where(toggles, standing, state.carried_shelf),
            pending_reward=state.pending_reward & ~puts_down,
            shelf_grid=shelf_grid,
        ), reward

    def _deliver(
        self, key: Key[Array, ""], state: WarehouseState
    ) -> tuple[WarehouseState, Float[Array, " N"]]:
        """Deliveries of requested shelves at the goals, and new requests."""
        others = int((~self.highway).sum()) - self.num_requests
        # Oddity: deliveries at the goals are sequential. A shelf that the first newly
        # requests may be at the second, and the second may request that of the first.
        delivers = jnp.zeros(self.num_agents, bool)
        shelf_grid, carried = state.shelf_grid, state.carried_shelf
        uniforms = jax.random.uniform(key, (2,))
        for goal, uniform in zip(self.goals, uniforms, strict=True):
            here = jnp.all(state.position == jnp.array(goal), axis=-1)
            here = here & (carried > 0) & (carried <= self.num_requests)
            old = jnp.sum(jnp.where(here, carried, 0))
            # Uniform over the other labels; −1, which is none, without a delivery.
            new = self.num_requests + 1 + jnp.floor(uniform * others).astype(int)
            new = jnp.where(jnp.any(here), new, -1)
            shelf_grid = jnp.where(shelf_grid == new, old, shelf_grid)
            carried = jnp.where(here, new, jnp.where(carried == new, old, carried))
            delivers = delivers | here
        state = state._replace(
            carried_shelf=carried,
            pending_reward=state.pending_reward
            | (delivers & (self.reward_type == "twostage")),
            shelf_grid=shelf_grid,
            steps_without_delivery=jnp.where(
                jnp.any(delivers), 0, state.steps_without_delivery + 1
            ),
        )
        return state, self._delivery_reward(delivers)

    def _delivery_reward(self, delivered: Bool[Array, " N"]) -> Float[Array, " N"]:
        if self.reward_type == "global":
            # The sum over agents is N for a delivery.
            return jnp.full(self.num_agents, jnp.sum(delivered), jnp.float32)
        return jnp.where(delivered, 0.5 if self.reward_type == "twostage" else 1.0, 0.0)

    def _shelf_labels_at(
        self, state: WarehouseState, cells: Int[Array, "N C 2"]
    ) -> Int[Array, "N C"]:
        """Labels of the shelves that stand on cells; 0 outside of the warehouse."""
        rows, columns = self.grid_shape
        row, column = cells[..., 0], cells[..., 1]
        inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
        index = jnp.where(inside, row * columns + column, 0)
        return jnp.where(inside, jnp.ravel(state.shelf_grid)[index], 0)


def _rware_heading(heading: Int[Array, " N"]) -> Int[Array, " N"]:
    """Headings as rware numbers them: up, down, left, right."""
    return jnp.array([0, 3, 1, 2])[heading]


FAMILY = TaskFamily(
    prefix="rware",
    pattern=names.ID_PATTERN,
    example="rware-tiny-2ag-hard",
    summary="deliver requested shelves, and put them back (robotic warehouse)",
    parse=Warehouse.parse,
)

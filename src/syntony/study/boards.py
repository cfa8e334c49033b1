"""A Foraging board, drawn on a pair of axes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from syntony.tasks.foraging import Foraging, ForagingState

# Okabe & Ito (2008): told apart by colour-blind readers, and in grey.
BLACK = "#000000"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"
AGENTS = (BLUE, VERMILLION, PURPLE, SKY, ORANGE)

GRID = "#D9D9D9"
DISC = 0.34
"""Radius of an agent, in cells."""


class Board(NamedTuple):
    """Where everything is at one moment; a level of 0 means gone."""

    position: Int[np.ndarray, "N 2"]
    level: Int[np.ndarray, " N"]
    food_position: Int[np.ndarray, "F 2"]
    food_level: Int[np.ndarray, " F"]


def boards_of(states: ForagingState) -> list[Board]:
    """Returns what can be seen from above of states, time along the first axis."""
    seen = (states.position, states.level, states.food_position, states.food_level)
    return [Board(*moment) for moment in zip(*map(np.asarray, seen), strict=True)]


def draw_board(axes: Axes, task: Foraging, board: Board) -> None:
    """Draws food as squares, agents as discs, both with their levels.

    The tinted square around an agent is what it sees of the food.
    """
    _draw_grid(axes, task.size)
    for agent, place in enumerate(board.position):
        if task.sight < task.size:
            _draw_window(axes, task, place, colour(agent))
    for place, level in zip(board.food_position, board.food_level, strict=True):
        if level > 0:
            _draw_food(axes, place, int(level))
    for agent, place in enumerate(board.position):
        _draw_agent(axes, place, int(board.level[agent]), colour(agent))


def draw_paths(axes: Axes, positions: Int[np.ndarray, "T N 2"]) -> None:
    """Draws the way that each agent has come."""
    for agent in range(positions.shape[1]):
        # Aside from the cell's centre, so that crossing ways stay apart.
        aside = 0.12 * (agent - (positions.shape[1] - 1) / 2)
        ways: Float[np.ndarray, "T 2"] = positions[:, agent] + aside
        axes.plot(ways[:, 1], ways[:, 0], color=colour(agent), lw=1.2, alpha=0.55)


def name_agents(axes: Axes, agents: int) -> None:
    """Writes below the board which colour is which agent."""
    discs = [
        axes.scatter([], [], color=colour(agent), label=f"agent {agent + 1}")
        for agent in range(agents)
    ]
    below = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    axes.legend(handles=discs, **below, ncols=3, handletextpad=0, columnspacing=0.8)


def colour(agent: int) -> str:
    """Returns the colour of an agent, the same in every picture."""
    return AGENTS[agent % len(AGENTS)]


def _draw_grid(axes: Axes, size: int) -> None:
    axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
    axes.set(xticks=[], yticks=[])
    for edge in np.arange(0.5, size - 1):
        axes.axhline(edge, color=GRID, lw=0.5, zorder=0)
        axes.axvline(edge, color=GRID, lw=0.5, zorder=0)
    axes.spines[:].set(visible=True, color="#808080", linewidth=0.8)


def _draw_window(
    axes: Axes, task: Foraging, place: Int[np.ndarray, " 2"], shade: str
) -> None:
    row, column = place
    corner, side = (column - task.sight - 0.5, row - task.sight - 0.5), 2 * task.sight
    axes.add_patch(
        Rectangle(corner, side + 1, side + 1, facecolor=shade, alpha=0.10, zorder=1)
    )


def _draw_food(axes: Axes, place: Int[np.ndarray, " 2"], level: int) -> None:
    row, column = place
    axes.add_patch(
        FancyBboxPatch(
            (column - 0.24, row - 0.24),
            *(0.48, 0.48),
            boxstyle="round,pad=0.06,rounding_size=0.14",
            facecolor=GREEN,
            edgecolor="white",
            linewidth=0.6,
            zorder=3,
        )
    )
    _draw_level(axes, place, level)


def _draw_agent(
    axes: Axes, place: Int[np.ndarray, " 2"], level: int, shade: str
) -> None:
    row, column = place
    axes.add_patch(
        Circle(
            (column, row),
            DISC,
            facecolor=shade,
            edgecolor="white",
            linewidth=0.6,
            zorder=4,
        )
    )
    _draw_level(axes, place, level)


def _draw_level(axes: Axes, place: Int[np.ndarray, " 2"], level: int) -> None:
    row, column = place
    axes.text(
        column,
        row,
        str(level),
        color="white",
        weight="bold",
        ha="center",
        va="center_baseline",
        zorder=5,
    )

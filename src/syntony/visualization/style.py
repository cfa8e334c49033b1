"""Style of every figure, scene and report: colors, style sheet, drawn error rates."""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float
from matplotlib import colormaps, colors
from numpy.typing import ArrayLike

from syntony.tasks.scene import AgentOrRole, Role

# Okabe & Ito (2008): told apart by colorblind readers, and in grayscale.
BLACK = "#000000"
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY = "#CC79A7", "#E69F00", "#56B4E9"

AGENT_COLORS = (BLUE, VERMILLION, PURPLE, SKY, ORANGE)
SCREEN_LINE_COLORS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
"""Colors of lines on a screen: all of them are visible on white and on black."""
LINE_COLORS = (*SCREEN_LINE_COLORS, BLACK)
"""Colors of lines on white paper, in the order of `print.mplstyle`."""

BROWN, INDIGO, TEAL = "#9A6324", "#6A5ACD", "#148F9C"

SYSTEM_COLORS = {
    "smpe": BLUE,
    "maa2c": VERMILLION,
    "mappo": GREEN,
    "ia2c": ORANGE,
    "ippo": SKY,
    "qmix": PURPLE,
    "vdn": BROWN,
    "smpe_official": INDIGO,
    "air": TEAL,
    "link": BLUE,
}
"""Color of each algorithm, the same in every figure and report. Links are never drawn
beside teams."""
MAX_PER_COLOR = 2
"""Lines of an algorithm that have its color; they differ in their dashes."""
DASHES = ("solid", "dashed", "dashdot", "dotted")
MARKERS = ("", "s", "^", "D", "v", "x")
"""With `DASHES`, they tell lines apart in gray print."""

GRAY = "#737373"
"""Reference lines on white paper."""
SCREEN_GRAY = "#808080"
"""Reference lines on a screen: visible on white and on black."""
GRID_LINE_COLOR = "#80808055"
FLOOR_COLOR = "#8080801A"
NEUTRAL_COLOR = "#8C8C8C"
ROLE_COLORS = {
    Role.TARGET: GREEN,
    Role.GOAL: ORANGE,
    Role.NEUTRAL: NEUTRAL_COLOR,
    Role.TEAMMATE: PURPLE,
    Role.MESSAGE: BLUE,
    Role.FLOOR: FLOOR_COLOR,
    Role.GRID: GRID_LINE_COLOR,
}
"""Colors of a scene's shapes that are no agents."""

STYLE_SHEET = Path(__file__).parent / "print.mplstyle"
"""Matplotlib style sheet of the figures for print."""

MIN_PLOTTED_RATE = 1e-7
"""Lowest error rate that is drawn: no evaluation counts enough blocks for less."""


class TextStyle(TypedDict, total=False):
    """Matplotlib's keywords of a text."""

    fontsize: float
    color: str
    ha: str
    va: str


def agent_color(agent: int) -> str:
    """Color of an agent, the same in every figure."""
    return AGENT_COLORS[agent % len(AGENT_COLORS)]


def agent_name(agent: int) -> str:
    """Name of an agent, the same in every figure, e.g. `agent A`.

    A letter, as the numbers on a board are e.g. levels.
    """
    first, last = divmod(agent, len(ascii_uppercase))
    return f"agent {ascii_uppercase[first - 1] if first else ''}{ascii_uppercase[last]}"


class LineLook(NamedTuple):
    """Look of the line of a group or run, also told apart in gray print."""

    color: str
    dash: str
    """One of `DASHES`."""
    marker: str
    """One of `MARKERS`."""


def line_looks(names: Sequence[str]) -> list[LineLook]:
    """Looks of the lines of a figure.

    A line has the color of its algorithm, if its name is one or begins with one, e.g.
    "SMPE², 5 seeds" or "maa2c gamma=0.9". Lines of no algorithm, and more lines of one
    algorithm than `MAX_PER_COLOR`, have colors that no other line has, as long as there
    are any.

    Args:
        names: systems, or names in a legend that begin with a system.
    """
    used: list[str] = []
    for name in names:
        color = SYSTEM_COLORS.get(system_in_name(name), "")
        used.append(color if used.count(color) < MAX_PER_COLOR else "")
    candidates = (*SCREEN_LINE_COLORS, BROWN, INDIGO, TEAL)
    free = [color for color in candidates if color not in used] or [*candidates]
    spare = itertools.cycle(free)
    return [
        LineLook(
            color or next(spare),
            DASHES[index % len(DASHES)],
            MARKERS[index // len(DASHES) % len(MARKERS)],
        )
        for index, color in enumerate(used)
    ]


def system_in_name(name: str) -> str:
    """System that a name in a legend begins with; empty if with none."""
    word = re.split(r"[ ,(]", name.lower().replace("²", ""), maxsplit=1)[0]
    return word if word in SYSTEM_COLORS else ""


def level_color(level: int, count: int) -> str:
    """Color of one of several levels: distinct colors of few, a scale of many."""
    if count <= len(SCREEN_LINE_COLORS):
        return SCREEN_LINE_COLORS[level]
    return colors.to_hex(colormaps["turbo"]((level + 0.5) / count))


def role_color(role: AgentOrRole) -> str:
    """Color of a shape: of its agent, or of its role."""
    return ROLE_COLORS[role] if isinstance(role, Role) else agent_color(role)


def mask_low_rates(rates: ArrayLike) -> Float[np.ndarray, "..."]:
    """Error rates with NaN in place of those up to `MIN_PLOTTED_RATE`.

    A logarithmic axis has no place for an error rate of 0.
    """
    values = np.asarray(rates, float)
    return np.where(values > MIN_PLOTTED_RATE, values, np.nan)


def seeds_label(name: str, num_seeds: int) -> str:
    """Legend label of a mean over seeds, e.g. `smpe (3 seeds)`."""
    return f"{name} ({num_seeds} seed{'s' if num_seeds > 1 else ''})"

"""Drawing of foraging: scenes of boards, and the observations' features."""

import numpy as np
from jaxtyping import Int

from syntony.tasks.scene import (
    Circle,
    Coordinate,
    Feature,
    ObservedEntity,
    ObsWindow,
    Role,
    Scene,
    Shape,
    Square,
    features_of_entities,
    grid_scene,
)


def board_scene(
    *,
    size: int,
    sight: int,
    position: Int[np.ndarray, "N 2"],
    level: Int[np.ndarray, " N"],
    food_position: Int[np.ndarray, "F 2"],
    food_level: Int[np.ndarray, " F"],
) -> Scene:
    """Scene of a board: agents and foods with their levels, and what agents see.

    Args:
        size: number of rows, and of columns.
        sight: cells that an agent observes in each direction.
        position: row and column of each agent.
        level: level of each agent.
        food_position: row and column of each food.
        food_level: level of each food; 0 for one that is not drawn.
    """
    shapes: list[Shape] = []
    agents = position.tolist()
    for agent, (row, column) in enumerate(agents):
        if sight < size:
            shapes.append(Square(column, row, 2 * sight + 1, agent, opacity=0.1))
    foods = zip(food_position.tolist(), food_level.tolist(), strict=True)
    for (row, column), value in foods:
        if value > 0:
            food = Square(column, row, 0.6, Role.TARGET, value, corner_radius=0.14)
            shapes.append(food)
    for agent, (row, column) in enumerate(agents):
        shapes.append(Circle(column, row, 0.34, agent, level[agent].item()))
    note = "Numbers are levels: a food needs the sum of the agents that load it."
    return grid_scene(size, size, shapes)._replace(note=note)


def feature_names(*, foods: int, players: int) -> list[Feature]:
    """Features of an agent's observation: three for each entity.

    Args:
        foods: number of foods.
        players: number of agents.
    """
    # Only visible agents are listed, so "other 1" need not be the same agent always.
    others = [f"other {i + 1}" for i in range(players - 1)]
    entities = [*(f"food {i + 1}" for i in range(foods)), "itself", *others]
    return features_of_entities(entities, ("row", "column", "level"))


def obs_window(*, foods: int, players: int, side: int, agent: int) -> ObsWindow:
    """Drawing of an agent's observation: the part of the board around it.

    Args:
        foods: number of foods.
        players: number of agents.
        side: number of rows, and of columns, of that part.
        agent: index of the agent.
    """
    # Not the colors of agents, as an observation does not tell which they are.
    roles = [Role.TARGET] * foods + [agent] + [Role.NEUTRAL] * (players - 1)
    names = feature_names(foods=foods, players=players)[::3]
    entities = [
        ObservedEntity(
            names[i].entity,
            role,
            "square" if i < foods else "circle",
            x=Coordinate(3 * i + 1),
            y=Coordinate(3 * i),
            visible_above=(3 * i, -0.5),
            text_index=3 * i + 2,
        )
        for i, role in enumerate(roles)
    ]
    return ObsWindow((-0.5, -0.5, side, side), True, tuple(entities))

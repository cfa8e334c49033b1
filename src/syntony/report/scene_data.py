"""Scenes and observation windows as data that `scene.js` draws."""

from syntony.errors import raising_invalid_input
from syntony.report.components import to_jsonable
from syntony.tasks.scene import (
    AgentOrRole,
    Circle,
    Line,
    ObservedEntity,
    ObsWindow,
    Role,
    Shape,
)
from syntony.tasks.task import DrawsObservations, Task
from syntony.training.safe_io import JsonObject
from syntony.visualization.scenes import EpisodeScene
from syntony.visualization.style import role_color


def scene_data(scene: EpisodeScene) -> JsonObject:
    """A scene: bounds, static shapes, and the shapes of each frame."""
    content: JsonObject = {
        "bounds": scene.bounds,
        "static": [_shape_data(shape) for shape in scene.static],
        "frames": [[_shape_data(s) for s in shapes] for shapes in scene.frames],
    }
    return {name: to_jsonable(value) for name, value in content.items()}


def obs_windows_data(task: Task) -> list[JsonObject] | None:
    """Each agent's observation window; None if the task does not draw observations.

    Raises:
        InvalidInputError: the task raised an exception.
    """
    if not isinstance(task, DrawsObservations):
        return None
    with raising_invalid_input(f"{task.id}: obs_window raised"):
        return [_window_data(task.obs_window(i)) for i in range(task.num_agents)]


def _shape_data(shape: Shape) -> JsonObject:
    fill: JsonObject = {"x": shape.x, "y": shape.y, "fill": role_color(shape.role)}
    if isinstance(shape, Line):
        data: JsonObject = {"kind": "line", **fill, "x2": shape.x2, "y2": shape.y2}
        return data | ({"width": shape.width} if shape.width else {})
    data = fill | _agent_data(shape.role)
    if isinstance(shape, Circle):
        data |= {"kind": "circle", "r": shape.radius}
    else:
        data |= {"kind": "rect", "side": shape.side}
        data |= {"round": shape.corner_radius} if shape.corner_radius else {}
    data |= {} if shape.text == "" else {"text": shape.text}
    return data | ({} if shape.opacity == 1.0 else {"opacity": shape.opacity})


def _agent_data(role: AgentOrRole) -> JsonObject:
    """Index of a shape's agent, which is marked where that agent is selected."""
    return {} if isinstance(role, Role) else {"agent": role}


def _window_data(window: ObsWindow) -> JsonObject:
    entities = [_entity_data(entity) for entity in window.entities]
    content = {"bounds": window.bounds, "grid": window.has_cells, "entities": entities}
    return {name: to_jsonable(value) for name, value in content.items()}


def _entity_data(entity: ObservedEntity) -> JsonObject:
    return {
        "name": entity.name,
        "fill": role_color(entity.role),
        "shape": entity.shape,
        "x": entity.x,
        "y": entity.y,
        "visible_above": entity.visible_above,
        "alpha_index": entity.opacity_index,
        "text_index": entity.text_index,
    }

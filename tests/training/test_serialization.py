"""Conversion of configurations to JSON and back, and refusal of other values."""

import json
from typing import Any, Literal

import pytest

from syntony.channels.registry import channel
from syntony.config import field, pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.tasks.registry import task
from syntony.tasks.task import Task
from syntony.training.serialization import deserialize, serialize


@pytree_dataclass
class Part:
    rate: float = 0.1
    kind: Literal["a", "b"] = field("a", static=True)


@pytree_dataclass
class Other:
    size: int = field(2, static=True)


@pytree_dataclass
class Whole:
    task: Task
    part: Part = Part()
    either: Part | Other = Other()
    turns: tuple[int, int] = field((1, 2), static=True)
    widths: tuple[float, ...] = field((), static=True)
    name: str = field("x", static=True)
    on: bool = field(True, static=True)
    limit: float | None = None


WHOLE = Whole(task=task("Foraging-2s-8x8-3p-2f-coop?penalty=0.1"))


def test_a_configuration_is_restored_from_json():
    changed = Whole(
        task=WHOLE.task,
        part=Part(rate=1e-7, kind="b"),
        either=Part(),
        turns=(3, 4),
        widths=(0.1, 1 / 3),
        on=False,
        limit=2.0,
    )
    for whole in (WHOLE, changed):
        assert deserialize(Whole, json.loads(json.dumps(serialize(whole)))) == whole


def test_a_task_is_stored_with_id_and_fields():
    encoded: Any = serialize(WHOLE)["task"]
    assert encoded["id"] == "Foraging-2s-8x8-3p-2f-coop?penalty=0.1"
    assert (encoded["players"], encoded["penalty"]) == (3, 0.1)


def test_integers_become_floats_in_float_fields():
    assert serialize(Part(rate=1))["rate"] == 1.0
    decoded = deserialize(Part, {"rate": 1, "kind": "a"})
    assert type(decoded.rate) is float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prt": 1}, r"unknown field of settings 'prt'; did you mean 'part'"),
        ({"part": 1}, r"settings\.part is 1; expected the fields of Part"),
        ({"part": {"rate": "x", "kind": "a"}}, "rate is 'x'; expected a number"),
        ({"part": {"rate": True, "kind": "a"}}, "rate is True; expected a number"),
        ({"part": {"rate": float("nan"), "kind": "a"}}, "expected a finite number"),
        ({"part": {"rate": 0.1, "kind": "c"}}, "unknown .*kind 'c'"),
        ({"turns": [1]}, "turns has 1 values; expected 2"),
        ({"turns": 1}, "turns is 1; expected a list"),
        ({"turns": [1, 2.5]}, r"turns\[1\] is 2.5; expected a whole number"),
        ({"turns": [1, 2**31]}, r"turns\[1\] is 2147483648; expected at most 2,147"),
        ({"name": 1}, "name is 1; expected text"),
        ({"on": 1}, "on is 1; expected true or false"),
        ({"limit": "x"}, "limit is 'x'; expected a number"),
        ({"task": "x"}, "expected a task with its id"),
        ({"task": {"id": "Forging"}}, "unknown task 'Forging'"),
        ({"task": {"id": "Foraging-8x8-3p-2f", "players": 2}}, "not what its id"),
    ],
)
def test_invalid_values_are_refused(change: dict[str, Any], message: str):
    with pytest.raises(InvalidInputError, match=message):
        deserialize(Whole, serialize(WHOLE) | change)


def test_fields_missing_in_an_older_version_have_defaults():
    values: Any = serialize(WHOLE)
    del values["limit"], values["part"]["kind"], values["task"]["time_limit"]
    assert deserialize(Whole, values) == WHOLE


def test_a_missing_field_is_named():
    values: Any = serialize(WHOLE)
    del values["task"]
    with pytest.raises(InvalidInputError, match=r"settings\.task is missing"):
        deserialize(Whole, values)


@pytest.mark.parametrize(
    "id", ["rayleigh?snr_db=inf", "awgn+quantizer?bits=1", "amplifier+isi", "jakes"]
)
def test_any_channel_of_a_link_is_restored_from_its_id(id: str):
    """With or without memory, and without noise, for which JSON has no number."""
    link = Link(channel=channel(id))
    text = json.dumps(serialize(link), allow_nan=False)
    assert deserialize(Link, json.loads(text)).channel == link.channel
    assert json.loads(text)["channel"]["id"] == link.channel.id

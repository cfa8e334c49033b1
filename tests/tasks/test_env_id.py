"""Ids of other libraries' environments."""

import re

import pytest

from syntony.errors import InvalidInputError
from syntony.tasks.env_id import parse_env_id

EXAMPLES = {"pettingzoo": "pettingzoo:mpe2.simple_spread_v3"}


def test_parameter_values():
    assert parse_env_id(
        "pettingzoo:m.n?a=1&b=-2.5&c=true&d=None&e=[8,8]&f=x-y&g=1=2", EXAMPLES
    ) == (
        *("pettingzoo", "m.n"),
        {"a": 1, "b": -2.5, "c": True, "d": None, "e": [8, 8], "f": "x-y", "g": "1=2"},
    )


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("petingzoo:m", "unknown kind of task 'petingzoo'; did you mean 'pettingzoo'?"),
        (
            "pettingzoo:?N=3",
            "'pettingzoo:?N=3' is incomplete; expected e.g. pettingzoo:mpe2.simple_s",
        ),
        ("pettingzoo:m?", "'' sets nothing; expected PARAMETER=VALUE"),
        ("pettingzoo:m?N", "'N' sets nothing; expected PARAMETER=VALUE"),
        ("pettingzoo:m?=3", "'=3' sets nothing; expected PARAMETER=VALUE"),
        ("pettingzoo:m?N=3&N=3", "N is given twice in 'pettingzoo:m?N=3&N=3'"),
    ],
)
def test_an_invalid_id_is_reported_in_one_line(id: str, message: str):
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        parse_env_id(id, EXAMPLES)
    assert "\n" not in str(it.value)

"""A number is parsed in the same way wherever a user types it."""

import pytest

from syntony.cli.evaluate import parse_snr_range
from syntony.config import field, pytree_dataclass
from syntony.errors import InvalidInputError
from syntony.identifiers import parse_id
from syntony.number_parsing import parse_number, parse_whole_number


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, 50_000) for text in ("50000", "50_000", "50,000", "5e4", "5E4")),
        ("1,000,000", 1_000_000),
        ("1.5e3", 1500),
        ("+3", 3),
        ("-1,000", -1000),
        ("007", 7),
    ],
)
def test_whole_numbers(text: str, expected: int):
    assert parse_whole_number(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1,5", "0,1,2", "1,00", "1000,000", ",100", "1,", "1,,000"),
        *("1_0", "1_000,000", "_1", "1__000", "1 000", "1.000,0", "1.5", "5.0"),
        *("١", "１", "²", "0x10", "1e-1", "1.5e0", "1e999", "nan", "inf", "--1"),
        *("true", "None", "1\n", "9" * 5000),
    ],
)
def test_what_is_no_whole_number(text: str):
    with pytest.raises(ValueError, match="is not a whole number") as error:
        parse_whole_number(text)
    assert len(str(error.value)) < 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1.0), ("-.5", -0.5), ("1.", 1.0), ("1e-3", 1e-3), ("+2E2", 200.0)],
)
def test_numbers(text: str, expected: float):
    assert parse_number(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "1,5", "1,000", "1_000", "nan", "inf", "-inf", "1e999", "١.٥", "1e", "."],
)
def test_what_is_no_number(text: str):
    with pytest.raises(ValueError, match=r"is not a (finite )?number"):
        parse_number(text)


@pytree_dataclass
class Config:
    size: int = field(1, static=True)
    rate: float = 0.1


@pytest.mark.parametrize(
    ("query", "expected"),
    [("size=1,000", 1000), ("size=1e3", 1000), ("size=-3", -3), ("rate=.5", 0.5)],
)
def test_parameters_of_ids(query: str, expected: float):
    _, values = parse_id(f"x?{query}", Config)
    assert [*values.values()] == [expected]


@pytest.mark.parametrize(
    "query",
    [
        *("size=1,5", "size=", "size=١", "size=2.5", "size=1e99", "rate=1,5"),
        *("rate=nan", "rate=inf", "rate=1e999", "rate=", "size=1&size=2"),
    ],
)
def test_invalid_parameters_of_ids(query: str):
    with pytest.raises(InvalidInputError, match="expected"):
        parse_id(f"x?{query}", Config)


def test_ranges_of_snrs():
    assert parse_snr_range("-1:1e0") == [-1.0, 0.0, 1.0]
    for text in ("1,5", "0,5,10", "", ":", "0:1:0", "nan", "٠:١", "0:1e300:1e-300"):
        with pytest.raises(InvalidInputError, match="expected"):
            parse_snr_range(text)

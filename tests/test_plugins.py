"""Imports of user modules: which installation is suggested, and which is not."""

import pytest

from syntony import plugins
from syntony.errors import InvalidInputError
from syntony.plugins import import_user_module


def error_of(name: str) -> str:
    with pytest.raises(InvalidInputError) as error:
        import_user_module(name)
    return str(error.value)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Modules whose import fails as if they were not installed."""
    names: list[str] = []

    def import_module(name: str):
        del name
        raise ModuleNotFoundError(name=names[0])

    monkeypatch.setattr(plugins, "import_module", import_module)
    return names


@pytest.mark.parametrize("name", ["corridor", "corridor.rooms", "numppy"])
def test_no_installation_of_unknown_modules(name: str):
    """A package of that name may be anyone's."""
    error = error_of(name)
    first = name.partition(".")[0]
    assert error == f"there is no module {first!r} on Python's path or in this folder"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sisl.pursuit_v5", "pettingzoo.sisl.pursuit_v5"),
        ("simple_spread_v3", "mpe2.simple_spread_v3"),
    ],
)
def test_modules_typed_without_their_package(name: str, expected: str):
    pytest.importorskip("pettingzoo")
    assert error_of(name).endswith(f"in this folder; did you mean '{expected}'?")


@pytest.mark.parametrize(
    ("module", "lacks", "expected"),
    [
        ("mpe2.simple_spread_v3", "mpe2", 'pip install "syntony[envs]"'),
        ("lbforaging", "lbforaging", 'pip install "syntony[envs]"'),
        ("gymnasium", "gymnasium", "pip install gymnasium"),
        ("pettingzoo.sisl.x_v1", "pettingzoo", "pip install pettingzoo"),
        ("pettingzoo.sisl.x_v1", "pymunk", 'pip install "pettingzoo[sisl]"'),
        ("pettingzoo.classic.x_v1", "chess", 'pip install "pettingzoo[classic]"'),
    ],
)
def test_installation_of_known_packages(
    module: str, lacks: str, expected: str, missing: list[str]
):
    missing.append(lacks)
    error = f"module {lacks!r} is not installed; to install it: {expected}"
    assert error_of(module) == error


def test_what_a_module_of_ones_own_needs(missing: list[str]):
    missing.append("torchh")
    assert error_of("corridor") == "corridor needs 'torchh', which is not installed"

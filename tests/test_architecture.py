"""The house: imports point one way, and only the ground floor meets the world."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "src" / "syntony"
FILES = sorted(ROOT.rglob("*.py"))

FLOORS = (
    {"errors"},
    {"record"},
    {"naming", "modules"},
    {"optim"},
    {"equations"},
    {"networks"},
    {"tasks", "channels"},
    {"systems"},
    {"run"},
    {"study"},
    {"cli"},
    {"__init__", "__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

WORLDLY_ROOMS = {"run", "study", "cli", "__init__", "__main__"}
WORLDLY_FILES = {"channels/opaque.py", "modules.py"}
WORLDLY_IMPORTS = {
    *("io", "logging", "os", "pathlib", "shutil", "socket", "subprocess", "sys"),
    *("tempfile", "matplotlib", "rich", "tyro"),
}
WORLDLY_CALLS = {"breakpoint", "input", "open", "print"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Yields the dotted names of all modules that a file imports, anywhere in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            assert node.module is not None
            if node.module == "syntony":
                yield from (f"syntony.{alias.name}" for alias in node.names)
            else:
                yield node.module


def may_import(importer: str, imported: str) -> bool:
    """Says whether a room may import from another: from itself, or from above."""
    return importer == imported or FLOOR[imported] < FLOOR[importer]


def test_every_room_has_its_floor():
    assert {room(path) for path in FILES} <= FLOOR.keys()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_imports_point_one_way(path: Path):
    dotted = [module.split(".") for module in imports(ast.parse(path.read_text()))]
    ours = [parts for parts in dotted if parts[0] == "syntony"]
    assert ["syntony"] not in ours, "import the module, not the package's front"
    rooms = {parts[1] for parts in ours}
    assert not {other for other in rooms if not may_import(room(path), other)}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_the_ground_floor_meets_the_world(path: Path):
    if room(path) in WORLDLY_ROOMS or name(path) in WORLDLY_FILES:
        return
    tree = ast.parse(path.read_text())
    assert not {module.split(".")[0] for module in imports(tree)} & WORLDLY_IMPORTS
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not {f.id for f in called if isinstance(f, ast.Name)} & WORLDLY_CALLS


def test_the_rule_itself():
    assert may_import("systems", "equations")
    assert may_import("systems", "systems")
    assert not may_import("equations", "systems")
    assert not may_import("tasks", "channels")

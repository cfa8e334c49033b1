"""Layers: a package imports only from those above it, and few of them do I/O."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "syntony"
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = (
    {"errors"},
    {"config"},
    {"identifiers", "plugins"},
    {"equations"},
    {"networks"},
    {"tasks", "channels"},
    {"systems"},
    {"presets"},
    {"training"},
    {"evaluation"},
    {"visualization"},
    {"comparison"},
    {"report"},
    {"cli"},
    {"__init__", "__main__"},
)
LAYER = {
    package: layer for layer, packages in enumerate(LAYERS) for package in packages
}

IO_PACKAGES = {"training", "visualization", "comparison", "report", "cli"}
IO_PACKAGES |= {"__init__", "__main__"}
IO_FILES = {"channels/black_box.py", "plugins.py"}
# Paths of run folders, which `training` reads.
IO_FILES |= {"evaluation/learning_curves.py", "evaluation/stored_run.py"}
IO_FOLDERS = ("tasks/external/",)
IO_MODULES = {
    *("io", "logging", "os", "pathlib", "shutil", "socket", "subprocess", "sys"),
    *("tempfile", "matplotlib", "rich", "tyro"),
}
IO_CALLS = {"breakpoint", "input", "open", "print"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def package(path: Path) -> str:
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
    """Whether a package may import from another: from itself, or from above."""
    return importer == imported or LAYER[imported] < LAYER[importer]


def wrong_imports(path: Path) -> list[str]:
    """Packages that a file imports and may not."""
    dotted = [module.split(".") for module in imports(ast.parse(path.read_text()))]
    ours = [parts for parts in dotted if parts[0] == "syntony"]
    assert ["syntony"] not in ours, f"{name(path)}: import the module, not syntony"
    packages = {parts[1] for parts in ours}
    return [other for other in packages if not may_import(package(path), other)]


def wrong_io(path: Path) -> list[str]:
    """Modules and functions for I/O that a file uses and may not."""
    if package(path) in IO_PACKAGES or name(path) in IO_FILES:
        return []
    if name(path).startswith(IO_FOLDERS):
        return []
    tree = ast.parse(path.read_text())
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {f.id for f in called if isinstance(f, ast.Name)}
    modules = {module.split(".")[0] for module in imports(tree)}
    return sorted(modules & IO_MODULES | names & IO_CALLS)


def test_every_package_has_its_layer():
    assert {package(path) for path in FILES} <= LAYER.keys()


def test_imports_point_one_way():
    wrong = {name(path): wrong_imports(path) for path in FILES}
    assert not {path: found for path, found in wrong.items() if found}


def test_only_the_outer_layers_do_io():
    wrong = {name(path): wrong_io(path) for path in FILES}
    assert not {path: found for path, found in wrong.items() if found}


def test_the_rule_itself():
    assert may_import("systems", "equations")
    assert may_import("systems", "systems")
    assert not may_import("equations", "systems")
    assert not may_import("tasks", "channels")

"""Layers: a package imports only from those above it, and few of them do I/O.

Capabilities: no code asks for the class of a system, task or channel, except in the
package of that class. It asks for a protocol, which a user's class may have too.
"""

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).parents[1] / "src" / "syntony"
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = (
    {"errors", "jax_settings", "number_parsing", "pytrees", "version"},
    {"config"},
    {"identifiers", "plugins"},
    {"equations"},
    {"networks"},
    {"tasks", "channels"},
    {"systems"},
    {"presets"},
    {"training"},
    {"conformance"},
    {"evaluation"},
    {"visualization"},
    {"studies"},
    {"comparison"},
    {"report"},
    {"cli"},
    {"__init__", "__main__"},
)
LAYER = {
    package: layer for layer, packages in enumerate(LAYERS) for package in packages
}

IO_PACKAGES = {"training", "visualization", "studies", "comparison", "report", "cli"}
IO_PACKAGES |= {"__init__", "__main__"}
IO_FILES = {"channels/black_box.py", "plugins.py"}
# The codebook of a fixed transmitter.
IO_FILES |= {"systems/link/fixed_transmitters.py"}
# A checkpoint in a temporary folder.
IO_FILES |= {"conformance/system.py"}
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


CLASS_PACKAGES = {"systems", "tasks", "channels"}
"""Packages whose concrete classes only their own folder may ask for."""
MEMBERS = (
    ("init", "step", "evaluate", "params"),
    ("reset", "step", "action_mask"),
    ("with_snr", "is_black_box", "differentiable"),
)
"""Members of the class of a system, of a task, and of a channel."""
CLASS_TESTS = {"isinstance", "issubclass"}


def dotted_name(node: ast.expr, names: dict[str, str]) -> str:
    """Dotted name of an expression, with imported names resolved; empty if it is none.

    Args:
        node: the expression.
        names: dotted name of every imported or defined name of the file.
    """
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute):
        parent = dotted_name(node.value, names)
        return f"{parent}.{node.attr}" if parent else ""
    return ""


def known_names(tree: ast.Module, module: str) -> dict[str, str]:
    """Dotted name of every name that a file imports, anywhere in it, or defines."""
    names = {
        node.name: f"{module}.{node.name}"
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.asname or a.name: a.name for a in node.names if a.asname}
    return names


def module_name(path: Path) -> str:
    return ".".join(("syntony", *path.relative_to(ROOT).with_suffix("").parts))


@functools.cache
def concrete_classes() -> dict[str, str]:
    """Folder of every class of a system, task or channel, by its dotted name."""
    return {
        f"{module}.{node.name}": path.parent.relative_to(ROOT).as_posix()
        for path in FILES
        if package(path) in CLASS_PACKAGES
        for module in [module_name(path)]
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and is_concrete(module, node.name)
    }


def is_concrete(module: str, class_name: str) -> bool:
    """Whether a class is a system, task or channel, and no protocol."""
    found = getattr(importlib.import_module(module), class_name)
    is_one = any(all(hasattr(found, m) for m in members) for members in MEMBERS)
    return is_one and Protocol not in found.__bases__


def asked_expressions(tree: ast.Module) -> Iterator[ast.expr]:
    """Yields the classes that a file asks for: in calls, patterns and comparisons."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from node.args[1:2] if node.func.id in CLASS_TESTS else ()
        elif isinstance(node, ast.MatchClass):
            yield node.cls
        elif isinstance(node, ast.Compare):
            yield from (node.left, *node.comparators)


def single_expressions(node: ast.expr, tree: ast.Module) -> Iterator[ast.expr]:
    """Yields the members of tuples, unions, and constants of the file."""
    constants = {
        target.id: x.value
        for x in tree.body
        if isinstance(x, ast.Assign)
        for target in x.targets
        if isinstance(target, ast.Name)
    }
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from single_expressions(element, tree)
    elif isinstance(node, ast.BinOp):
        yield from single_expressions(node.left, tree)
        yield from single_expressions(node.right, tree)
    elif isinstance(node, ast.Name) and node.id in constants:
        yield from single_expressions(constants[node.id], tree)
    else:
        yield node


def class_tests(source: str, module: str, folder: str) -> set[str]:
    """Concrete classes of other folders that a file asks for.

    Args:
        source: text of the file.
        module: its dotted name.
        folder: its folder, relative to the package.
    """
    tree = ast.parse(source)
    names, classes = known_names(tree, module), concrete_classes()
    expressions = (
        single
        for asked in asked_expressions(tree)
        for single in single_expressions(asked, tree)
    )
    found = {dotted_name(expression, names) for expression in expressions}
    return {
        x.rpartition(".")[2] for x in found if x in classes and classes[x] != folder
    }


def test_no_code_asks_for_the_class_of_a_system_task_or_channel():
    wrong = {
        name(path): class_tests(
            path.read_text(),
            module_name(path),
            path.parent.relative_to(ROOT).as_posix(),
        )
        for path in FILES
    }
    assert not {path: found for path, found in wrong.items() if found}


LINK = "syntony.systems.link.link"
PLANTED = {
    "isinstance(x, Link)": f"from {LINK} import Link\nisinstance(x, Link)",
    "renamed": f"from {LINK} import Link as L\nissubclass(x, L)",
    "module": "from syntony.systems.link import link\nisinstance(x, link.Link)",
    "tuple": f"from {LINK} import Link\nisinstance(x, (int, Link))",
    "union": f"from {LINK} import Link\nisinstance(x, int | Link)",
    "constant": f"from {LINK} import Link\nALL = (Link,)\nisinstance(x, ALL)",
    "pattern": f"from {LINK} import Link\nmatch x:\n    case Link():\n        pass",
    "identity": f"from {LINK} import Link\ntype(x) is Link",
    "inner import": f"def f():\n    from {LINK} import Link\n    isinstance(x, Link)",
}
"""Files with a forbidden question, by the form of the question."""


@pytest.mark.parametrize("form", PLANTED)
def test_planted_questions_are_found(form: str):
    assert class_tests(PLANTED[form], "syntony.report.page", "report") == {"Link"}
    assert not class_tests(PLANTED[form], "syntony.systems.link.codes", "systems/link")


def test_protocols_and_other_classes_may_be_asked_for():
    source = (
        "from syntony.systems.system import ActsInEpisodes\n"
        "from syntony.channels.channel import Channel\n"
        "from pathlib import Path\n"
        "isinstance(x, ActsInEpisodes | Channel | Path | int)"
    )
    assert not class_tests(source, "syntony.report.page", "report")
    assert "syntony.tasks.task.Task" not in concrete_classes()
    assert f"{LINK}.Link" in concrete_classes()
    assert "syntony.channels.awgn.AWGN" in concrete_classes()
    assert "syntony.tasks.external.external_env.ExternalEnv" in concrete_classes()


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

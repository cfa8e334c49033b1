"""The house style that a linter cannot hold: short files, short and flat functions.

What makes research code hard to read is not its length but definitions nested in
definitions; the codebases that people praise stay at two.
"""

import ast
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
FILES = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "examples")
    for path in (REPOSITORY / folder).rglob("*.py")
)

FILE_LINES = 400
FUNCTION_LINES = 40
NESTING = 2

Function = ast.FunctionDef | ast.AsyncFunctionDef
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
SILENT |= {tokenize.DEDENT, tokenize.ENDMARKER}


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def code_lines(source: str) -> set[int]:
    """Returns the numbers of the lines that hold code: no comment, blank, docstring."""
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in SILENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return lines - set(docstring_lines(ast.parse(source)))


def docstring_lines(tree: ast.AST) -> Iterator[int]:
    """Yields the lines of strings that stand alone: docstrings, of fields as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            assert node.end_lineno is not None
            yield from range(node.lineno, node.end_lineno + 1)


def length(function: Function, code: set[int]) -> int:
    assert function.end_lineno is not None
    return len(code & set(range(function.lineno, function.end_lineno + 1)))


def nesting(node: ast.AST) -> int:
    """Returns how deep functions are defined within functions."""
    deepest = max(map(nesting, ast.iter_child_nodes(node)), default=0)
    return deepest + isinstance(node, Function)


def untyped(function: Function) -> list[str]:
    """Returns the arguments without a type; `self` and `cls` need none."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    every += [a for a in (function.args.vararg, function.args.kwarg) if a is not None]
    names = [arg.arg for arg in every if arg.annotation is None]
    return [arg for arg in names if arg not in ("self", "cls")]


@pytest.mark.parametrize("path", FILES, ids=name)
def test_file_is_short(path: Path):
    assert len(path.read_text().splitlines()) <= FILE_LINES


@pytest.mark.parametrize("path", FILES, ids=name)
def test_functions_are_short_and_flat(path: Path):
    source = path.read_text()
    tree, code = ast.parse(source), code_lines(source)
    assert nesting(tree) <= NESTING
    lengths = {f"{f.name}:{f.lineno}": length(f, code) for f in functions(tree)}
    assert not {f: n for f, n in lengths.items() if n > FUNCTION_LINES}


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_arguments_are_typed(path: Path):
    tree = ast.parse(path.read_text())
    missing = {f"{f.name}:{f.lineno}": untyped(f) for f in functions(tree)}
    assert not {f: arguments for f, arguments in missing.items() if arguments}


SPECIMEN = '''
def outer(x, y: int):
    """Not counted,
    nor this line."""

    # Nor this one.
    def inner():
        return (
            x
        )
    return inner
'''


def test_the_measures_themselves():
    tree = ast.parse(SPECIMEN)
    outer, inner = functions(tree)
    assert nesting(tree) == 2
    assert length(outer, code_lines(SPECIMEN)) == 6
    assert length(inner, code_lines(SPECIMEN)) == 4
    assert untyped(outer) == ["x"]

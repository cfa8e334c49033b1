"""Style that the linter cannot check: short and flat functions, docstrings.

A limit of 750 lines asks whether a file is one idea; it is no reason to split one.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SOURCES = sorted((REPOSITORY / "src").rglob("*.py"))
FILES = sorted(
    path
    for folder in ("src", "tests", "benchmarks", "examples")
    for path in (REPOSITORY / folder).rglob("*.py")
)

FILE_LINES = 750
ANY_LINES = 13
FUNCTION_LINES = 40
POOR_STARTS = ("Returns the ", "Returns a ", "Returns what ", "What ", "Who ")
NESTING = 2
FOREIGN = re.compile(
    r"\b[A-K]\.\d+\b|\b[Ii]ssue #?\d|(?<![/\w])(?:design|house|reference)(?:\.md|/)"
)
"""Citations of documents that are not in the repository, e.g. a section letter."""

Function = ast.FunctionDef | ast.AsyncFunctionDef
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT}
SILENT |= {tokenize.DEDENT, tokenize.ENDMARKER}


def name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def code_lines(source: str) -> set[int]:
    """Numbers of the lines with code: no comment, blank line or docstring."""
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
    """Depth of function definitions within functions."""
    deepest = max(map(nesting, ast.iter_child_nodes(node)), default=0)
    return deepest + isinstance(node, Function)


def untyped(function: Function) -> list[str]:
    """Arguments without a type; `self` and `cls` need none."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    every += [a for a in (function.args.vararg, function.args.kwarg) if a is not None]
    names = [arg.arg for arg in every if arg.annotation is None]
    return [arg for arg in names if arg not in ("self", "cls")]


def test_files_are_one_idea():
    lines = {name(path): len(path.read_text().splitlines()) for path in FILES}
    assert not {path: n for path, n in lines.items() if n > FILE_LINES}


def test_functions_are_short_and_flat():
    wrong = {}
    for path in FILES:
        source = path.read_text()
        tree, code = ast.parse(source), code_lines(source)
        for function in functions(tree):
            if (n := length(function, code)) > FUNCTION_LINES:
                wrong[f"{name(path)}:{function.lineno} {function.name}"] = n
        if nesting(tree) > NESTING:
            wrong[name(path)] = "functions in functions in functions"
    assert not wrong


def test_arguments_are_typed():
    missing = {}
    for path in SOURCES:
        for f in functions(ast.parse(path.read_text())):
            if arguments := untyped(f):
                missing[f"{name(path)}:{f.lineno} {f.name}"] = arguments
    assert not missing


def any_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines where `Any` stands, but for imports."""
    names = (node for node in ast.walk(tree) if isinstance(node, ast.Name))
    return {node.lineno for node in names if node.id == "Any"}


def unexplained(source: str) -> set[int]:
    """Numbers of the lines with `Any` without a comment there or on the line above."""
    lines = ["", *source.splitlines()]
    return {
        number
        for number in any_lines(ast.parse(source))
        if "#" not in lines[number] and not lines[number - 1].lstrip().startswith("#")
    }


def test_every_any_has_its_reason():
    wrong = {name(path): unexplained(path.read_text()) for path in SOURCES}
    assert not {path: lines for path, lines in wrong.items() if lines}


def test_few_types_are_any():
    trees = {name(path): ast.parse(path.read_text()) for path in SOURCES}
    lines = {path: len(any_lines(tree)) for path, tree in trees.items()}
    assert sum(lines.values()) <= ANY_LINES, {p: n for p, n in lines.items() if n}


def test_first_lines_say_what_it_is():
    """A docstring begins with a noun or a verb, not with "Returns" or "What"."""
    wrong = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, Function | ast.ClassDef | ast.Module):
                first = (ast.get_docstring(node) or "").partition("\n")[0]
                if first.startswith(POOR_STARTS):
                    wrong.append(f"{name(path)}: {first}")
    assert not wrong


def test_citations_are_of_papers_and_docs():
    wrong = []
    for path in FILES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if FOREIGN.search(line):
                wrong.append(f"{name(path)}:{number} {line.strip()}")
    assert not wrong


SPECIMEN = '''
from typing import Any

def outer(x, y: dict[str, Any]):
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
    assert all(
        map(FOREIGN.search, ("as H" + ".2 (5)", "issue" + " 18", "design" + ".md"))
    )
    assert not any(map(FOREIGN.search, ("eq. 3", "Table 3", "docs/theory/link.md")))
    assert any_lines(tree) == {4}
    assert unexplained(SPECIMEN) == {4}
    assert not unexplained("# Why.\nx: Any\ny: Any  # Why.")

"""Help texts of `syntony` and `syntony train`, printed without importing tyro or JAX.

Importing tyro alone takes longer than the 0.1 s that a help text may take. Its own help
texts come from docstrings, which are no attributes of fields; these texts are read from
the same docstrings, in the source files beside this one.
"""

import ast
import os
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

WIDTH = 80
"""Columns of a help text."""

SYSTEM_SUMMARIES = {
    "smpe": "SMPE²: agents with beliefs about their teammates' observations, and an "
    "intrinsic reward for joint exploration",
    "smpe_official": "SMPE² as its released code computes it, with its deviations "
    "from the paper",
    "maa2c": "advantage actor-critic: recurrent actors, a central critic",
    "mappo": "proximal policy optimization (PPO): recurrent actors, a central critic",
    "ia2c": "advantage actor-critic: critics of their own agent's observations",
    "ippo": "PPO: critics of their own agent's observations",
    "qmix": "action values, mixed into the team's by a monotonic network",
    "vdn": "action values, summed to the team's",
    "link": "a transmitter and a receiver that learn a code over a black-box channel",
    "air": "SMPE² whose agents transmit to each other over a channel, and learn a code",
}
"""Systems and what they are, as `syntony train --help` and `list systems` show them."""
USER_SYSTEM = ("python:MODULE:CLASS", "your own, from Python's path or this folder")
"""Form of the name of a user's own system, and what it is."""

CHECKPOINT_METAVAR = "STEP|best"
TRACEBACK_VARIABLE = "SYNTONY_TRACEBACK"
"""Environment variable; where it is 1, errors are shown with their traceback."""

COMMON_OPTIONS = {
    "task": ("ID", "task; see: syntony list tasks"),
    "channel": ("ID", "channel; see: syntony list channels"),
    "snr-db": ("FLOAT", "signal-to-noise ratio of the training, in dB"),
    "messages": ("INT", "number of messages"),
    "uses": ("INT", "complex channel uses of a block, or of an agent's step"),
    "steps": ("INT", "environment steps, or iterations of a link"),
    "seeds": ("K|A,B,...", "number of seeds, or the seeds"),
    "out": ("DIR", "run folder; the same command continues its run"),
    "preset": ("NAME", "constants; see: syntony list presets"),
    "eval-every": ("INT", "steps between two evaluations"),
    "num-envs": ("INT", "environments side by side"),
    "hidden": ("INT", "width of the networks' layers"),
    "batch-size": ("INT", "blocks of a link, or replayed episodes, in a batch"),
    "learning-rate": ("FLOAT", "learning rate"),
    "actor-lr": ("FLOAT", "learning rate of the actors"),
    "critic-lr": ("FLOAT", "learning rate of the critics"),
    "quiet": ("", "print nothing but errors"),
}
"""Options of `syntony train SYSTEM` that its help text shows first, with metavar and
meaning; those that the system has."""

EXAMPLES = """
examples:
  syntony train smpe --task Foraging-2s-8x8-3p-2f-coop --seeds 2 --out runs/team
  syntony train link --channel awgn --snr-db 10 --out runs/link
  syntony evaluate runs/link --snr-db 0:12:1
"""


def main_help(usages: Mapping[str, str]) -> str:
    """Help text of `syntony`.

    Args:
        usages: for every command its positional arguments.
    """
    rows = [(f"{name} {usage}", _summary(name)) for name, usage in usages.items()]
    rows += [
        ("COMMAND --help", "Prints the options of a command, with units and defaults."),
        ("--version", "Prints the version."),
    ]
    names = ", ".join(SYSTEM_SUMMARIES)
    systems = wrap(f"SYSTEM is one of {names}, or your own, {USER_SYSTEM[0]}.")
    return (
        "usage: syntony COMMAND [OPTIONS]\n\n"
        "Cooperative multi-agent reinforcement learning, and learned communication "
        "links.\n\n"
        f"{_columns(rows, 17)}\n{systems}{EXAMPLES}"
        f"\n{TRACEBACK_VARIABLE}=1 shows the traceback of an error.\n"
    )


def train_help() -> str:
    """Help text of `syntony train`: the systems, and the options of all of them."""
    options = _columns(_options("train", "TrainOptions"), 20)
    options += _columns(_options("train", "StartOptions"), 20)
    options += _columns(_options("train", "ConfigOptions"), 20)
    options += _columns(_options("arguments", "LoggingOptions"), 20)
    return (
        "usage: syntony train SYSTEM [--task ID | --channel ID] [OPTIONS]\n\n"
        + wrap(_docstring(_parse_module("train")))
        + f"\nsystems:\n{_columns([*SYSTEM_SUMMARIES.items(), USER_SYSTEM], 13)}"
        + f"\noptions of all systems:\n{options}"
    )


def common_options(defaults: Mapping[str, str]) -> str:
    """Lines about the options that are used most, one for each.

    Args:
        defaults: default of every option of the command, as text.
    """
    rows = []
    for name, (metavar, text) in COMMON_OPTIONS.items():
        if name in defaults:
            hint = f" ({defaults[name]})" if defaults[name] else ""
            rows.append((f"--{name} {metavar}".rstrip(), f"{text}{hint}"))
    return f" common options (default):\n{_columns(rows, 21)}"


def _summary(module: str) -> str:
    """First line of a module's docstring, which is the first line of its file."""
    with open(_path(module), encoding="utf-8") as file:
        return file.readline().strip('"\n')


def _parse_module(module: str) -> ast.Module:
    with open(_path(module), encoding="utf-8") as file:
        return ast.parse(file.read())


def _path(module: str) -> str:
    return os.path.join(os.path.dirname(__file__), f"{module}.py")


def _docstring(tree: ast.Module) -> str:
    # `ast.get_docstring` would import `inspect`, which takes a quarter of the 0.1 s.
    match tree.body[0]:
        case ast.Expr(ast.Constant(str(text))):
            return text.strip()
    return ""


def _options(module: str, class_name: str) -> Iterator[tuple[str, str]]:
    """Yields flag with metavar, and docstring with default, of a dataclass's fields."""
    classes = (x for x in _parse_module(module).body if isinstance(x, ast.ClassDef))
    (body,) = (x.body for x in classes if x.name == class_name)
    for name, field, text in documented_fields(body):
        # `from_` is the flag --from: a keyword of Python is no field.
        option = name.rstrip("_").replace("_", "-")
        flag = f"--{option} {_metavar(field.annotation)}".rstrip()
        yield flag, f"{text} {_default(field.annotation, field.value)}"


def documented_fields(
    body: Sequence[ast.stmt],
) -> Iterator[tuple[str, ast.AnnAssign, str]]:
    """Yields name, statement and docstring of each field in the body of a class."""
    for field, docstring in pairwise(body):
        match field, docstring:
            case ast.AnnAssign(ast.Name(name)), ast.Expr(ast.Constant(str(text))):
                yield name, field, " ".join(text.split())


def _metavar(hint: ast.expr) -> str:
    source = ast.unparse(hint)
    if source == "CheckpointFlag":
        return CHECKPOINT_METAVAR
    if given := re.search(r"metavar='([^']+)'", source):
        return given[1]
    return "" if source == "BoolFlag" else source.partition(" ")[0].upper()


def _default(hint: ast.expr, default: ast.expr | None) -> str:
    if given := re.search(r"help_behavior_hint='([^']+)'", ast.unparse(hint)):
        return given[1]
    text = "that of the system" if default is None else ast.unparse(default)
    return f"(default: {text})"


def _columns(rows: Iterable[tuple[str, str]], width: int) -> str:
    """Lines of a name and a wrapped text each, the text after `width` characters."""
    indent = " " * (width + 4)
    return "".join(
        textwrap.fill(
            text,
            WIDTH,
            initial_indent=f"  {name:{width}}  ",
            subsequent_indent=indent,
        )
        + "\n"
        for name, text in rows
    )


def wrap(text: str, indent: str = "") -> str:
    """Paragraphs wrapped to the width of help texts."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n".join(
        textwrap.fill(x, WIDTH, initial_indent=indent, subsequent_indent=indent) + "\n"
        for x in paragraphs
    )

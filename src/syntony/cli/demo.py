"""`syntony demo`: a small team learns, and shows what it has learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import parse


@dataclass(frozen=True)
class Demo:
    """Trains two agents for a few minutes, measures them, and draws what they do."""

    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "runs/demo"
    """The run folder."""


def run(words: list[str]) -> None:
    """Runs the demonstration."""
    asked = parse(Demo, words, prog="syntony demo")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.study.demo import demo

    remember_programs()
    demo(Path(asked.out))

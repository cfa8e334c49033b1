"""`syntony demo`: a link and a small team learn, and show what they have learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import parse


@dataclass(frozen=True)
class Demo:
    """Trains a link and a small team for minutes, measures both, and draws them."""

    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "runs/demo"
    """The folder of both runs."""


def run(words: list[str]) -> None:
    """Runs the demonstration."""
    asked = parse(Demo, words, prog="syntony demo")
    # Late: --help need not wait for JAX.
    from syntony.run.devices import remember_programs
    from syntony.study.demo import demo

    remember_programs()
    demo(Path(asked.out))

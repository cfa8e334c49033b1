"""`syntony demo`: a link and a small team learn, and show what they have learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.flags import parse_args


@dataclass(frozen=True)
class DemoArgs:
    """Trains a link and a small team for minutes, measures both, and draws them."""

    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "runs/demo"
    """The folder of both runs."""


def run(argv: list[str]) -> None:
    """Runs the demonstration."""
    asked = parse_args(DemoArgs, argv, prog="syntony demo")
    # Late: --help need not wait for JAX.
    from syntony.cli.demos.demo import run_demo
    from syntony.training.devices import enable_compilation_cache

    enable_compilation_cache()
    run_demo(Path(asked.out))

"""Trains a link and a small team in a few minutes, evaluates and draws both."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Demo:
    """Arguments of `syntony demo`."""

    out: Annotated[str, tyro.conf.arg(metavar="DIR")] = "runs/demo"
    """Folder of both runs."""

    def execute(self) -> None:
        """Runs the demonstration."""
        # Imported late: --help need not wait for JAX.
        from syntony.cli.demos.demo import run_demo
        from syntony.training.devices import enable_compilation_cache

        enable_compilation_cache()
        run_demo(Path(self.out))

"""Runs a study: many trainings that one TOML file describes.

The same command does what is missing: trials that failed, were interrupted, or are new
in the file. Trials are run folders in the folder of the study, of which `watch`,
`compare` and `report` take the whole. Ctrl-C saves all of them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from syntony.cli.arguments import BoolFlag
from syntony.errors import InvalidInputError


@dataclass(frozen=True)
class Sweep:
    """Arguments of `syntony sweep`."""

    file: Annotated[
        str | None,
        tyro.conf.Positional,
        tyro.conf.arg(metavar="FILE", help_behavior_hint=""),
    ] = None
    """TOML file of the study, or the name of one that comes with Syntony."""
    out: Annotated[
        str | None,
        tyro.conf.arg(metavar="DIR", help_behavior_hint="(default: runs/NAME of FILE)"),
    ] = None
    """Folder of the study."""
    engine: Annotated[str, tyro.conf.arg(metavar="NAME")] = "local"
    """local (processes of this machine), ray, slurm, or python:MODULE:CLASS."""
    workers: Annotated[
        int | None,
        tyro.conf.arg(metavar="INT", help_behavior_hint="(default: by the cores)"),
    ] = None
    """Trials at a time."""
    cores: int = 1
    """CPU cores of a trial."""
    gpus: int = 0
    """GPUs of a trial."""
    address: Annotated[
        str | None,
        tyro.conf.arg(metavar="HOST:PORT", help_behavior_hint="(default: none)"),
    ] = None
    """Ray: address of a cluster, or auto; without, one is started on this machine."""
    minutes: int = 60
    """SLURM: time limit of a job; a trial goes on in the next one."""
    partition: Annotated[
        str | None, tyro.conf.arg(metavar="NAME", help_behavior_hint="(default: none)")
    ] = None
    """SLURM: partition."""
    plan: BoolFlag = False
    """Print the trials, their budget and how long they take here; run nothing."""
    list: BoolFlag = False
    """Print the studies that come with Syntony."""
    quiet: BoolFlag = False
    """Print nothing but errors."""

    def execute(self) -> None:
        """Runs the study."""
        # Imported late: --help need not wait for JAX.
        from syntony.cli.run_study import print_plan, sweep
        from syntony.studies.shipped import shipped_studies, study_path

        if self.list:
            for name, summary in shipped_studies().items():
                print(f"{name:16}  {summary}")
            return
        if self.file is None:
            raise InvalidInputError(
                "sweep what? expected the TOML file of a study; those that come with "
                "Syntony: syntony sweep --list"
            )
        path = study_path(self.file)
        if self.plan:
            print_plan(path, workers=self.workers, cores=self.cores)
            return
        sweep(
            path,
            out=Path("runs", path.stem) if self.out is None else self.out,
            engine=self.engine,
            workers=self.workers,
            cores=self.cores,
            gpus=self.gpus,
            address=self.address,
            minutes=self.minutes,
            partition=self.partition,
            quiet=self.quiet,
        )

"""Trains one trial of a study: `syntony train`, in a process that an engine starts.

It ends, with its state saved, when its standard input is closed: also when the process
that started it was killed.
"""

import os
import signal
import sys
import threading

from syntony.cli.main import main
from syntony.studies.processes import CORES_VARIABLE


def run_trial(arguments: list[str]) -> int:
    """Trains; returns the exit code.

    Args:
        arguments: of `syntony train`.
    """
    if cores := os.environ.get(CORES_VARIABLE):
        os.sched_setaffinity(0, map(int, cores.split(",")))
    threading.Thread(target=_stop_with_input, daemon=True).start()
    return main(["train", *arguments])


def _stop_with_input() -> None:
    """Sends this process a signal, as Ctrl-C does, when its input is closed."""
    while os.read(sys.stdin.fileno(), 1024):
        continue
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(run_trial(sys.argv[1:]))

"""Trust in runs from elsewhere: the question whether their code may be used."""

import sys
from collections.abc import Iterable

from syntony.errors import InvalidInputError, UntrustedCodeError, visible


def ask_trust(runs: Iterable[str], *, trust: bool) -> bool:
    """Whether the code that runs name is used: the flag, or an answer on a terminal.

    Without a terminal nothing is asked.

    Args:
        runs: run folders.
        trust: whether the user gave `--trust`.
    """
    if trust or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return trust
    # Imported late: --help need not wait for JAX.
    from syntony.training.run_folder import open_run_folder
    from syntony.training.trust import check_trust

    for run in runs:
        try:
            folder = open_run_folder(run)
            check_trust(folder.path, folder.read_settings(), trust=False)
        except UntrustedCodeError as error:
            print(f"syntony: {visible(str(error))}", file=sys.stderr)
            if not _confirm():
                return False
            trust = True
        except InvalidInputError:
            # The command itself tells what is wrong.
            continue
    return trust


def _confirm() -> bool:
    print("Use this code? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")

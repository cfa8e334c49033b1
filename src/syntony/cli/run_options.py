"""Flags that choose a checkpoint and the seeds of a run."""

import re
from typing import Annotated

import tyro

from syntony.cli.help_text import CHECKPOINT_METAVAR
from syntony.errors import InvalidInputError

CheckpointFlag = Annotated[str, tyro.conf.arg(metavar=CHECKPOINT_METAVAR)]
"""Flag: a checkpoint of each seed."""
SeedsFlag = Annotated[
    str | None, tyro.conf.arg(metavar="A,B,...", help_behavior_hint="(default: all)")
]
"""Flag: some seeds of a run."""
WHOLE_NUMBER = re.compile(r"\d[\d_]*|\d+(\.\d+)?e\d+")


def parse_checkpoint(text: str) -> int | str:
    """Parses `best`, `last` or a step, e.g. `50000`, `50_000` or `5e4`.

    Raises:
        InvalidInputError: the text is none of them.
    """
    if text in ("best", "last"):
        return text
    if not WHOLE_NUMBER.fullmatch(text) or not float(text).is_integer():
        raise InvalidInputError(
            f"--checkpoint: {text!r}; expected best, last or a step, e.g. 50_000"
        )
    return int(float(text))


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Parses seeds that are separated by commas, e.g. `0,2`; empty for None.

    Raises:
        InvalidInputError: the text is no such list.
    """
    if text is None:
        return ()
    if not re.fullmatch(r"\d{1,10}(,\d{1,10})*", text):
        raise InvalidInputError(f"--seeds: {text!r}; expected seeds, e.g. 0 or 0,2")
    return tuple(map(int, text.split(",")))

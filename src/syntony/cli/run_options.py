"""Flags that choose a checkpoint and the seeds of a run."""

import re
from typing import Annotated

import tyro

from syntony.cli.help_text import CHECKPOINT_METAVAR
from syntony.errors import InvalidInputError
from syntony.number_parsing import parse_whole_number, quote

CheckpointFlag = Annotated[str, tyro.conf.arg(metavar=CHECKPOINT_METAVAR)]
"""Flag: a checkpoint of each seed."""
SeedsFlag = Annotated[
    str | None, tyro.conf.arg(metavar="A,B,...", help_behavior_hint="(default: all)")
]
"""Flag: some seeds of a run."""


def parse_checkpoint(text: str) -> int | str:
    """Parses `best`, `last` or a step, e.g. `50000`, `50_000` or `5e4`.

    Raises:
        InvalidInputError: the text is none of them.
    """
    if text in ("best", "last"):
        return text
    try:
        step = parse_whole_number(text)
    except ValueError:
        step = -1
    if step < 0:
        raise InvalidInputError(
            f"--checkpoint: {quote(text)}; expected best, last or a step, e.g. 50_000"
        )
    return step


def parse_seeds(text: str | None) -> tuple[int, ...]:
    """Parses seeds that are separated by commas, e.g. `0,2`; empty for None.

    Raises:
        InvalidInputError: the text is no such list.
    """
    if text is None:
        return ()
    if not re.fullmatch(r"[0-9]{1,10}(,[0-9]{1,10})*", text):
        raise InvalidInputError(
            f"--seeds: {quote(text)}; expected seeds, e.g. 0 or 0,2"
        )
    return tuple(map(int, text.split(",")))

"""Numbers from text, the same rules wherever a user types one: flags, ids, SNR ranges.

A comma or an underscore separates thousands in whole numbers, and nothing else: `1,000`
is one, `1,5` and `0,1,2` are no numbers.
"""

import math
import re

DIGITS = r"[0-9]{1,100}"
"""Of ASCII, where `\\d` also has those of other scripts."""
THOUSANDS = r"[0-9]{1,3}(,[0-9]{3}){1,30}|[0-9]{1,3}(_[0-9]{3}){1,30}"
DECIMAL = rf"[+-]?({DIGITS}\.?[0-9]{{0,100}}|\.{DIGITS})([eE][+-]?[0-9]{{1,5}})?"
MAX_QUOTED_LENGTH = 40
"""Most characters of a text in an error message."""


def parse_whole_number(text: str) -> int:
    """Whole number: `50000`, `50_000`, `50,000` and `5e4` are the same.

    Raises:
        ValueError: the text is none.
    """
    if re.fullmatch(rf"[+-]?({DIGITS}|{THOUSANDS})", text):
        return int(text.replace(",", "").replace("_", ""))
    is_power = re.fullmatch(DECIMAL, text) and "e" in text.lower()
    # An infinite number is no integer.
    if is_power and (number := float(text)).is_integer():
        return int(number)
    raise ValueError(f"{quote(text)} is not a whole number")


def parse_number(text: str) -> float:
    """Finite number; it has a decimal point, and no separators.

    Raises:
        ValueError: the text is none.
    """
    if not re.fullmatch(DECIMAL, text):
        raise ValueError(f"{quote(text)} is not a number")
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{quote(text)} is not a finite number")
    return number


def quote(text: str) -> str:
    """Text as an error message shows it: with quotes, and not at any length."""
    shown = repr(text)
    if len(shown) <= MAX_QUOTED_LENGTH:
        return shown
    return f"{shown[: MAX_QUOTED_LENGTH - 2]}…{shown[0]}"

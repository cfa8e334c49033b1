"""Installed versions of JAX, NumPy and the other requirements, read without importing.

An old NumPy makes JAX fail while it is imported, in words that do not name NumPy.
"""

import re
from collections.abc import Iterator, Sequence
from importlib import metadata

from syntony.errors import InvalidInputError

PACKAGE = "syntony"
CRITICAL = ("jax", "numpy")
"""Requirements that are looked at before a command runs."""
Version = tuple[int, ...]


def check_versions() -> None:
    """Raises InvalidInputError where JAX or NumPy is older than what is required."""
    for problem in version_problems(CRITICAL, upper_bounds=False):
        raise InvalidInputError(problem)


def version_problems(
    names: Sequence[str] = (), *, upper_bounds: bool = True
) -> Iterator[str]:
    """Yields a line for every requirement whose installed version does not fit.

    Args:
        names: packages to look at; by default all that are required.
        upper_bounds: whether versions that are newer than those tested count.
    """
    for requirement in _requirements():
        name = re.split(r"[<>=!~ ]", requirement)[0]
        if names and name not in names:
            continue
        try:
            installed = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield f"{name} is not installed; to install it: pip install '{requirement}'"
            continue
        if not _fits(installed, requirement, upper_bounds=upper_bounds):
            yield (
                f"{name} {installed} is installed; expected {requirement}; to install "
                f"it: pip install '{requirement}'"
            )


def _requirements() -> Sequence[str]:
    """Requirements of this package without extras; none where it is not installed."""
    try:
        return [x for x in metadata.requires(PACKAGE) or [] if "extra ==" not in x]
    except metadata.PackageNotFoundError:
        return []


def _fits(installed: str, requirement: str, *, upper_bounds: bool) -> bool:
    version = _parse(installed)
    bounds = re.findall(r"(>=|<)([0-9.]+)", requirement)
    lows = [_parse(text) for sign, text in bounds if sign == ">="]
    highs = [_parse(text) for sign, text in bounds if sign == "<" and upper_bounds]
    return all(version >= low for low in lows) and all(version < x for x in highs)


def _parse(text: str) -> Version:
    """Numbers of a version; those of a development version are of the one before."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", text)
    return tuple(map(int, match[0].split("."))) if match else ()

"""Studies that come with the package: those of the papers."""

from pathlib import Path

from syntony.errors import InvalidInputError, unknown_name_error

FOLDER = Path(__file__).parent / "shipped"
SUFFIX = ".toml"


def shipped_studies() -> dict[str, str]:
    """Name and summary of each study; the summary is the first comment of its file."""
    return {
        path.stem: path.read_text("utf-8").partition("\n")[0].lstrip("# ")
        for path in sorted(FOLDER.glob(f"*{SUFFIX}"))
    }


def study_path(name: str) -> Path:
    """File of a study: the one of this path, or else a shipped one of this name.

    Raises:
        InvalidInputError: there is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    if path.suffix or path.name != name:
        raise InvalidInputError(f"there is no file {name}; expected a TOML file")
    if name not in shipped_studies():
        raise unknown_name_error("study", name, shipped_studies())
    return FOLDER / f"{name}{SUFFIX}"

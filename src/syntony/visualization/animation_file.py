"""File of an animation: what is asked for is validated before any frame is drawn."""

from collections.abc import Callable
from pathlib import Path

from syntony.errors import InvalidInputError
from syntony.training.run import Run, unknown_seed_error
from syntony.visualization import output_files
from syntony.visualization.encoding import Animation, find_encoder

FPS_RANGE = (0.1, 50.0)
"""Frames per second, lowest and highest; GIF players show at most 50."""


def open_animation(
    run: Run, out: Path | None, default_name: str, seed: int, fps: float
) -> tuple[Path, Callable[[Animation], bytes]]:
    """Path of an animation of a run, and the encoder for its ending.

    Args:
        run: the run.
        out: the file; None for one in the run's folder `figures`.
        default_name: name of that file.
        seed: the seed that is shown.
        fps: frames per second.

    Raises:
        InvalidInputError: the run has no such seed, the rate is out of range, the file
            cannot be written, or MP4 lacks its library.
    """
    if seed not in run.seeds:
        raise unknown_seed_error(run.path, seed, run.seeds)
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise InvalidInputError(
            f"fps is {fps:g}; expected {FPS_RANGE[0]:g} to {FPS_RANGE[1]:g}"
        )
    path = run.path / "figures" / default_name if out is None else out
    encode = find_encoder(path)
    if out is None:
        output_files.create_folder(path.parent)
    output_files.validate_output_path(path, "animation", default_name)
    return path, encode

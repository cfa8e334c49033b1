"""Files of animations: GIF and MP4."""

import importlib
import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
from PIL import Image

from syntony.errors import InvalidInputError

PALETTE_SIZE = 64
"""Colors of a GIF, shared by all of its frames."""
NEAR_WHITE_LEVEL = 248
"""The palette has no color with all channels from this level on, except white."""
MP4_OPTIONS = {"crf": "20", "preset": "medium"}
"""Quality and effort of the encoder."""


class Animation(NamedTuple):
    """Frames, and the duration of each in milliseconds."""

    frames: list[Image.Image]
    durations_ms: list[int]


def find_encoder(path: Path) -> Callable[[Animation], bytes]:
    """Encoder for the ending of a file's name.

    Raises:
        InvalidInputError: there is none, or its library is not installed.
    """
    suffix = path.suffix.lower()
    if suffix not in ENCODERS:
        raise InvalidInputError(
            f"{path} is no animation; expected a name such as {path.stem}.gif or "
            f"{path.stem}.mp4"
        )
    if suffix == ".mp4":
        _import_av()
    return ENCODERS[suffix]


def encode_gif(animation: Animation) -> bytes:
    """Encodes a GIF that loops forever; all frames share one palette."""
    palette = _shared_palette(animation.frames)
    frames = [
        frame.quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in animation.frames
    ]
    content = io.BytesIO()
    frames[0].save(
        content,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=animation.durations_ms,
        loop=0,
        # Pixels that do not change are not written again.
        optimize=True,
    )
    return content.getvalue()


def encode_mp4(animation: Animation) -> bytes:
    """Encodes an MP4 with the codec that all browsers and phones play."""
    av = _import_av()
    tick_ms = min(animation.durations_ms)
    content = io.BytesIO()
    with av.open(content, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(1000, tick_ms))
        stream.width, stream.height = _even_size(animation.frames[0])
        stream.pix_fmt, stream.options = "yuv420p", MP4_OPTIONS
        for image, duration in zip(*animation, strict=True):
            padded = Image.new("RGB", (stream.width, stream.height), "white")
            padded.paste(image)
            for _ in range(max(1, round(duration / tick_ms))):
                container.mux(stream.encode(av.VideoFrame.from_image(padded)))
        container.mux(stream.encode())
    return content.getvalue()


def _import_av() -> ModuleType:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise InvalidInputError(
            "MP4 needs the package av, which is not installed; to install it: pip "
            "install 'syntony[video]'; without it, expected a name such as team.gif"
        ) from error


def _even_size(image: Image.Image) -> tuple[int, int]:
    """Width and height, rounded up to even numbers, as the color format needs them."""
    width, height = image.size
    return width + width % 2, height + height % 2


def _shared_palette(frames: Sequence[Image.Image]) -> Image.Image:
    """Palette of the most frequent colors of at most 16 frames; white stays white."""
    sampled = frames[:: max(1, len(frames) // 8)]
    pixels = np.concatenate([np.asarray(f, int).reshape(-1, 3) for f in sampled])
    # One integer per color: np.unique is ten times faster than on rows of three.
    codes, counts = np.unique(pixels @ (1 << 16, 1 << 8, 1), return_counts=True)
    frequent = codes[np.argsort(-counts, kind="stable")]
    colors = frequent[:, None] >> np.array([16, 8, 0]) & 255
    # Without nearly white colors, which white pixels would be mapped to.
    darkest = colors.min(axis=1)
    kept = colors[(darkest == 255) | (darkest < NEAR_WHITE_LEVEL)][:PALETTE_SIZE]
    palette = Image.new("P", (1, 1))
    palette.putpalette(kept.ravel().tolist())
    return palette


ENCODERS = {".gif": encode_gif, ".mp4": encode_mp4}
"""Encoders, by the ending of the file's name."""

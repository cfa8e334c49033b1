"""Canvas of the frames of an animation: a header, a picture and a caption."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from syntony.visualization.style import TextStyle

WIDTH_INCHES, DPI = 3.2, 150
"""Width in inches and pixels per inch: 480 pixels, the width of a phone."""


class FrameCanvas:
    """Canvas of the frames of an animation: a header, a picture and a caption.

    Args:
        aspect: height of the picture relative to its width.
        header: text above every frame.
    """

    def __init__(self, aspect: float, header: str):
        size = WIDTH_INCHES, WIDTH_INCHES * aspect + 0.5
        self._figure = Figure(figsize=size, dpi=DPI)
        self._canvas = FigureCanvasAgg(self._figure)
        self._margin = 0.25 / size[1]
        area = (0.02, self._margin, 0.96, 1 - 2 * self._margin)
        self.axes = self._figure.add_axes(area)
        self._style: TextStyle = {"ha": "center", "va": "center", "fontsize": 7}
        self._figure.text(0.5, 1 - self._margin / 2, header, **self._style)

    def keep_background(self) -> None:
        """Draws what is the same in all frames, once."""
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(self._figure.bbox)

    def draw(
        self, caption: str, add_artists: Callable[[Axes], Sequence[Artist]]
    ) -> Image.Image:
        """Draws a frame.

        Args:
            caption: text below the picture.
            add_artists: adds what is only in this frame.
        """
        self._canvas.restore_region(self._background)
        text = self._figure.text(0.5, self._margin / 2, caption, **self._style)
        _draw_and_remove(self.axes, [*add_artists(self.axes), text])
        pixels = np.asarray(self._canvas.buffer_rgba())[..., :3]
        return Image.fromarray(pixels.copy())


def _draw_and_remove(axes: Axes, artists: Sequence[Artist]) -> None:
    for artist in artists:
        axes.draw_artist(artist)
        artist.remove()

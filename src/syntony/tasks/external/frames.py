"""Images of external environments: what their own `render()` draws."""

import io
from collections.abc import Hashable, Sequence
from typing import cast

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from syntony.errors import InvalidInputError, raising_invalid_input
from syntony.tasks.external.adapter import MultiAgentEnv
from syntony.tasks.external.env_batch import BatchObservation, BatchStep, EnvBatch

RENDER_MODE_PARAMETER = "render_mode"
MAX_SIDE = 640
"""Longest side of a recorded image, in pixels; larger ones are made smaller."""
MAX_IMAGE_BYTES = 1 << 28
"""Largest image that is converted."""


class FrameRecorder:
    """Images of the first steps of episodes, in the order in which they are run.

    Args:
        max_steps: environment steps of an episode that are recorded at most.
    """

    def __init__(self, max_steps: int):
        self.max_steps = max_steps
        self._episodes: list[list[bytes]] = []

    def start_episodes(self, count: int) -> list[list[bytes]]:
        """Lists for the encoded images of the next episodes."""
        started: list[list[bytes]] = [[] for _ in range(count)]
        self._episodes += started
        return started

    def episodes(self) -> list[list[Image.Image]]:
        """Images of each episode: of its start, and after each recorded step."""
        return [
            [Image.open(io.BytesIO(content)) for content in episode]
            for episode in self._episodes
        ]


class RecordedEnvs:
    """Environments of which a recorder gets the images.

    Args:
        batch: the environments, stepped together.
        envs: the same, one by one.
        recorder: gets the images.
    """

    def __init__(
        self, batch: EnvBatch, envs: Sequence[MultiAgentEnv], recorder: FrameRecorder
    ):
        self._batch = batch
        self._envs = envs
        self._recorder = recorder
        self._frames: list[list[bytes]] = []

    @property
    def agent_ids(self) -> Sequence[Hashable]:
        """Names of the agents."""
        return self._batch.agent_ids

    @property
    def time_limit(self) -> int | None:
        """Steps after which an environment ends an episode by itself, if known."""
        return self._batch.time_limit

    def reset(self, seeds: Int[np.ndarray, " E"]) -> BatchObservation:
        """Starts an episode in each environment, and records its first image."""
        observation = self._batch.reset(seeds)
        self._frames = self._recorder.start_episodes(len(seeds))
        self._record(np.ones(len(seeds), bool))
        return observation

    def step(
        self, action: Int[np.ndarray, "E N"], active: Bool[np.ndarray, " E"]
    ) -> BatchStep:
        """Applies the joint actions, and records images of the active environments."""
        result = self._batch.step(action, active)
        self._record(active)
        return result

    def _record(self, active: Bool[np.ndarray, " E"]) -> None:
        for e in map(int, np.flatnonzero(active)):
            if len(self._frames[e]) <= self._recorder.max_steps:
                self._frames[e].append(encode_png(render_image(self._envs[e])))


def render_image(env: MultiAgentEnv) -> Image.Image:
    """Image of an environment's present state, not larger than `MAX_SIDE`.

    Raises:
        InvalidInputError: it has none.
    """
    with raising_invalid_input("its render() raised"):
        drawn = env.render()
    if isinstance(drawn, list):
        # Some libraries return the images since the last call.
        drawn = next(reversed(cast(list[object], drawn)), None)
    image = Image.fromarray(to_rgb(drawn))
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    return image


def to_rgb(drawn: object) -> UInt8[np.ndarray, "H W 3"]:
    """Image as eight bits of red, green and blue.

    Args:
        drawn: array [rows, columns] of gray or [rows, columns, channels] of gray, RGB
            or RGBA: numbers from 0 to 255, or floating-point numbers from 0 to 1.

    Raises:
        InvalidInputError: it is no image.
    """
    pixels = np.asarray(drawn)
    is_number = pixels.dtype.kind in "biuf"
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    is_image = pixels.ndim == 3 and pixels.shape[-1] in (1, 3, 4) and pixels.size
    if not (is_number and is_image and pixels.nbytes <= MAX_IMAGE_BYTES):
        shape = f" of shape {list(pixels.shape)}" if is_number and pixels.ndim else ""
        raise InvalidInputError(
            f"render() gave {type(drawn).__name__}{shape}; expected an image as an "
            "array [rows, columns, 3] of numbers from 0 to 255"
        )
    if pixels.dtype.kind in "bf":
        pixels = np.nan_to_num(pixels.astype(np.float32))
        pixels = pixels * (255.0 if pixels.max() <= 1.0 else 1.0)
    # Transparent pixels are white, as the page is.
    pixels = np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if pixels.shape[-1] == 4:
        alpha = pixels[..., 3:] / 255.0
        return np.rint(pixels[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))


def encode_png(image: Image.Image) -> bytes:
    """Image in little memory: few colors compress well."""
    content = io.BytesIO()
    image.save(content, "PNG", compress_level=1)
    return content.getvalue()

"""Images of external environments, of every kind, and animations of them."""

import io
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import syntony
from syntony.errors import InvalidInputError
from syntony.tasks.external.frames import FrameRecorder, to_rgb
from syntony.tasks.rollout import RecordsFrames
from syntony.visualization.encoding import Animation, encode_mp4, find_encoder
from syntony.visualization.gif import draw_images, render_episodes

pytest.importorskip("gymnasium")

BLIND = "pettingzoo:fragile_envs?alone=false&fault=blind"
FRAGILE = "pettingzoo:fragile_envs?alone=false"
RED = (255, 0, 0)


@pytest.mark.parametrize(
    "drawn",
    [
        np.full((2, 3, 3), RED, np.uint8),
        np.full((2, 3, 3), RED, np.int64),
        np.full((2, 3, 3), (1.0, 0.0, 0.0), np.float32),
        np.full((2, 3, 3), (255.0, 0.0, -3.0)),
        np.full((2, 3, 4), (255, 0, 0, 255), np.uint8),
        np.full((2, 3, 3), (True, False, False)),
        np.full((2, 3, 3), RED).tolist(),
    ],
)
def test_images_of_every_type(drawn: Any):
    rgb = to_rgb(drawn)
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.full((2, 3, 3), RED))


def test_gray_and_transparent_images():
    np.testing.assert_array_equal(to_rgb(np.full((2, 3), 7)), np.full((2, 3, 3), 7))
    one = np.full((2, 3, 1), 0.2)
    np.testing.assert_array_equal(to_rgb(one), np.full((2, 3, 3), 51))
    half = np.full((1, 1, 4), (0, 100, 255, 51), np.uint8)
    np.testing.assert_array_equal(to_rgb(half), [[[204, 224, 255]]])


@pytest.mark.parametrize(
    "drawn",
    [None, "text", True, 3, np.zeros(3), np.zeros((0, 3, 3)), np.zeros((2,) * 4)],
)
def test_what_is_no_image(drawn: Any):
    with pytest.raises(InvalidInputError, match=r"render\(\) gave .*; expected an im"):
        to_rgb(drawn)


def test_images_of_several_sizes_have_one_size():
    sizes = (30, 20), (20, 30), (900, 100), (1, 1)
    images = [Image.new("RGB", size, RED) for size in sizes]
    frames = draw_images(images, "header", ["one", "two", "three", "four"])
    assert len({frame.size for frame in frames}) == 1
    for frame, (width, height) in zip(frames, sizes, strict=True):
        rows, columns = np.nonzero((np.asarray(frame) == RED).all(axis=-1))
        drawn = np.ptp(columns) + 1, np.ptp(rows) + 1
        assert drawn[0] / drawn[1] == pytest.approx(width / height, rel=0.03)
        assert max(drawn) > 300


def record(id: str, episodes: int) -> FrameRecorder:
    """Episodes of random play in two copies, of which two steps are recorded."""

    def act(obs: Any, mask: Any, noise: Any, hidden: Any) -> tuple[Any, Any, Any]:
        del obs
        action = np.argmax(np.where(mask, noise, -np.inf), axis=-1)
        return action, np.zeros(action.shape, np.float32), hidden

    task, recorder = syntony.task(id), FrameRecorder(2)
    assert isinstance(task, RecordsFrames)
    recorded = task.recording(recorder)
    recorded.rollout(act, (), jax.random.key(0), episodes=episodes, num_envs=2)
    recorded.close()
    return recorder


def test_a_recorder_gets_the_first_steps_of_every_episode():
    """The gray level of an image is forty times the step; rounds are of two."""
    episodes = record(FRAGILE, episodes=3).episodes()
    levels = [[int(np.asarray(x)[0, 0, 0]) for x in frames] for frames in episodes]
    # The last round has an episode more than was asked for.
    assert levels == [[0, 40, 80]] * 4
    with pytest.raises(InvalidInputError, match=r"^render\(\) gave NoneType; expected"):
        record(BLIND, episodes=1)


@pytest.mark.slow
def test_a_run_is_drawn_by_its_environment(tmp_path: Path):
    """The gray level of an image is forty times the step."""
    config = syntony.ActorCriticConfig(num_envs=2, hidden=4)
    system = syntony.MAA2C(task=syntony.task(FRAGILE), actor_critic=config)
    options: dict[str, Any] = {"eval_every": 6, "eval_episodes": 2}
    run = syntony.train(system, steps=6, out=tmp_path / "run", **options)
    file = render_episodes(run, tmp_path / "x.gif", episodes=3, max_steps=2)
    with Image.open(file) as animation:
        levels = []
        for index in range(getattr(animation, "n_frames", 1)):
            animation.seek(index)
            pixels = np.asarray(animation.convert("RGB"))
            levels.append(int(pixels[len(pixels) // 2, 240, 0]))
    assert levels == [0, 40, 80] * 3


def test_mp4_without_its_library(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InvalidInputError, match=r"pip install 'syntony\[video\]'"):
        find_encoder(Path("team.MP4"))


def test_mp4_shows_every_frame_for_its_duration():
    av = pytest.importorskip("av")
    frames = [Image.new("RGB", (33, 21), (80 * i,) * 3) for i in range(3)]
    content = encode_mp4(Animation(frames, [100, 100, 300]))
    with av.open(io.BytesIO(content)) as container:
        decoded = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert container.duration == pytest.approx(500_000, rel=0.01)
    levels = [round(float(image[10, 10].mean()) / 80) for image in decoded]
    assert levels == [0, 1, 2, 2, 2]
    assert decoded[0].shape == (22, 34, 3)

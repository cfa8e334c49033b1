"""Figures of runs: which are drawn, notes about the others, and animations."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import report_runs
from jaxtyping import Array, Key
from PIL import Image, ImageSequence

import syntony
from syntony.errors import InvalidInputError
from syntony.evaluation.episodes import Episode
from syntony.evaluation.link import evaluate_link
from syntony.tasks.particles.speaker_listener import SpeakerListener
from syntony.training.run_folder import RunFolder
from syntony.training.snapshots import read_history
from syntony.visualization import gif, link_animation, run_figures

# Some tests edit the settings, of which figures warn.
pytestmark = pytest.mark.filterwarnings("ignore:.*settings.json was changed after")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    trainers = {"team": report_runs.team, "link": report_runs.link}
    return {name: Path(train(folder / name)) for name, train in trainers.items()}


def copy_run(run: Path, folder: Path, *without: str) -> Path:
    """Copies a run, without its figures, to be damaged by a test."""
    ignore = shutil.ignore_patterns("figures", *without)
    return Path(shutil.copytree(run, folder, ignore=ignore))


def stems(files: list[Path]) -> set[str]:
    return {file.stem for file in files}


def test_all_figures_of_a_team(runs: dict[str, Path]):
    notes: list[str] = []
    files = run_figures.save_run_figures(runs["team"], ["pdf"], print_fn=notes.append)
    assert stems(files) == {"learning_curve", "losses", "bonus", "episode", "beliefs"}
    assert all(f.read_bytes().startswith(b"%PDF") for f in files)
    assert {f.parent for f in files} == {runs["team"] / "figures"}
    assert notes == []


@pytest.mark.slow
def test_a_users_task_is_drawn_if_it_has_render(tmp_path: Path):
    folder = Path(report_runs.team(tmp_path / "own", task=report_runs.CORRIDOR))
    notes: list[str] = []
    files = run_figures.save_run_figures(folder, ["pdf"], print_fn=notes.append)
    assert {"episode", "beliefs"} <= stems(files)
    assert notes == []
    undrawn = report_runs.team(tmp_path / "x", task=report_runs.UNDRAWN)
    files = run_figures.save_run_figures(Path(undrawn), ["pdf"], print_fn=notes.append)
    assert not {"episode", "beliefs"} & stems(files)
    assert notes == [
        f"{report_runs.UNDRAWN} cannot be drawn: it has no method `render`"
    ]
    assert gif.render_episodes(syntony.load(folder), episodes=1).stat().st_size > 0


@pytest.mark.slow
def test_error_rates_are_drawn_after_an_evaluation(
    runs: dict[str, Path], tmp_path: Path
):
    folder, notes = copy_run(runs["link"], tmp_path / "link"), list[str]()
    always = {"training", "losses", "constellation"}
    assert (
        stems(run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append))
        == always
    )
    assert "error rates over SNR have not been measured yet" in notes.pop()

    run = syntony.load(folder)
    evaluation = evaluate_link(run, [0.0, 6.0], max_blocks=4096)
    run_figures.save_evaluation(run, {**evaluation, "points": evaluation["points"][:1]})
    assert not (folder / run_figures.EVALUATION_FILE).exists(), (
        "a single point is not stored"
    )
    run_figures.save_evaluation(run, evaluation)
    files = run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append)
    assert stems(files) == always | {"bler"}
    assert notes == []

    # An evaluation of other training steps is of another link.
    stored = json.loads((folder / run_figures.EVALUATION_FILE).read_text())
    stored["steps"] = [20, 20]
    (folder / run_figures.EVALUATION_FILE).write_text(json.dumps(stored))
    assert (
        stems(run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append))
        == always
    )
    assert "the error rates are of an earlier training step" in notes.pop()
    for damaged in ("{", "{}", '{"points": [], "steps": []}'):
        (folder / run_figures.EVALUATION_FILE).write_text(damaged)
        with pytest.raises(
            InvalidInputError,
            match=r"evaluation\.json is damaged; run syntony evaluate",
        ):
            run_figures.save_run_figures(folder)


def test_a_run_without_checkpoints_has_only_curves(
    runs: dict[str, Path], tmp_path: Path
):
    folder, notes = copy_run(runs["team"], tmp_path / "half", "*.npz"), list[str]()
    files = run_figures.save_run_figures(folder, ["png"], print_fn=notes.append)
    assert stems(files) == {"learning_curve", "losses", "bonus"}
    assert notes == [f"{folder} has no checkpoint of seed 0 yet"]
    (folder / "metrics.jsonl").write_text("")
    with pytest.raises(
        InvalidInputError, match="cannot be drawn: nothing has been measured"
    ):
        run_figures.save_run_figures(folder)


def test_a_run_of_another_version_has_only_curves(
    runs: dict[str, Path], tmp_path: Path
):
    folder, notes = copy_run(runs["team"], tmp_path / "future"), list[str]()
    settings = json.loads((folder / "settings.json").read_text())
    settings["settings"]["telepathy"] = 1
    (folder / "settings.json").write_text(json.dumps(settings))
    files = run_figures.save_run_figures(folder, ["png"], print_fn=notes.append)
    assert stems(files) == {"learning_curve", "losses", "bonus"}
    assert "telepathy" in notes[0]


def test_unwritable_folders_are_reported(runs: dict[str, Path], tmp_path: Path):
    folder = copy_run(runs["team"], tmp_path / "full")
    (folder / "figures").touch()
    with pytest.raises(InvalidInputError, match=r"full/figures is no folder; exp"):
        run_figures.save_run_figures(folder)
    with pytest.raises(InvalidInputError, match=r"full/figures is no folder; exp"):
        gif.render_episodes(syntony.load(folder))


def test_an_animation_shows_every_step_and_the_last_one_longer(
    runs: dict[str, Path], tmp_path: Path
):
    run = syntony.load(runs["team"])
    file = gif.render_episodes(run, episodes=2, max_steps=4, fps=10.0)
    assert file == run.path / "figures" / "episodes.gif"
    with Image.open(file) as animation:
        assert animation.info["loop"] == 0, "loops forever"
        frames = [
            (frame.info["duration"], np.asarray(frame.convert("RGB")))
            for frame in ImageSequence.Iterator(animation)
        ]
    # Episodes have up to nine steps, of which four are shown; equal frames are merged.
    assert sum(duration for duration, _ in frames) == 2 * (4 * 100 + gif.LAST_FRAME_MS)
    assert all((image[0] == 255).all() for _, image in frames), "a white margin"
    assert file.stat().st_size < 100_000
    again = gif.render_episodes(
        run, tmp_path / "y.gif", episodes=2, max_steps=4, fps=10.0
    )
    assert again.read_bytes() == file.read_bytes()


def test_all_episodes_have_the_same_scale(key: Key[Array, ""]):
    """The listener has the same size in both; in the second one it is far away."""
    task = SpeakerListener()
    state, _ = task.reset(key)
    near: Any = jax.tree.map(lambda x: np.stack([x, x]), state)
    listener = near.listener._replace(position=near.listener.position * 0.0 + 4.0)
    far = near._replace(listener=listener)
    obs, returns = np.zeros((2, 2, task.obs_dim)), np.zeros(2)
    episodes = [Episode(states, obs, returns) for states in (near, far)]

    def sizes(animation: gif.Animation) -> list[int]:
        frames = map(np.asarray, animation.frames)
        return [int((f == (213, 94, 0)).all(axis=-1).sum()) for f in frames]

    animation = gif.animate_episodes(task, episodes, "", 9, 5.0)
    assert animation.durations_ms == [200, gif.LAST_FRAME_MS] * 2
    first, *_, last = sizes(animation)
    assert first == pytest.approx(last, rel=0.1)
    assert sizes(gif.animate_episodes(task, episodes[:1], "", 9, 5.0))[0] > 4 * first


def test_an_animation_shows_symbols_below_the_scene(key: Key[Array, ""]):
    task = SpeakerListener()
    state, _ = task.reset(key)
    states: Any = jax.tree.map(lambda x: np.stack([x, x, x]), state)
    obs, returns = np.zeros((3, 2, task.obs_dim)), np.zeros(3)
    # The listener sends 1, then −1.
    sent = np.zeros((2, 2, 1, 2))
    sent[:, 1, 0, 0] = 1.0, -1.0
    silent = Episode(states, obs, returns)
    sending = silent._replace(sent=sent)
    without = gif.animate_episodes(task, [silent], "", 9, 5.0).frames[0]
    first, second, last = gif.animate_episodes(task, [sending], "", 9, 5.0).frames
    assert first.height > without.height

    def mean_x(image: Image.Image) -> float:
        planes = np.asarray(image)[without.height * 9 // 10 :]
        return float(np.nonzero((planes == (213, 94, 0)).all(axis=-1))[1].mean())

    assert mean_x(first) > mean_x(second) + 10
    # Nothing is sent after the last step: its symbols stay.
    assert mean_x(last) == mean_x(second)


def test_invalid_arguments_of_an_animation(runs: dict[str, Path], tmp_path: Path):
    team, link = syntony.load(runs["team"]), syntony.load(runs["link"])
    half = syntony.load(copy_run(runs["team"], tmp_path / "half", "*.npz"))
    target = tmp_path / "x.gif"
    cases: list[tuple[Any, dict[str, Any], str]] = [
        (link, {}, "is a link, which has no team to render; expected a team's run"),
        (half, {}, "has no checkpoint of seed 0 yet"),
        (
            team,
            {"out": tmp_path / "x.avi"},
            r"no animation; expected .* x\.gif or x\.mp",
        ),
        (team, {"out": tmp_path / "x"}, "is no animation"),
        (team, {"out": tmp_path / "no" / "x.gif"}, "there is no folder"),
        (team, {"seed": 7}, "has no seed 7; expected 0"),
        (team, {"episodes": 0}, "episodes is 0; expected 1 to 100"),
        (team, {"max_steps": 0}, "max_steps is 0; expected at least 1"),
        (team, {"fps": 0.0}, "fps is 0; expected 0.1 to 50"),
        (team, {"fps": float("nan")}, "fps is nan; expected"),
    ]
    for run, args, expected in cases:
        with pytest.raises(InvalidInputError, match=expected) as raised:
            gif.render_episodes(run, args.pop("out", target), **args)
        assert "\n" not in str(raised.value)
    target.mkdir()
    with pytest.raises(InvalidInputError, match="is a folder; expected a file"):
        gif.render_episodes(team, target)


def test_a_task_without_a_picture_is_not_drawn(runs: dict[str, Path]):
    from syntony.tasks.external.external_env import ShapeOnlyTask

    team: Any = syntony.load(runs["team"])
    task: Any = ShapeOnlyTask(
        id="pettingzoo:x", num_agents=2, num_actions=6, obs_dim=9, time_limit=3
    )
    system = dataclasses.replace(team.system, task=task)
    run = dataclasses.replace(
        team, config=dataclasses.replace(team.config, system=system)
    )
    with pytest.raises(InvalidInputError, match="pettingzoo:x cannot be drawn; expect"):
        gif.render_episodes(run)


def test_the_training_of_a_link_is_rendered(runs: dict[str, Path], tmp_path: Path):
    link = syntony.load(runs["link"])
    file = link_animation.render_training(link, fps=20.0)
    assert file == runs["link"] / "figures" / "training.gif"
    history = read_history(RunFolder(runs["link"]), 0)
    assert history is not None
    with Image.open(file) as image:
        assert getattr(image, "n_frames", 1) == len(history.step)
        assert image.info["duration"] == 50
    again = link_animation.render_training(link, tmp_path / "x.gif", fps=20.0)
    assert again.read_bytes() == file.read_bytes()
    with pytest.raises(InvalidInputError, match=r"fps is 99; expected 0\.1 to 50"):
        link_animation.render_training(link, fps=99.0)
    team = syntony.load(runs["team"])
    with pytest.raises(InvalidInputError, match="holds no snapshots of a constell"):
        link_animation.render_training(team)
    bare = copy_run(runs["link"], tmp_path / "bare", "history")
    with pytest.raises(InvalidInputError, match="bare holds no snapshots of a const"):
        link_animation.render_training(syntony.load(bare))


@pytest.mark.parametrize(("uses", "size"), [(1, (480, 555)), (2, (480, 315))])
def test_frames_of_a_training_show_where_symbols_are(uses: int, size: tuple[int, int]):
    books = np.stack([np.full((2, uses), 0.5 + 0.5j), np.full((2, uses), -0.5 - 0.5j)])
    books[:, 1] = -books[:, 0]
    training = link_animation.TrainedConstellation(
        "two messages", "iterations", np.array([0, 10]), books, {0: 0.5}
    )
    first, last = link_animation.draw_training(training, [0, 1])
    assert first.size == size

    def center(image: Image.Image) -> tuple[float, float]:
        pixels = (np.asarray(image) == (0, 114, 178)).all(axis=-1)
        y, x = (
            axis.mean()
            for axis in np.nonzero(pixels[: size[1] - 40, : size[0] // uses])
        )
        return float(x), float(y)

    (x_first, y_first), (x_last, y_last) = center(first), center(last)
    assert x_first > x_last + 50
    assert y_first < y_last - 50

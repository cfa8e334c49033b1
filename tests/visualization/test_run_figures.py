"""Pictures of runs: which there are, what is said of others, what a film shows."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import report_runs as trained
from jaxtyping import Array, Key
from PIL import Image, ImageSequence

import syntony
from syntony.errors import InvalidInputError
from syntony.evaluation.episodes import Episode
from syntony.evaluation.link import evaluate_link
from syntony.tasks.particles.speaker_listener import SpeakerListener
from syntony.visualization import gif, run_figures


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    names = {"team": trained.team, "link": trained.link}
    return {name: Path(train(folder / name)) for name, train in names.items()}


def copied(run: Path, folder: Path, *without: str) -> Path:
    """Returns a copy of a run, without its pictures, that a test may damage."""
    left_out = shutil.ignore_patterns("figures", *without)
    return Path(shutil.copytree(run, folder, ignore=left_out))


def names(files: list[Path]) -> set[str]:
    return {file.stem for file in files}


def test_a_team_is_drawn_whole(runs: dict[str, Path]):
    notes: list[str] = []
    files = run_figures.save_run_figures(runs["team"], ["pdf"], print_fn=notes.append)
    assert names(files) == {"learning_curve", "losses", "bonus", "episode", "beliefs"}
    assert all(f.read_bytes().startswith(b"%PDF") for f in files)
    assert {f.parent for f in files} == {runs["team"] / "figures"}
    assert notes == []


def test_error_rates_are_drawn_once_they_are_measured(
    runs: dict[str, Path], tmp_path: Path
):
    folder, notes = copied(runs["link"], tmp_path / "link"), list[str]()
    always = {"training", "losses", "constellation"}
    assert (
        names(run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append))
        == always
    )
    assert "error rates over SNR were not measured yet" in notes.pop()

    run = syntony.load(folder)
    found = evaluate_link(run, [0.0, 6.0], max_blocks=4096)
    run_figures.save_evaluation(run, found | {"points": found["points"][:1]})
    assert not (folder / run_figures.EVALUATION_FILE).exists(), "one point is no curve"
    run_figures.save_evaluation(run, found)
    drawn = run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append)
    assert names(drawn) == always | {"bler"}
    assert notes == []

    # Had it learned on, the curve would be of another link.
    stored = json.loads((folder / run_figures.EVALUATION_FILE).read_text())
    stored["steps"] = [20, 20]
    (folder / run_figures.EVALUATION_FILE).write_text(json.dumps(stored))
    assert (
        names(run_figures.save_run_figures(folder, ["svg"], print_fn=notes.append))
        == always
    )
    assert "measured before it learned more" in notes.pop()
    for damaged in ("{", "{}", '{"points": [], "steps": []}'):
        (folder / run_figures.EVALUATION_FILE).write_text(damaged)
        with pytest.raises(
            InvalidInputError, match=r"evaluation\.json is damaged; repeat"
        ):
            run_figures.save_run_figures(folder)


def test_of_half_a_run_there_are_curves(runs: dict[str, Path], tmp_path: Path):
    folder, notes = copied(runs["team"], tmp_path / "half", "*.npz"), list[str]()
    files = run_figures.save_run_figures(folder, ["png"], print_fn=notes.append)
    assert names(files) == {"learning_curve", "losses", "bonus"}
    assert notes == [f"{folder} has no checkpoint of seed 0 yet"]
    (folder / "metrics.jsonl").write_text("")
    with pytest.raises(
        InvalidInputError, match="cannot be drawn: nothing has been measured"
    ):
        run_figures.save_run_figures(folder)


def test_of_another_versions_settings_there_are_curves(
    runs: dict[str, Path], tmp_path: Path
):
    folder, notes = copied(runs["team"], tmp_path / "future"), list[str]()
    settings = json.loads((folder / "settings.json").read_text())
    settings["settings"]["telepathy"] = 1
    (folder / "settings.json").write_text(json.dumps(settings))
    files = run_figures.save_run_figures(folder, ["png"], print_fn=notes.append)
    assert names(files) == {"learning_curve", "losses", "bonus"}
    assert "telepathy" in notes[0]


def test_where_nothing_can_be_written(runs: dict[str, Path], tmp_path: Path):
    folder = copied(runs["team"], tmp_path / "full")
    (folder / "figures").touch()
    with pytest.raises(InvalidInputError, match=r"cannot write to .*full/figures: "):
        run_figures.save_run_figures(folder)
    with pytest.raises(InvalidInputError, match=r"cannot write to .*full/figures: "):
        gif.render_episodes(syntony.load(folder))


def test_a_film_shows_every_step_and_lingers_at_the_end(
    runs: dict[str, Path], tmp_path: Path
):
    run = syntony.load(runs["team"])
    file = gif.render_episodes(run, episodes=2, max_steps=4, fps=10.0)
    assert file == run.path / "figures" / "episodes.gif"
    with Image.open(file) as film:
        assert film.info["loop"] == 0, "for ever"
        shown = [
            (frame.info["duration"], np.asarray(frame.convert("RGB")))
            for frame in ImageSequence.Iterator(film)
        ]
    # An episode of nine steps at most, of which four are shown; alike frames are one.
    assert sum(time for time, _ in shown) == 2 * (4 * 100 + gif.LAST_FRAME_MS)
    assert all((picture[0] == 255).all() for _, picture in shown), "a white margin"
    assert file.stat().st_size < 100_000
    again = gif.render_episodes(
        run, tmp_path / "y.gif", episodes=2, max_steps=4, fps=10.0
    )
    assert again.read_bytes() == file.read_bytes()


def test_all_episodes_are_seen_from_as_far_away(key: Key[Array, ""]):
    """The listener is as small in the first as in the second, where it is far off."""
    task = SpeakerListener()
    state, _ = task.reset(key)
    near: Any = jax.tree.map(lambda x: np.stack([x, x]), state)
    body = near.body._replace(position=near.body.position * 0.0 + 4.0)
    far = near._replace(agents=body)
    obs, returns = np.zeros((2, 2, task.obs_dim)), np.zeros(2)
    both = [Episode(states, obs, returns) for states in (near, far)]

    def sizes(film: gif.Animation) -> list[int]:
        frames = map(np.asarray, film.frames)
        return [int((f == (213, 94, 0)).all(axis=-1).sum()) for f in frames]

    film = gif.animate_episodes(task, both, "", 9, 5.0)
    assert film.durations_ms == [200, gif.LAST_FRAME_MS] * 2
    first, *_, last = sizes(film)
    assert first == pytest.approx(last, rel=0.1)
    assert sizes(gif.animate_episodes(task, both[:1], "", 9, 5.0))[0] > 4 * first


def test_bad_films(runs: dict[str, Path], tmp_path: Path):
    team, link = syntony.load(runs["team"]), syntony.load(runs["link"])
    half = syntony.load(copied(runs["team"], tmp_path / "half", "*.npz"))
    there = tmp_path / "x.gif"
    asked: list[tuple[Any, dict[str, Any], str]] = [
        (link, {}, "is a link, which has no team to render; expected a team's run"),
        (half, {}, "has no checkpoint of seed 0 yet"),
        (team, {"out": tmp_path / "x.mp4"}, r"no GIF; expected a name such as x\.gif"),
        (team, {"out": tmp_path / "x"}, "is no GIF"),
        (team, {"out": tmp_path / "no" / "x.gif"}, "there is no folder"),
        (team, {"seed": 7}, "has no seed 7; expected 0 to 0"),
        (team, {"episodes": 0}, "episodes is 0; expected 1 to 100"),
        (team, {"most_steps": 0}, "most_steps is 0; expected at least 1"),
        (team, {"fps": 0.0}, "fps is 0; expected 0.1 to 50"),
        (team, {"fps": float("nan")}, "fps is nan; expected"),
    ]
    for run, words, expected in asked:
        with pytest.raises(InvalidInputError, match=expected) as raised:
            gif.render_episodes(run, words.pop("out", there), **words)
        assert "\n" not in str(raised.value)
    there.mkdir()
    with pytest.raises(InvalidInputError, match="is a folder; expected a file"):
        gif.render_episodes(team, there)


def test_worlds_of_other_libraries_are_not_drawn(runs: dict[str, Path]):
    from syntony.tasks.external.external_env import ShapeOnlyTask

    team: Any = syntony.load(runs["team"])
    world: Any = ShapeOnlyTask(
        id="pettingzoo:x", num_agents=2, num_actions=6, obs_dim=9, time_limit=3
    )
    system = dataclasses.replace(team.system, task=world)
    run = dataclasses.replace(
        team, config=dataclasses.replace(team.config, system=system)
    )
    with pytest.raises(
        InvalidInputError, match="nobody knows how to draw pettingzoo:x; expect"
    ):
        gif.render_episodes(run)

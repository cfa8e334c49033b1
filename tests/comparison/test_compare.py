"""Comparisons of written runs with known results."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from syntony.comparison import tables
from syntony.comparison.compare import Comparison, compare
from syntony.comparison.figures import draw_comparison
from syntony.comparison.groups import group_runs
from syntony.errors import InvalidInputError

TASK = "Foraging-2s-8x8-3p-2f-coop"
Points = Sequence[tuple[int, float]]


def write(
    path: Path,
    curves: Mapping[int, Points],
    *,
    system: str = "ours",
    task: str = TASK,
    metric: str = "eval/return_mean",
    **more: Any,
) -> str:
    """Writes a run folder with one curve per seed; returns its path."""
    path.mkdir(parents=True)
    environment = "channel" if system == "link" else "task"
    config = {"system": system, environment: {"id": task}, "settings": {}} | more
    (path / "settings.json").write_text(json.dumps(config))
    rows = [
        {"step": step, "seed": seed, metric: x, f"{metric}_low": x, f"{metric}_high": x}
        for seed, points in curves.items()
        for step, x in points
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "metrics.jsonl").write_text(text)
    return str(path)


def linear(*finals: float, end: int = 100) -> dict[int, Points]:
    """One seed per final score, with a straight line from zero to it."""
    return {seed: [(0, 0.0), (end, x)] for seed, x in enumerate(finals)}


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Two groups on Foraging; one seed of each learns nothing."""
    good = write(tmp_path / "good", linear(0.0, 0.8, 0.8, 1.0, 0.8), system="good")
    bad = write(tmp_path / "bad", linear(0.0, 0.2, 0.4), system="bad")
    return [good, bad]


def groups_of(comparison: Comparison, task: int = 0) -> dict[str, Any]:
    groups = comparison.results["tasks"][task]["groups"]
    return {group["label"]: group for group in groups}


def speed(group: Mapping[str, Any]) -> tuple[int, float | None]:
    return group["seeds_reached"], group["steps_to_threshold"]


def test_statistics_of_a_group_by_hand(pair: list[str]):
    good = groups_of(compare(pair))["good"]
    # Sorted 0, .8, .8, .8, 1: ⌊5/4⌋ = 1 is left out at each end.
    assert good["iqm"] == pytest.approx(0.8)
    assert good["mean"] == pytest.approx(0.68)
    assert good["median"] == pytest.approx(0.8)
    assert good["optimality_gap"] == pytest.approx(0.32)
    # The mean of a straight line from zero is half of its end.
    assert good["area_under_curve"] == pytest.approx(0.4)
    finals = np.array([0.0, 0.8, 0.8, 1.0, 0.8])
    _, high = stats.ttest_1samp(finals, 0.0).confidence_interval()
    # Returns are from 0 to 1, and this interval is not: that of the logit is.
    assert high > 1
    odds, factor = 0.68 / 0.32, np.exp((high - 0.68) / (0.68 * 0.32))
    ends = [x / (1 + x) for x in (odds / factor, odds * factor)]
    assert [good["mean_low"], good["mean_high"]] == pytest.approx(ends)


def test_steps_to_threshold_by_hand(pair: list[str]):
    """0.9 of 0.8 is 0.72: reached at 90 by three of five, at 72 by one, not by one."""
    task = compare(pair).results["tasks"][0]
    assert task["threshold"] == pytest.approx(0.72)
    good, bad = task["groups"]
    assert speed(good) == (4, pytest.approx(90.0))
    assert speed(bad) == (0, None)
    assert speed(groups_of(compare(pair, threshold=0.4))["bad"]) == (1, None)


def test_eval_window_averages_the_evaluations_in_it(tmp_path: Path):
    points = [(0, 0.0), (50, 9.0), (80, 1.0), (90, 3.0), (110, 7.0)]
    run = write(tmp_path / "run", {0: points})

    def score(at_step: int, window: int) -> float:
        comparison = compare([run], at_step=at_step, eval_window=window)
        return groups_of(comparison)["ours"]["mean"]

    assert score(110, 0) == 7.0
    # The interpolated score at 100 is 5.
    assert [score(100, window) for window in (9, 10, 20, 1000)] == [5, 4, 3, 3.6]
    assert "; means over the last 20)" in tables.to_markdown(
        compare([run], at_step=100, eval_window=20).results
    )
    message = "eval_window is -1; expected 0 steps or more"
    with pytest.raises(InvalidInputError, match=message):
        compare([run], eval_window=-1)


def test_mean_difference_of_two_groups(pair: list[str]):
    results = compare(pair).results
    (difference,) = results["tasks"][0]["probability_of_improvement"]
    assert difference["difference"] == pytest.approx(0.68 - 0.2)
    low, high = difference["difference_low"], difference["difference_high"]
    assert low is not None
    assert high is not None
    assert low < 0.0 < high
    assert "| mean X − mean Y |" in tables.to_markdown(results)


def test_equal_settings_of_two_presets_are_one_group(tmp_path: Path):
    """EPyMARL's constants are those of SMPE²'s paper on Foraging, not in warehouses."""
    for task, groups in ((TASK, 1), ("rware-tiny-2ag-hard", 2)):
        runs = [
            write(
                tmp_path / f"{task}{seed}",
                {seed: [(0, 0.0), (9, 1.0)]},
                system="maa2c",
                task=task,
                preset=preset,
            )
            for seed, preset in enumerate(("paper", "epymarl"))
        ]
        assert len(groups_of(compare(runs))) == groups


def test_probability_of_improvement_by_counting(pair: list[str]):
    """Of 15 pairs the good group wins 12, and the two zeros tie."""
    (improvement,) = compare(pair).results["tasks"][0]["probability_of_improvement"]
    assert (improvement["x"], improvement["y"]) == ("good", "bad")
    assert improvement["probability"] == pytest.approx(12.5 / 15)
    assert improvement["low"] < 12.5 / 15 < improvement["high"] <= 1.0


@pytest.mark.parametrize(("groups", "pairs"), [(20, 190), (21, 20)])
def test_of_many_groups_only_the_best_is_compared(tmp_path: Path, groups, pairs):
    runs = [
        write(tmp_path / f"{i}", linear(0.1, 0.9 if i == 3 else 0.2), system=f"s{i}")
        for i in range(groups)
    ]
    results = compare(runs).results
    found = results["tasks"][0]["probability_of_improvement"]
    assert len(found) == pairs
    is_limited = groups > 20
    assert is_limited == any("only the best one" in x for x in results["notes"])
    if is_limited:
        assert {pair["x"] for pair in found} == {"s3"}


def test_comparison_at_the_last_common_step(tmp_path: Path):
    long = write(tmp_path / "long", linear(1.0, end=200), system="long")
    short = write(tmp_path / "short", linear(0.3, end=50), system="short")
    comparison = compare([long, short])
    (task,) = comparison.results["tasks"]
    assert (task["step"], task["shortest_run"]["run"]) == (50, short)
    assert groups_of(comparison)["long"]["iqm"] == pytest.approx(0.25)
    assert groups_of(compare([long, short], at_step=20))["short"]["iqm"] == 0.12
    assert any(f"{short} has reached step 50" in n for n in comparison.results["notes"])
    message = "at_step is 60, beyond step 50, where seed 0 of"
    with pytest.raises(InvalidInputError, match=message):
        compare([long, short], at_step=60)
    with pytest.raises(InvalidInputError, match="expected more than 0"):
        compare([long, short], at_step=0)


def test_error_rates_are_compared_in_logarithms(tmp_path: Path):
    link = {"system": "link", "task": "awgn", "metric": "eval/bler"}
    size = {"messages": 16, "uses": 4}

    def run(name: str, ends: Sequence[float], **constants: Any) -> str:
        curves = {n: [(0, 1.0), (100, end)] for n, end in enumerate(ends)}
        return write(tmp_path / name, curves, **link, settings=size | constants)

    good, bad = run("good", [1e-4, 1e-4]), run("bad", [1e-2, 0.1])
    comparison = compare([f"good={good}", f"bad={bad}"])
    (task,) = comparison.results["tasks"]
    assert task["task"] == "awgn, 16 messages in 4 uses"
    assert task["lower_is_better"] is True
    # Nine tenths of the way from 1 to 1e-4, in logarithms.
    assert task["threshold"] == pytest.approx(10**-3.6)
    assert task["probability_of_improvement"][0]["probability"] == 1.0
    ours = groups_of(comparison)["good"]
    assert speed(ours) == (2, pytest.approx(90.0))
    assert ours["area_under_curve"] == pytest.approx(1e-2)
    assert ours["optimality_gap"] is None
    assert task["probability_of_improvement"][0]["difference"] is None
    assert "mean X" not in tables.to_markdown(comparison.results)


def test_statistics_over_tasks_by_hand(tmp_path: Path):
    other = "Foraging-2s-12x12-2p-2f-coop"
    runs = [
        write(tmp_path / "a1", linear(0.2, 0.4), system="a"),
        write(tmp_path / "a2", linear(0.6, 1.0, 0.8, 0.6), system="a", task=other),
        write(tmp_path / "b1", linear(0.0, 0.4), system="b"),
        write(tmp_path / "b2", linear(0.5), system="b", task=other),
    ]
    overall = compare(runs).results["overall"]
    assert overall["tasks"] == [TASK, other]
    a, b = overall["groups"]
    # Two seeds are repeated beside four: .2 .2 .4 .4 .6 .6 .8 1, without two each end.
    assert a["iqm"] == pytest.approx(0.5)
    assert a["mean"] == pytest.approx((0.3 + 0.75) / 2)
    assert (a["seeds"], b["seeds"]) == (6, 3)
    (pair,) = overall["probability_of_improvement"]
    # 0.2 is above one of two, 0.4 above one and ties: 2.5 of 4; then 4 of 4.
    assert pair["probability"] == pytest.approx((2.5 / 4 + 1) / 2)


def test_scores_of_other_ranges_are_scaled(tmp_path: Path):
    """A return of 5 of 10 counts as 0.5, beside one of 0.3 of 1."""
    tasks = {"probe-horizon": 5.0, TASK: 0.3}
    runs = [
        write(tmp_path / task, linear(x), system="a", task=task)
        for task, x in tasks.items()
    ]
    results = compare(runs).results
    assert [task["score_range"] for task in results["tasks"]] == [[0, 10], [0, 1]]
    gaps = [task["groups"][0]["optimality_gap"] for task in results["tasks"]]
    assert gaps == pytest.approx([0.5, 0.7])
    assert results["overall"]["groups"][0]["mean"] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("task", "metric", "expected"),
    [
        (TASK, "eval/return_mean", [0, 1]),
        (TASK, "eval/return_mean_greedy", [0, 1]),
        (TASK, "eval/length_mean", None),
        (f"{TASK}?penalty=0.1", "eval/return_mean", None),
        ("SimpleSpread-3", "eval/return_mean", None),
        ("Foraging-of-a-later-version", "eval/return_mean", None),
        ("gymnasium:lbforaging:Foraging-8x8-2p-1f-v3", "eval/return_mean", None),
    ],
)
def test_score_range_is_that_of_a_tasks_return(
    task: str, metric: str, expected: list[float] | None, tmp_path: Path
):
    run = write(tmp_path / "run", linear(0.5), task=task, metric=metric)
    (result,) = compare([run], metric=metric).results["tasks"]
    assert result["score_range"] == expected


def test_a_users_task_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "broken_task.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    run = write(tmp_path / "run", linear(0.5), task="python:broken_task:Maze")
    (result,) = compare([run]).results["tasks"]
    assert result["score_range"] is None
    assert result["groups"][0]["optimality_gap"] is None


def test_scores_without_a_range_are_not_averaged(tmp_path: Path):
    runs = [
        write(tmp_path / f"{s}{t}", linear(-x), system=s, task=t)
        for s, x in (("a", 1.0), ("b", 2.0))
        for t in ("SimpleSpread-3", TASK)
    ]
    overall = compare(runs).results["overall"]
    assert (overall["tasks"], overall["groups"]) == ([], [])
    assert overall["probability_of_improvement"][0]["probability"] == 1.0


def test_another_metric(tmp_path: Path):
    run = write(tmp_path / "run", linear(0.5), metric="eval/length_mean")
    (task,) = compare([run], metric="eval/length_mean").results["tasks"]
    assert task["groups"][0]["mean"] == 0.5
    with pytest.raises(InvalidInputError, match="did you mean 'eval/length_mean'"):
        compare([run], metric="eval/lenght_mean")


def actor_critic(**overrides: Any) -> dict[str, Any]:
    return {"settings": {"actor_critic": overrides}}


def test_labels_contain_the_settings_that_differ(tmp_path: Path):
    plain = write(tmp_path / "plain", linear(0.1), system="maa2c", **actor_critic())
    more = write(tmp_path / "more", {7: [(0, 0.0), (9, 1.0)]}, system="maa2c")
    wide = write(tmp_path / "w", linear(0.2), system="maa2c", **actor_critic(hidden=64))
    tasks, notes = group_runs([plain, more, wide])
    labels = {group.label: len(group.seed_curves) for group in tasks[0].groups}
    assert labels == {"maa2c": 2, "maa2c hidden=64": 1}
    assert notes == []
    # A single group needs no settings in its label; a note has them.
    tasks, notes = group_runs([wide])
    assert [group.label for group in tasks[0].groups] == ["maa2c"]
    assert notes == ["all runs of maa2c have hidden=64, other than their preset"]


def test_long_labels_are_shortened_and_unique(tmp_path: Path):
    base = {"hidden": 1, "n_step": 1, "gamma": 0.5, "clip_eps": 0.5}
    runs = [
        write(
            tmp_path / f"r{n}",
            linear(0.1),
            system="maa2c",
            **actor_critic(**settings),
        )
        for n, settings in enumerate([base, base | {"clip_eps": 0.6}, {}])
    ]
    tasks, _ = group_runs(runs)
    assert [group.label for group in tasks[0].groups] == [
        "maa2c hidden=1 gamma=0.5 n_step=1 +1",
        "maa2c hidden=1 gamma=0.5 n_step=1 +1 (r1)",
        "maa2c",
    ]


def test_group_names_of_the_user(tmp_path: Path):
    one = write(tmp_path / "a=b", linear(0.1), system="maa2c", **actor_critic(hidden=1))
    two = write(tmp_path / "two", {5: [(0, 0.0), (9, 1.0)]}, system="maa2c")
    tasks, notes = group_runs([f"MAA2C, all={two}"])
    assert [group.label for group in tasks[0].groups] == ["MAA2C, all"]
    assert group_runs([one])[0][0].groups[0].seed_curves[0].run == Path(one)
    three = str(Path(one).rename(tmp_path / "one"))
    tasks, notes = group_runs([f"both={three},{two}"])
    assert [len(group.seed_curves) for group in tasks[0].groups] == [2]
    assert notes == ["runs of both differ in actor_critic.hidden"]


def test_incomplete_runs_are_left_out_with_a_note(tmp_path: Path):
    curves = linear(0.5) | {1: [(0, 0.0)]}
    half, new = write(tmp_path / "half", curves), write(tmp_path / "new", {})
    with (tmp_path / "half" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 200, "se')
    comparison = compare([half, new])
    assert [group["seeds"] for group in groups_of(comparison).values()] == [1]
    notes = "\n".join(comparison.results["notes"])
    assert f"left out: seeds 1 of {half}, not evaluated" in notes
    assert f"left out: {new}, not evaluated" in notes
    with pytest.raises(InvalidInputError, match="there is nothing to compare yet"):
        compare([new])


def test_duplicate_runs_and_seeds_are_rejected(tmp_path: Path, pair: list[str]):
    with pytest.raises(InvalidInputError, match="is named twice"):
        compare([*pair, f"{pair[0]}/"])
    copy = write(tmp_path / "copy", linear(0.3), system="good")
    with pytest.raises(InvalidInputError, match="both hold seed 0 of good; expected"):
        compare([*pair, copy])
    assert len(groups_of(compare([f"A={pair[0]}", f"B={copy}"]))) == 2


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ({"system": None}, "system is missing"),
        ({"settings": 3}, "settings is missing"),
        ({"task": 3}, "the task has no id"),
        ({"task": {"id": 3}}, "the task has no id"),
    ],
)
def test_invalid_settings(tmp_path: Path, damage: dict[str, Any], expected: str):
    run = write(tmp_path / "run", linear(0.1))
    path = Path(run, "settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InvalidInputError, match=expected):
        compare([run])


def test_reported_score_of_the_paper(tmp_path: Path):
    run = write(tmp_path / "run", linear(0.4, end=2_500_000), system="maa2c")
    (group,) = groups_of(compare([run])).values()
    # Digitized at 2 and 3 million steps as 0.19 and 0.43.
    assert group["reported"] == pytest.approx(0.31)
    assert group["reported_error"] == 0.02


def test_preset_settings_depend_on_the_task(tmp_path: Path):
    """The paper's SMPE² has no intrinsic reward on particle tasks."""
    no_bonus: dict[str, Any] = {
        "settings": {"exploration": {"intrinsic_reward": False}}
    }
    external = "pettingzoo:mpe2.simple_spread_v3"
    shapes = {"num_agents": 3, "num_actions": 5, "obs_dim": 18, "time_limit": 25}
    for number, task in enumerate(
        [{"id": "SimpleSpread-3"}, {"id": external} | shapes]
    ):
        run = write(tmp_path / str(number), linear(-1.0), system="smpe", **no_bonus)
        path = Path(run, "settings.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"task": task}))
        tasks, notes = group_runs([run])
        assert tasks[0].groups[0].overrides == {}
        assert notes == []
    run = write(tmp_path / "foraging", linear(0.1), system="smpe", **no_bonus)
    assert group_runs([run])[0][0].groups[0].overrides == {
        "exploration.intrinsic_reward": False
    }


def test_written_files(tmp_path: Path, pair: list[str]):
    comparison = compare(pair)
    paths = tables.write_comparison(comparison.results, tmp_path / "out")
    texts = {path.name: path.read_text() for path in paths}
    assert json.loads(texts["comparison.json"]) == comparison.results
    rows = list(csv.DictReader(texts["comparison.csv"].splitlines()))
    assert [(row["label"], float(row["mean"])) for row in rows] == [
        ("good", pytest.approx(0.68)),
        ("bad", pytest.approx(0.2)),
    ]
    (row,) = csv.DictReader(texts["probability_of_improvement.csv"].splitlines())
    assert float(row["probability"]) == pytest.approx(12.5 / 15)
    cells = r"\| good \| 5 \| 0\.800 \[.*\] \| 0\.680 \[.*\] \| 0\.800 \| 0\.320 \|"
    assert re.search(cells, texts["comparison.md"])
    assert "| good | 0.400 [" in texts["comparison.md"]
    assert "| 90 (4 of 5) |" in texts["comparison.md"]
    assert "| not reached (0 of 3) |" in texts["comparison.md"]
    assert texts["comparison.tex"].count(r"\toprule") == 3
    assert r"eval/return\_mean" in texts["comparison.tex"]


def test_special_characters_in_labels(pair: list[str]):
    name = r"50 % | a_b & \c ² #{}"
    results = compare([f"{name}={pair[0]}"]).results
    line = next(x for x in tables.to_markdown(results).splitlines() if "50 %" in x)
    assert line.count("|") - line.count(r"\|") == 7
    escaped = r"50 \% | a\_b \& \textbackslash{}c \textsuperscript{2} \#\{\}"
    assert escaped in tables.to_latex(results)


def test_figures_of_a_comparison(tmp_path: Path):
    runs = [
        write(tmp_path / "a", linear(0.4, 0.6, end=2_000_000), system="maa2c"),
        write(tmp_path / "b", linear(0.2, end=2_000_000), system="other"),
    ]
    drawn = draw_comparison(compare(runs), tmp_path / "out")
    names = [path.name for path in drawn]
    assert names == [
        f"{kind}-{TASK}.{end}"
        for kind in ("curves", "profile")
        for end in ("svg", "png")
    ]
    curves, profile = (path.read_text() for path in drawn[::2])
    for text in ("maa2c (2 seeds)", "other (1 seed)"):
        assert f"<!-- {text} -->" in curves
        assert f"<!-- {text} -->" in profile
    assert "<!-- maa2c, paper (read off its figure) -->" in curves
    again = draw_comparison(compare(runs), tmp_path / "again")
    assert all(
        a.read_bytes() == b.read_bytes() for a, b in zip(drawn, again, strict=True)
    )


def test_more_groups_than_colors(tmp_path: Path):
    runs = [write(tmp_path / f"{n}", linear(n / 9), system=f"s{n}") for n in range(9)]
    names = [path.name for path in draw_comparison(compare(runs), tmp_path / "out")]
    assert f"curves-{TASK}-2.svg" in names

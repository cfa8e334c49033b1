"""Comparisons of runs that are written by hand: every number is known beforehand."""

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
    score: str = "eval/return_mean",
    **more: Any,
) -> str:
    """Writes the folder of a run whose seeds have these curves; returns its path."""
    path.mkdir(parents=True)
    world = "channel" if system == "link" else "task"
    described = {"system": system, world: {"id": task}, "settings": {}} | more
    (path / "settings.json").write_text(json.dumps(described))
    lines = [
        {"step": step, "seed": seed, score: x, f"{score}_low": x, f"{score}_high": x}
        for seed, points in curves.items()
        for step, x in points
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (path / "metrics.jsonl").write_text(text)
    return str(path)


def ramp(*finals: float, end: int = 100) -> dict[int, Points]:
    """Returns a seed for each final score, on a straight line from zero to it."""
    return {seed: [(0, 0.0), (end, x)] for seed, x in enumerate(finals)}


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    """Two groups on Foraging: one learns much, and one of its seeds nothing."""
    good = write(tmp_path / "good", ramp(0.0, 0.8, 0.8, 1.0, 0.8), system="good")
    bad = write(tmp_path / "bad", ramp(0.0, 0.2, 0.4), system="bad")
    return [good, bad]


def groups_of(comparison: Comparison, task: int = 0) -> dict[str, dict[str, Any]]:
    groups = comparison.results["tasks"][task]["groups"]
    return {group["label"]: group for group in groups}


def test_numbers_of_a_group_by_hand(pair: list[str]):
    good = groups_of(compare(pair))["good"]
    # Sorted 0, .8, .8, .8, 1: a fifth of five is one, so one is cut at each end.
    assert good["iqm"] == pytest.approx(0.8)
    assert good["mean"] == pytest.approx(0.68)
    assert good["median"] == pytest.approx(0.8)
    assert good["optimality_gap"] == pytest.approx(0.32)
    # Half of the final score is the mean of a ramp.
    assert good["area"] == pytest.approx(0.4)
    finals = np.array([0.0, 0.8, 0.8, 1.0, 0.8])
    low, high = stats.ttest_1samp(finals, 0.0).confidence_interval()
    assert (good["mean_low"], good["mean_high"]) == pytest.approx((low, high))


def test_steps_to_reach_count_those_that_never_arrive(pair: list[str]):
    """0.9 of 0.8 is 0.72: at 90 for three of five, at 72 for one, never for one."""
    task = compare(pair).results["tasks"][0]
    assert task["reach"] == pytest.approx(0.72)
    good, bad = task["groups"]
    assert (good["reached"], good["steps_to_reach"]) == (4, pytest.approx(90.0))
    assert (bad["reached"], bad["steps_to_reach"]) == (0, None)
    asked = groups_of(compare(pair, threshold=0.4))["bad"]
    assert (asked["reached"], asked["steps_to_reach"]) == (1, None)


def test_a_window_averages_the_evaluations_in_it(tmp_path: Path):
    points = [(0, 0.0), (50, 9.0), (80, 1.0), (90, 3.0), (110, 7.0)]
    run = write(tmp_path / "run", {0: points})

    def score(at: int, window: int) -> float:
        return groups_of(compare([run], at_step=at, eval_window=window))["ours"]["mean"]

    assert score(110, 0) == 7.0
    # Half way from 90 to 110 it is 5.
    assert [score(100, window) for window in (9, 10, 20, 1000)] == [5, 4, 3, 3.6]
    assert "; means over the last 20)" in tables.to_markdown(
        compare([run], at_step=100, eval_window=20).results
    )
    with pytest.raises(
        InvalidInputError, match="window is -1; expected 0 steps or more"
    ):
        compare([run], eval_window=-1)


def test_two_groups_differ_by_so_much(pair: list[str]):
    found = compare(pair).results
    (one,) = found["tasks"][0]["improvement"]
    assert one["difference"] == pytest.approx(0.68 - 0.2)
    assert one["difference_low"] < 0.0 < one["difference_high"]
    assert "| mean X − mean Y |" in tables.to_markdown(found)


def test_a_preset_that_changes_nothing_is_no_other_group(tmp_path: Path):
    """On Foraging EPyMARL's constants are those of SMPE²; in warehouses not."""
    for task, groups in ((TASK, 1), ("rware-tiny-2ag-hard", 2)):
        runs = [
            write(
                tmp_path / f"{task}{seed}",
                {seed: [(0, 0.0), (9, 1.0)]},
                **of,
                task=task,
            )
            for seed, of in enumerate(
                {"system": "maa2c", "preset": name} for name in ("paper", "epymarl")
            )
        ]
        assert len(groups_of(compare(runs))) == groups


def test_probability_of_improvement_by_counting(pair: list[str]):
    """Of 15 pairs the good win 12, and the two zeros tie."""
    (found,) = compare(pair).results["tasks"][0]["improvement"]
    assert (found["x"], found["y"]) == ("good", "bad")
    assert found["probability"] == pytest.approx(12.5 / 15)
    assert found["low"] < 12.5 / 15 < found["high"] <= 1.0


def test_runs_are_compared_where_all_have_come(tmp_path: Path):
    long = write(tmp_path / "long", ramp(1.0, end=200), system="long")
    short = write(tmp_path / "short", ramp(0.3, end=50), system="short")
    found = compare([long, short])
    (task,) = found.results["tasks"]
    assert (task["step"], task["slowest"]["run"]) == (50, short)
    assert groups_of(found)["long"]["iqm"] == pytest.approx(0.25)
    assert groups_of(compare([long, short], at_step=20))["short"]["iqm"] == 0.12
    assert any(f"{short} has come to step 50" in n for n in found.results["notes"])
    with pytest.raises(
        InvalidInputError, match="at is 60, beyond step 50, where seed 0 of"
    ):
        compare([long, short], at_step=60)
    with pytest.raises(InvalidInputError, match="expected more than 0"):
        compare([long, short], at_step=0)


def test_error_rates_are_better_when_lower_and_go_by_factors(tmp_path: Path):
    link = {"system": "link", "task": "awgn", "score": "eval/bler"}
    size = {"messages": 16, "uses": 4}

    def run(name: str, ends: Sequence[float], **constants: Any) -> str:
        curves = {n: [(0, 1.0), (100, end)] for n, end in enumerate(ends)}
        return write(tmp_path / name, curves, **link, settings=size | constants)

    good, bad = run("good", [1e-4, 1e-4]), run("bad", [1e-2, 0.1])
    found = compare([f"good={good}", f"bad={bad}"])
    (task,) = found.results["tasks"]
    assert task["task"] == "awgn, 16 messages in 4 uses"
    assert task["better"] == "lower"
    # Nine tenths of the way from 1 to 1e-4, in logarithms.
    assert task["reach"] == pytest.approx(10**-3.6)
    assert task["improvement"][0]["probability"] == 1.0
    ours = groups_of(found)["good"]
    assert (ours["reached"], ours["steps_to_reach"]) == (2, pytest.approx(90.0))
    assert ours["area"] == pytest.approx(1e-2)
    assert ours["optimality_gap"] is None
    assert task["improvement"][0]["difference"] is None
    assert "mean X" not in tables.to_markdown(found.results)


def test_over_tasks_strata_are_kept_apart(tmp_path: Path):
    other = "Foraging-2s-12x12-2p-2f-coop"
    runs = [
        write(tmp_path / "a1", ramp(0.2, 0.4), system="a"),
        write(tmp_path / "a2", ramp(0.6, 1.0, 0.8, 0.6), system="a", task=other),
        write(tmp_path / "b1", ramp(0.0, 0.4), system="b"),
        write(tmp_path / "b2", ramp(0.5), system="b", task=other),
    ]
    overall = compare(runs).results["overall"]
    assert overall["tasks"] == [TASK, other]
    a, b = overall["groups"]
    # Two seeds count twice beside four: .2 .2 .4 .4 .6 .6 .8 1, two cut at each end.
    assert a["iqm"] == pytest.approx(0.5)
    assert a["mean"] == pytest.approx((0.3 + 0.75) / 2)
    assert (a["seeds"], b["seeds"]) == (6, 3)
    (pair,) = overall["improvement"]
    # 0.2 beats one of two, 0.4 beats one and ties: 2.5 of 4; then 4 of 4.
    assert pair["probability"] == pytest.approx((2.5 / 4 + 1) / 2)


def test_scores_without_a_scale_are_not_averaged(tmp_path: Path):
    runs = [
        write(tmp_path / f"{s}{t}", ramp(-x), system=s, task=t)
        for s, x in (("a", 1.0), ("b", 2.0))
        for t in ("SimpleSpread-3", TASK)
    ]
    overall = compare(runs).results["overall"]
    assert (overall["tasks"], overall["groups"]) == ([], [])
    assert overall["improvement"][0]["probability"] == 1.0


def test_another_score(tmp_path: Path):
    run = write(tmp_path / "run", ramp(0.5), score="eval/length_mean")
    (task,) = compare([run], metric="eval/length_mean").results["tasks"]
    assert task["groups"][0]["mean"] == 0.5
    with pytest.raises(InvalidInputError, match="did you mean 'eval/length_mean'"):
        compare([run], metric="eval/lenght_mean")


def backbone(**changes: Any) -> dict[str, Any]:
    return {"settings": {"backbone": changes}}


def test_groups_are_told_apart_by_what_differs(tmp_path: Path):
    plain = write(tmp_path / "plain", ramp(0.1), system="maa2c", **backbone())
    more = write(tmp_path / "more", {7: [(0, 0.0), (9, 1.0)]}, system="maa2c")
    wide = write(tmp_path / "w", ramp(0.2), system="maa2c", **backbone(hidden=64))
    found, notes = group_runs([plain, more, wide])
    labels = {group.label: len(group.seed_curves) for group in found[0].groups}
    assert labels == {"maa2c": 2, "maa2c hidden=64": 1}
    assert notes == []
    # Alone there is nothing to be told apart from, but something to be said.
    found, notes = group_runs([wide])
    assert [group.label for group in found[0].groups] == ["maa2c"]
    assert notes == ["all runs of maa2c have hidden=64, other than their preset"]


def test_long_labels_are_cut_and_stay_different(tmp_path: Path):
    base = {"hidden": 1, "n_step": 1, "gamma": 0.5, "clip": 0.5}
    runs = [
        write(tmp_path / f"r{n}", ramp(0.1), system="maa2c", **backbone(**each))
        for n, each in enumerate([base, base | {"clip": 0.6}, {}])
    ]
    found, _ = group_runs(runs)
    assert [group.label for group in found[0].groups] == [
        "maa2c hidden=1 gamma=0.5 n_step=1 +1",
        "maa2c hidden=1 gamma=0.5 n_step=1 +1 (r1)",
        "maa2c",
    ]


def test_names_of_the_users_own(tmp_path: Path):
    one = write(tmp_path / "a=b", ramp(0.1), system="maa2c", **backbone(hidden=1))
    two = write(tmp_path / "two", {5: [(0, 0.0), (9, 1.0)]}, system="maa2c")
    found, notes = group_runs([f"MAA2C, all={two}"])
    assert [group.label for group in found[0].groups] == ["MAA2C, all"]
    assert group_runs([one])[0][0].groups[0].seed_curves[0].run == Path(one)
    three = str(Path(one).rename(tmp_path / "one"))
    found, notes = group_runs([f"both={three},{two}"])
    assert [len(group.seed_curves) for group in found[0].groups] == [2]
    assert notes == ["runs of both differ in backbone.hidden"]


def test_half_made_runs_are_named_and_left_out(tmp_path: Path):
    curves = ramp(0.5) | {1: [(0, 0.0)]}
    half, new = write(tmp_path / "half", curves), write(tmp_path / "new", {})
    with (tmp_path / "half" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 200, "se')
    comparison = compare([half, new])
    assert [group["seeds"] for group in groups_of(comparison).values()] == [1]
    said = "\n".join(comparison.results["notes"])
    assert f"left out: seeds 1 of {half}, not measured" in said
    assert f"left out: {new}, not measured" in said
    with pytest.raises(InvalidInputError, match="there is nothing to compare yet"):
        compare([new])


def test_one_experiment_is_never_two(tmp_path: Path, pair: list[str]):
    with pytest.raises(InvalidInputError, match="is named twice"):
        compare([*pair, f"{pair[0]}/"])
    copy = write(tmp_path / "copy", ramp(0.3), system="good")
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
def test_settings_that_make_no_sense(
    tmp_path: Path, damage: dict[str, Any], expected: str
):
    run = write(tmp_path / "run", ramp(0.1))
    path = Path(run, "settings.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | damage))
    with pytest.raises(InvalidInputError, match=expected):
        compare([run])


def test_the_paper_stands_beside_ours(tmp_path: Path):
    run = write(tmp_path / "run", ramp(0.4, end=2_500_000), system="maa2c")
    (group,) = groups_of(compare([run])).values()
    # Read at 2 and 3 million as 0.19 and 0.43.
    assert group["paper"] == pytest.approx(0.31)
    assert group["paper_error"] == 0.02


def test_what_is_usual_depends_on_the_task(tmp_path: Path):
    """On particles the paper's SMPE² has no bonus: leaving it out changes nothing."""
    none: dict[str, Any] = {"settings": {"novelty": {"intrinsic": False}}}
    host = "pettingzoo:mpe2.simple_spread_v3"
    shapes = {"agents": 3, "actions": 5, "obs_size": 18, "time_limit": 25}
    for number, task in enumerate([{"id": "SimpleSpread-3"}, {"id": host} | shapes]):
        run = write(tmp_path / str(number), ramp(-1.0), system="smpe", **none)
        path = Path(run, "settings.json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"task": task}))
        found, notes = group_runs([run])
        assert found[0].groups[0].overrides == {}
        assert notes == []
    run = write(tmp_path / "foraging", ramp(0.1), system="smpe", **none)
    assert group_runs([run])[0][0].groups[0].overrides == {"novelty.intrinsic": False}


def test_files_hold_what_was_found(tmp_path: Path, pair: list[str]):
    comparison = compare(pair)
    paths = tables.write_comparison(comparison.results, tmp_path / "out")
    texts = {path.name: path.read_text() for path in paths}
    assert json.loads(texts["comparison.json"]) == comparison.results
    rows = list(csv.DictReader(texts["comparison.csv"].splitlines()))
    assert [(row["label"], float(row["mean"])) for row in rows] == [
        ("good", pytest.approx(0.68)),
        ("bad", pytest.approx(0.2)),
    ]
    (row,) = csv.DictReader(texts["improvement.csv"].splitlines())
    assert float(row["probability"]) == pytest.approx(12.5 / 15)
    cells = r"\| good \| 5 \| 0\.800 \[.*\] \| 0\.680 \[.*\] \| 0\.800 \| 0\.320 \|"
    assert re.search(cells, texts["comparison.md"])
    assert "| good | 0.400 [" in texts["comparison.md"]
    assert "| 90 (4 of 5) |" in texts["comparison.md"]
    assert "| none arrived (0 of 3) |" in texts["comparison.md"]
    assert texts["comparison.tex"].count(r"\toprule") == 3
    assert r"eval/return\_mean" in texts["comparison.tex"]


def test_names_cannot_break_a_table(pair: list[str]):
    name = r"50 % | a_b & \c ² #{}"
    found = compare([f"{name}={pair[0]}"]).results
    line = next(x for x in tables.to_markdown(found).splitlines() if "50 %" in x)
    assert line.count("|") - line.count(r"\|") == 7
    escaped = r"50 \% | a\_b \& \textbackslash{}c \textsuperscript{2} \#\{\}"
    assert escaped in tables.to_latex(found)


def test_pictures_show_groups_seeds_and_paper(tmp_path: Path):
    runs = [
        write(tmp_path / "a", ramp(0.4, 0.6, end=2_000_000), system="maa2c"),
        write(tmp_path / "b", ramp(0.2, end=2_000_000), system="other"),
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


def test_more_groups_than_colours(tmp_path: Path):
    runs = [write(tmp_path / f"{n}", ramp(n / 9), system=f"s{n}") for n in range(9)]
    names = [path.name for path in draw_comparison(compare(runs), tmp_path / "out")]
    assert f"curves-{TASK}-2.svg" in names

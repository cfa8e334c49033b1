"""Export to marl-eval and CSV, and logs of EPyMARL and JaxMARL as runs."""

import csv
import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from syntony.cli import main
from syntony.comparison.export import to_csv, to_marl_eval
from syntony.comparison.groups import RunGroup, SeedCurve, TaskRuns, group_runs
from syntony.comparison.other_logs import read_other_log
from syntony.errors import InvalidInputError

TASK = "Foraging-2s-8x8-3p-2f-coop"


def curve(seed: int, steps: list[int]) -> SeedCurve:
    x = np.array(steps, float)
    return SeedCurve(Path(f"run{seed}"), seed, x, x / 100 + seed)


GROUPS = [
    RunGroup("smpe", "smpe", {}, [curve(0, [0, 100, 210]), curve(1, [0, 110, 200])]),
    RunGroup("maa2c", "maa2c", {}, [curve(0, [0, 50, 100, 150, 205])]),
]
TASKS = [TaskRuns(TASK, "eval/return_mean", "steps", GROUPS)]


def leaves(value: object, depth: int = 0) -> Iterator[tuple[int, object]]:
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item, depth + 1)
    else:
        yield depth, value


def test_marl_eval_has_as_many_steps_of_every_run():
    exported = json.loads(json.dumps(to_marl_eval(TASKS)))
    algorithms = exported["lbf"][TASK]
    assert {name: [*runs] for name, runs in algorithms.items()} == {
        "smpe": ["seed_0", "seed_1"],
        "maa2c": ["seed_0"],
    }
    for run in (x for runs in algorithms.values() for x in runs.values()):
        assert [*run] == ["step_0", "step_1", "step_2", "absolute_metrics"] or [
            *run
        ] == ["step_0", "step_1", "absolute_metrics"]
        assert (
            run["step_1"]["step_count"]
            == algorithms["smpe"]["seed_0"]["step_1"]["step_count"]
        )
    # Interpolated at the steps of another seed: the curves are straight lines.
    assert algorithms["maa2c"]["seed_0"]["step_1"]["return"] == [1.0]
    assert algorithms["smpe"]["seed_1"]["step_1"]["return"] == [2.0]


def test_csv_has_every_evaluation_as_it_is():
    rows = [*csv.DictReader(to_csv(TASKS).splitlines())]
    assert len(rows) == 11
    assert rows[2] | {"score": 2.1} == {
        "task": TASK,
        "algorithm": "smpe",
        "run": "run0",
        "seed": "0",
        "metric": "eval/return_mean",
        "step": "210",
        "score": 2.1,
    }


def write_epymarl(folder: Path, *, name: str, seed: int = 7, **files: object) -> Path:
    folder.mkdir()
    key = f"lbforaging:{TASK}-v3"
    config = {"name": "maa2c", "seed": seed, "env_args": {"key": key}, "lr": 5e-4}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / name).write_text(json.dumps(files))
    return folder


def test_logs_of_epymarl(tmp_path: Path):
    metric = {"steps": [0, 100], "values": [0.1, 0.4], "timestamps": ["", ""]}
    new = write_epymarl(tmp_path / "1", name="metrics.json", test_return_mean=metric)
    numbers = [{"py/object": "numpy.float64", "value": x} for x in (0.1, 0.4)]
    lists = {"test_return_mean": numbers, "test_return_mean_T": [0, 100]}
    old = write_epymarl(tmp_path / "2", name="info.json", seed=8, **lists)
    tasks, _ = group_runs([str(new), str(old)])
    assert tasks[0].task == TASK
    (group,) = tasks[0].groups
    assert group.label == "EPyMARL maa2c"
    assert [(x.seed, [*x.steps], [*x.scores]) for x in group.seed_curves] == [
        (7, [0, 100], [0.1, 0.4]),
        (8, [0, 100], [0.1, 0.4]),
    ]


def test_logs_of_jaxmarl(tmp_path: Path):
    chart = tmp_path / "chart.csv"
    chart.write_text(
        '"Step","a - returned_episode_returns","a - returned_episode_returns__MIN",'
        '"b - returned_episode_returns"\n0,1,0,2\n100,"3","0","4"\n200,5,0,\n'
    )
    history = tmp_path / "history.json"
    rows = [{"env_step": i, "returned_episode_returns": i / 10} for i in (0, 100, 200)]
    history.write_text(json.dumps(rows))
    lines = tmp_path / "history.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    tasks, _ = group_runs([f"IPPO@{TASK}={chart}", f"new@{TASK}={history}"])
    assert tasks[0].task == TASK
    assert [(g.label, len(g.seed_curves)) for g in tasks[0].groups] == [
        ("IPPO", 2),
        ("new", 1),
    ]
    assert [*tasks[0].groups[0].seed_curves[1].scores] == [2, 4]
    assert read_other_log(lines).rows == read_other_log(history).rows


BAD_LOGS = {
    "columns.csv": ("a,b\n1,2\n", "has the columns a, b; expected env_step"),
    "text.json": ("not JSON", "cannot be read"),
    "object.json": ("{}", "is no list"),
    "cut.jsonl": ('{"a": 1}\n{"a', "is no JSONL file"),
    "log.txt": ("x", "is no run and no log"),
}


@pytest.mark.parametrize("name", BAD_LOGS)
def test_bad_logs_are_told_in_one_line(tmp_path: Path, name: str):
    text, message = BAD_LOGS[name]
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_other_log(tmp_path / name)


def test_folders_without_returns_or_seeds(tmp_path: Path):
    folder = write_epymarl(tmp_path / "1", name="metrics.json", loss={"steps": []})
    with pytest.raises(InvalidInputError, match="has no test_return_mean"):
        read_other_log(folder)
    (folder / "config.json").write_text("{}")
    (folder / "metrics.json").write_text(
        '{"return_mean": {"steps": [1], "values": [2]}}'
    )
    with pytest.raises(InvalidInputError, match="has no seed"):
        read_other_log(folder)


class Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("executed"),)


@pytest.mark.parametrize("name", ["log.pkl", "log.pickle", "log.npy", "log.csv"])
def test_pickles_are_never_executed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pickle.dumps(Trap()))
    assert main(["compare", name]) == 2
    assert not Path("executed").exists()


def test_export_needs_a_known_ending(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    rows = [{"env_step": i, "returned_episode_returns": i / 10} for i in (0, 100, 200)]
    Path("a.json").write_text(json.dumps(rows))
    assert main(["compare", "a.json", "--export", "out.parquet"]) == 2
    assert "expected a file .json (marl-eval) or .csv" in capsys.readouterr().err
    assert main(["compare", "a.json", "--export", "out.csv"]) == 0
    assert len(Path("out.csv").read_text().splitlines()) == 4

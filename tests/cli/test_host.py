"""Commands on environments of other libraries: faults, evaluation on other tasks."""

import json
from collections.abc import Iterator

import pytest

import syntony
from syntony.cli import main

pytest.importorskip("gymnasium")
import external_envs

RELAY = "pettingzoo:external_envs"
SMALL = ["--num-envs", "4", "--hidden", "8", "--quiet"]
TRAIN = [
    *("train", "maa2c", "--task", RELAY, "--steps", "80", "--eval-every", "40"),
    *("--eval-episodes", "4", *SMALL, "--out"),
]
DUO = "gymnasium:external_envs:Duo-v0?time_limit=5"


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    yield
    external_envs.fault.change = None


def crash(*time_step: object) -> tuple:
    raise TimeoutError(f"no server\nfor {len(time_step)} parts")


def metrics_of(run: str) -> list[dict[str, float]]:
    rows = syntony.load(run).metrics()
    return [{k: v for k, v in row.items() if k != "wall_s"} for row in rows]


def test_fault_is_reported_and_the_run_resumes(capsys: pytest.CaptureFixture[str]):
    # Four updates reach step 80; 48 steps are evaluation: this is in the third update.
    external_envs.fault.step = external_envs.num_steps + 48 + 48 + 40 + 15
    external_envs.fault.change = crash
    assert main([*TRAIN, "broken"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"environment {RELAY}, copy " in error
    assert ": it raised TimeoutError: no server for 5 parts (test_host.py:" in error
    assert "); all up to there is saved" in error
    assert error.startswith("syntony: seed 0, step ")
    step = int(error.split("step ")[1].partition(":")[0])
    assert syntony.load("broken").steps == {0: step}
    assert 40 <= step < 80

    assert main(["resume", "broken", "--quiet"]) == 0
    assert main([*TRAIN, "whole"]) == 0
    assert metrics_of("broken") == metrics_of("whole")


@pytest.mark.slow
def test_all_environments_are_closed():
    before = external_envs.num_open
    stuck = [f"{RELAY}?fail_close=true" if word == RELAY else word for word in TRAIN]
    assert main([*stuck, "run"]) == 0
    assert external_envs.num_open == before
    assert main(["evaluate", "run", "--episodes", "4", "--task", RELAY]) == 0
    assert external_envs.num_open == before


def test_fault_during_evaluation(capsys: pytest.CaptureFixture[str]):
    external_envs.fault.step = external_envs.num_steps + 3
    external_envs.fault.change = crash
    assert main([*TRAIN, "run"]) == 1
    assert "syntony: seed 0, step 0: environment " in capsys.readouterr().err
    assert main([*TRAIN, "run"]) == 0
    external_envs.fault.step = external_envs.num_steps + 3
    assert main(["evaluate", "run", "--episodes", "4"]) == 1
    assert f"syntony: environment {RELAY}, copy 2" in capsys.readouterr().err


@pytest.mark.slow
def test_team_is_evaluated_on_another_task(capsys: pytest.CaptureFixture[str]):
    assert main([*TRAIN, "run"]) == 0
    shorter = f"{RELAY}?max_cycles=2"
    argv = ["evaluate", "run", "--episodes", "4", "--task", shorter]
    capsys.readouterr()
    assert main([*argv, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert (results["task"], results["untrained"]) == (shorter, {})
    assert results["all"]["eval/length_mean"] == 2.0
    assert main(argv) == 0
    assert f"run: maa2c {shorter}, 4 episodes each" in capsys.readouterr().out


@pytest.mark.slow
def test_output_of_an_environment_goes_to_stderr(capsys: pytest.CaptureFixture[str]):
    chatty = [f"{RELAY}?chats=true" if word == RELAY else word for word in TRAIN]
    assert main([*chatty, "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--episodes", "4", "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["episodes"] == 4
    assert {"relay: open", "relay: step"} <= set(output.err.splitlines())


def test_last_action_as_observation():
    argv = ["train", "mappo", "--preset", "paper", *TRAIN[2:]]
    assert main([*argv, "run"]) == 0
    assert syntony.load("run").steps[0] >= 80


def test_last_action_as_observation_on_the_original_task(
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("lbforaging")
    ours = ["train", "mappo", "--preset", "paper", "--task", "Foraging-5x5-2p-1f"]
    lengths = ["--steps", "1", "--eval-every", "1", "--eval-episodes", "1"]
    assert main([*ours, *lengths, *SMALL, "--out", "run"]) == 0
    original = "gymnasium:lbforaging:Foraging-5x5-2p-1f-v3"
    argv = ["evaluate", "run", "--episodes", "2", "--task", original, "--json"]
    capsys.readouterr()
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["task"] == original


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"train maa2c --task {RELAY}?N=3", "got an unexpected keyword argument 'N'"),
        ("train maa2c --task pettingzoo:nowhere", "there is no module 'nowhere'"),
        ("train maa2c --task gymnasium:CartPole-v1", "expected Tuple and Tuple"),
        (
            "train maa2c --task gymnasium:lbforaging:Foraging-8x8-2p-3f-coop-v2",
            "v2 for `Foraging-8x8-2p-3f-coop` is deprecated",
        ),
        (f"evaluate run --task {DUO}", f"{DUO} has 2 agents, 3 actions and observatio"),
        (f"evaluate run --task {DUO}", f"expected those of {RELAY}: 3 agents, 4 acti"),
        ("evaluate run --task pettingzoo:json", "module 'json' is part of Python"),
        ("evaluate run --task nothing", "unknown task 'nothing'"),
    ],
)
def test_invalid_input_is_one_line(
    command: str, message: str, capsys: pytest.CaptureFixture[str]
):
    if "run" in command.split():
        assert (
            main([*TRAIN[:5], "5", *SMALL, "--eval-episodes", "1", "--out", "run"]) == 0
        )
    capsys.readouterr()
    assert main(command.split()) == 2
    output = capsys.readouterr()
    assert message in output.err
    assert output.err.count("\n") == 1
    assert output.out == ""


def test_families_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "tasks"]) == 0
    output = capsys.readouterr().out
    assert "any pettingzoo:{module}[?{parameter}={value}&...]" in output
    assert "any gymnasium:[{module}:]{id}[?{parameter}={value}&...]" in output

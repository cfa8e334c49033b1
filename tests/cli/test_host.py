"""The commands on other libraries' environments: faults, and other tasks' teams."""

import json
from collections.abc import Iterator

import pytest

import syntony
from syntony.cli import main

pytest.importorskip("gymnasium")
import external_envs

RELAY = "pettingzoo:external_envs"
SMALL = ["--environments", "4", "--hidden", "8", "--quiet"]
TRAIN = [
    *("train", "maa2c", "--task", RELAY, "--steps", "80", "--eval-every", "40"),
    *("--eval-episodes", "4", *SMALL, "--out"),
]
DUO = "gymnasium:external_envs:Duo-v0?time_limit=5"


@pytest.fixture(autouse=True)
def behaved() -> Iterator[None]:
    yield
    external_envs.mischief.what = None


def crash(*answer: object) -> tuple:
    raise TimeoutError(f"no server\nfor {len(answer)} parts")


def measured(run: str) -> list[dict[str, float]]:
    lines = syntony.load(run).metrics()
    return [{k: v for k, v in line.items() if k != "wall_s"} for line in lines]


def test_a_fault_is_said_and_the_run_goes_on(capsys: pytest.CaptureFixture[str]):
    # Four updates reach step 80; 48 steps are evaluation: this is in the third update.
    external_envs.mischief.at = external_envs.taken + 48 + 48 + 40 + 15
    external_envs.mischief.what = crash
    assert main([*TRAIN, "broken"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"environment {RELAY}, copy " in said
    assert ": it raised TimeoutError: no server for 5 parts; all up to there" in said
    assert said.startswith("syntony: seed 0, step ")
    step = int(said.split("step ")[1].partition(":")[0])
    assert syntony.load("broken").steps == {0: step}
    assert 40 <= step < 80

    assert main(["resume", "broken", "--quiet"]) == 0
    assert main([*TRAIN, "whole"]) == 0
    assert measured("broken") == measured("whole")


def test_all_is_closed_in_the_end():
    before = external_envs.open_now
    stuck = [f"{RELAY}?stuck=true" if word == RELAY else word for word in TRAIN]
    assert main([*stuck, "run"]) == 0
    assert external_envs.open_now == before
    assert main(["evaluate", "run", "--episodes", "4", "--task", RELAY]) == 0
    assert external_envs.open_now == before


def test_a_fault_while_it_is_measured(capsys: pytest.CaptureFixture[str]):
    external_envs.mischief.at = external_envs.taken + 3
    external_envs.mischief.what = crash
    assert main([*TRAIN, "run"]) == 1
    assert "syntony: seed 0, step 0: environment " in capsys.readouterr().err
    assert main([*TRAIN, "run"]) == 0
    external_envs.mischief.at = external_envs.taken + 3
    assert main(["evaluate", "run", "--episodes", "4"]) == 1
    assert f"syntony: environment {RELAY}, copy 2" in capsys.readouterr().err


def test_a_team_is_measured_in_another_task(capsys: pytest.CaptureFixture[str]):
    assert main([*TRAIN, "run"]) == 0
    shorter = f"{RELAY}?max_cycles=2"
    words = ["evaluate", "run", "--episodes", "4", "--task", shorter]
    capsys.readouterr()
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["task"], found["untrained"]) == (shorter, {})
    assert found["all"]["eval/length_mean"] == 2.0
    assert main(words) == 0
    assert f"run: maa2c {shorter}, 4 episodes each" in capsys.readouterr().out


def test_what_an_environment_prints_is_no_result(capsys: pytest.CaptureFixture[str]):
    chatty = [f"{RELAY}?chats=true" if word == RELAY else word for word in TRAIN]
    assert main([*chatty, "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--episodes", "4", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["episodes"] == 4
    assert {"relay: open", "relay: step"} <= set(said.err.splitlines())


def test_who_sees_its_last_action_learns_here_as_well():
    words = ["train", "mappo", "--preset", "paper", *TRAIN[2:]]
    assert main([*words, "run"]) == 0
    assert syntony.load("run").steps[0] >= 80


def test_who_sees_its_last_action_is_measured_in_the_original(
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("lbforaging")
    ours = ["train", "mappo", "--preset", "paper", "--task", "Foraging-5x5-2p-1f"]
    lengths = ["--steps", "1", "--eval-every", "1", "--eval-episodes", "1"]
    assert main([*ours, *lengths, *SMALL, "--out", "run"]) == 0
    original = "gymnasium:lbforaging:Foraging-5x5-2p-1f-v3"
    words = ["evaluate", "run", "--episodes", "2", "--task", original, "--json"]
    capsys.readouterr()
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["task"] == original


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (f"train maa2c --task {RELAY}?N=3", "got an unexpected keyword argument 'N'"),
        ("train maa2c --task pettingzoo:nowhere", "to install it: pip install nowhere"),
        ("train maa2c --task gymnasium:CartPole-v1", "expected Tuple and Tuple"),
        (
            "train maa2c --task gymnasium:lbforaging:Foraging-8x8-2p-3f-coop-v2",
            "v2 for `Foraging-8x8-2p-3f-coop` is deprecated",
        ),
        (f"evaluate run --task {DUO}", f"{DUO} has 2 agents, 3 actions and observatio"),
        (f"evaluate run --task {DUO}", f"expected those of {RELAY}: 3 agents, 4 acti"),
        ("evaluate run --task pettingzoo:json", "module 'json' has no parallel_env"),
        ("evaluate run --task nothing", "unknown task 'nothing'"),
    ],
)
def test_bad_input_is_one_line(
    words: str, message: str, capsys: pytest.CaptureFixture[str]
):
    if "run" in words.split():
        assert (
            main([*TRAIN[:5], "5", *SMALL, "--eval-episodes", "1", "--out", "run"]) == 0
        )
    capsys.readouterr()
    assert main(words.split()) == 2
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_families_are_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["list", "tasks"]) == 0
    said = capsys.readouterr().out
    assert "any pettingzoo:{module}[?{parameter}={value}&...]" in said
    assert "any gymnasium:[{module}:]{id}[?{parameter}={value}&...]" in said

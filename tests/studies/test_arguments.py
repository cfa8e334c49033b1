"""Arguments of trials: those of `syntony train`, parsed by the trials alone."""

import pytest

import syntony
from syntony.cli import run_study
from syntony.cli.run_study import TrialArguments
from syntony.cli.train import parse_train
from syntony.errors import InvalidInputError
from syntony.studies.study import Setting

TOY = "python:toy_system:Toy"


def test_arguments_are_those_of_train():
    flags = {"rate": 0.3, "eval_every": 10, "preset": "default", "keep_best": True}
    arguments = TrialArguments(None).of(Setting(TOY, flags, 90), (3, 5))
    assert arguments[0] == TOY
    assert {*arguments[1:]} == {
        "--rate=0.3",
        "--eval-every=10",
        "--preset=default",
        "--keep-best",
        "--steps=90",
        "--seeds=3,5",
        "--quiet",
    }
    parsed = parse_train(arguments)
    assert parsed.arguments["keep_best"] is True
    assert parsed.arguments["seeds"] == (3, 5)


def test_a_switch_that_is_off_is_left_out():
    arguments = TrialArguments(None)
    setting = Setting(TOY, {"keep_best": False}, 90)
    assert "keep-best" not in " ".join(arguments.of(setting, (0,)))
    with pytest.raises(InvalidInputError, match="expected true or false"):
        arguments.of(setting._replace(flags={"keep_best": 1}), (0,))


def test_switches_are_found_once_for_each_task(monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    found = run_study.config_switches

    def counted(config: run_study.ConfigFile) -> list[str]:
        asked.append(config.entries["task"].value)
        return found(config)

    monkeypatch.setattr(run_study, "config_switches", counted)
    arguments = TrialArguments(None)
    for task in ("SimpleSpread-3", "SpeakerListener"):
        for rate in (0.1, 0.2, 0.3):
            flags = {"task": task, "critic_lr": rate}
            arguments.of(Setting("maa2c", flags, 90), (0,))
    assert asked == ["SimpleSpread-3", "SpeakerListener"]


def test_every_value_is_checked_before_the_first_trial():
    study = syntony.Study(
        systems=[TOY], steps=90, grid={"rate": [0.1, 0.2], "noise": [0.1, "x"]}
    )
    with pytest.raises(InvalidInputError, match="noise"):
        TrialArguments(None).check(study)

"""The file of a study: its cells and settings, and what is wrong with one."""

from pathlib import Path
from typing import Any

import pytest

import syntony
from syntony.cli import main
from syntony.errors import InvalidInputError
from syntony.studies.shipped import study_path
from syntony.studies.status import budget_note, budgets
from syntony.studies.study import (
    read_study,
    study_from_dict,
    study_to_dict,
)

TEXT = """
systems = ["smpe", { system = "mappo", preset = "yu2022", steps = 40 }]
tasks = ["SimpleSpread-3", { task = "SpeakerListener", eval-every = 7 }]
steps = 50
seeds = [0, 4]

[settings]
hidden = 8

[grid]
critic_lr = [1e-4, 5e-4]
"""


def write(text: str) -> Path:
    path = Path("study.toml")
    path.write_text(text)
    return path


def test_cells_and_settings_of_a_file():
    study = read_study(write(TEXT))
    assert [(cell.title, cell.steps) for cell in study.cells()] == [
        ("smpe on SimpleSpread-3", 50),
        ("mappo yu2022 on SimpleSpread-3", 40),
        ("smpe on SpeakerListener", 50),
        ("mappo yu2022 on SpeakerListener", 40),
    ]
    cell = study.cells()[3]
    assert cell.seeds == (0, 4)
    assert [dict(setting.flags) for setting in cell.settings()] == [
        {
            "hidden": 8,
            "task": "SpeakerListener",
            "eval_every": 7,
            "preset": "yu2022",
            "critic_lr": rate,
        }
        for rate in (1e-4, 5e-4)
    ]
    assert study_from_dict(study_to_dict(study)) == study


def test_the_name_of_a_trial_depends_on_its_settings_but_not_on_its_length():
    short, long = (syntony.Study(systems=["link"], steps=n).cells()[0] for n in (1, 2))
    other = syntony.Study(systems=["link"], steps=1, settings={"hidden": 8}).cells()[0]
    names = [next(cell.settings()).trial_name((0,)) for cell in (short, long, other)]
    assert names[0] == names[1] != names[2]


def test_unequal_budgets_are_told():
    assert budget_note(budgets(read_study(write(TEXT)))) == (
        "unequal budgets of the systems on SimpleSpread-3, SpeakerListener"
    )


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "systems": ({"systems": []}, "systems is no list"),
    "text": ({"systems": "smpe"}, "systems is no list"),
    "system": ({"systems": [3]}, "3 is no system"),
    "table": ({"systems": [{"preset": "paper"}]}, "is no system"),
    "task": ({"tasks": [{"steps": 3}]}, "is no task"),
    "both places": ({"tasks": ["a"], "channels": ["b"]}, "both given"),
    "steps": ({"steps": 0}, "steps is 0"),
    "seeds": ({"seeds": 0}, "seeds is 0"),
    "seed twice": ({"seeds": [1, 1]}, "given twice"),
    "retries": ({"retries": -1}, "retries is -1"),
    "grid": ({"grid": {"rate": 3}}, "rate is 3; expected a list"),
    "empty": ({"grid": {"rate": []}}, "expected a list of values"),
    "value": ({"grid": {"rate": [[1]]}}, r"rate is \[1\]; expected a number or text"),
    "setting": ({"settings": {"seed": 3}}, "seed is among the settings"),
    "entry": ({"system": "smpe"}, "unknown entry 'system'; did you mean 'systems'"),
    "two ways": ({"grid": {"a": [1]}, "search": {"trials": 1}}, "both given"),
    "space": ({"systems": [{"system": "a", "space": {"b": [1]}}]}, "without search"),
    "trials": ({"search": {"trials": 0}}, "trials is 0"),
    "sampler": ({"search": {"trials": 1, "sampler": "tbe"}}, "did you mean 'tpe'"),
    "interval": (
        {"search": {"trials": 1, "space": {"a": {"low": 2, "high": 1}}}},
        "a goes from 2 to 1",
    ),
    "bound": (
        {"search": {"trials": 1, "space": {"a": {"min": 2}}}},
        "unknown entry of a 'min'",
    ),
    "searched twice": (
        {"systems": ["a", "a"], "search": {"trials": 1}},
        "a is given twice",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_studies_are_told_in_one_line(case: str):
    entries, message = INVALID[case]
    with pytest.raises(InvalidInputError, match=message):
        study_from_dict({"systems": ["smpe"], "steps": 10} | entries)


def test_files_that_are_no_study(capsys: pytest.CaptureFixture[str]):
    assert main(["sweep", str(write("systems = ["))]) == 2
    assert main(["sweep", str(write('systems = ["link"]'))]) == 2
    assert main(["sweep", "missing.toml"]) == 2
    assert main(["sweep", "smpe_papr"]) == 2
    assert main(["sweep"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert "is no TOML" in lines[0]
    assert lines[1] == "syntony: study.toml: steps is missing"
    assert "there is no file missing.toml" in lines[2]
    assert "did you mean 'smpe_paper'" in lines[3]
    assert "sweep what?" in lines[4]


def test_a_flag_of_a_study_is_told_with_its_line(capsys: pytest.CaptureFixture[str]):
    path = write('systems = ["link"]\nsteps = 9\n[grid]\nhiden = [8, 16]\n')
    assert main(["sweep", str(path)]) == 2
    expected = "study.toml, line 4: unknown entry 'hiden'; did you mean 'hidden'?"
    assert expected in capsys.readouterr().err
    path = write('systems = ["link"]\nsteps = 9\n[grid]\nhidden = [8, 0]\n')
    assert main(["sweep", str(path)]) == 2
    assert "line 4: hidden is 0" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["smpe_paper", "baselines", "link"])
def test_shipped_studies_are_valid_and_have_equal_budgets(name: str):
    study = read_study(study_path(name))
    assert budget_note(budgets(study)).startswith("equal budgets")
    assert study.estimate

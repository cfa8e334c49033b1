"""Configuration files: what is printed is read back, and mistakes are named by line."""

import itertools
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

import syntony
from syntony.cli import main
from syntony.cli.train import Train, parse_train
from syntony.errors import InvalidInputError, UntrustedCodeError
from syntony.systems.registry import SYSTEMS
from syntony.training.run_config import (
    RunConfig,
    resolve_steps,
    run_config_to_dict,
)

TYPES = {"boolean": bool, "integer": int, "number": (int, float), "string": str}


def written(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def printed(argv: list[str]) -> str:
    text = parse_train([*argv, "--print-config"]).printed
    assert text
    return text


def read(path: Path, text: str, *argv: str) -> Train:
    return parse_train(["--config", written(path, text), *argv])


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_printed_is_read_back(system: str, tmp_path: Path):
    argv = [system, "--steps", "123456", "--seeds", "4,7", "--hidden", "12"]
    expected, text = parse_train(argv), printed(argv)
    got = read(tmp_path / "a.toml", text)
    assert got.system == expected.system
    assert got.arguments == expected.arguments
    assert printed(["--config", str(tmp_path / "a.toml")]) == text


def test_every_constant_has_a_comment():
    lines = printed(["smpe"]).splitlines()
    bare = [
        line
        for before, line in itertools.pairwise(lines)
        if "=" in line and not line.startswith("#") and not before.startswith("#")
    ]
    assert bare == []


def test_flags_win_over_the_file(tmp_path: Path):
    text = 'system = "vdn"\nsteps = 5\nseeds = [3, 4]\nkeep_best = true\n'
    got = read(tmp_path / "a.toml", text, "--steps", "7", "--seed", "2").arguments
    assert (got["steps"], got["seed"], got["seeds"]) == (7, 2, 1)
    assert got["keep_best"] is True


def test_entries_may_have_dashes_and_tables(tmp_path: Path):
    plain = "num_envs = 3\ncritic-lr = 1e-4\n"
    table = "[actor_critic]\nnum-envs = 3\n[anything]\ncritic_lr = 1e-4\n"
    first, second = (
        parse_train(["maa2c", "--config", written(tmp_path / "a.toml", text)])
        for text in (plain, table)
    )
    assert first.system == second.system
    assert cast(Any, first.system).actor_critic.num_envs == 3


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ("hiden = 3", 2, "unknown entry 'hiden'; did you mean 'hidden'?"),
        ('hidden = "x"', 2, "--hidden: 'x' is not a whole number"),
        ("hidden = true", 2, "--hidden: 'true' is not a whole number"),
        ("[actor_critic]\nhidden = 1.5", 3, "--hidden: '1.5' is not a whole number"),
        ('keep_best = "yes"', 2, "--keep-best is 'yes'; expected true or false"),
        ('objective = "sac"', 2, "unknown value 'sac'"),
        ("hidden = 3\n[a]\nhidden = 4", 4, "hidden is given twice; expected once"),
        (
            "hidden = 3\n[a]\nHidden = 4",
            4,
            "unknown entry 'Hidden'; did you mean 'hidden'?",
        ),
        ('task = "Foragin"', 2, "unknown task 'Foragin'"),
        ("seeds = [1, 1.5]", 2, "'1,1.5' is no number of seeds"),
    ],
)
def test_mistakes_are_named_by_line(
    text: str, line: int, expected: str, tmp_path: Path, capsys
):
    path = written(tmp_path / "a.toml", f'system = "smpe"\n{text}\n')
    assert main(["train", "--config", path, "--print-config"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"syntony: {path}, line {line}: ")
    assert expected in error
    assert error.count("\n") == 1


def test_invalid_values_are_named_by_line_when_training_starts(tmp_path: Path, capsys):
    path = written(tmp_path / "a.toml", 'system = "smpe"\nsteps = 9\nhidden = -3\n')
    out = str(tmp_path / "run")
    assert main(["train", "--config", path, "--out", out, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert f"{path}, line 3: hidden is -3; expected at least 1" in error


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hidden = ", "is no TOML: Invalid value"),
        ("\xff", "is no TOML"),
        ("hidden = 3", "train what? expected smpe"),
        ('system = "smp"', "unknown system 'smp'"),
    ],
)
def test_files_that_are_no_configuration(text: str, expected: str, tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InvalidInputError) as it:
        parse_train(["--config", str(path)])
    assert expected in str(it.value)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--config"], "--config has no value; expected a TOML file"),
        (["--config", "none.toml"], "none.toml: No such file or directory"),
        (["--config=a", "--config=b"], "--config is given twice"),
    ],
)
def test_files_that_are_missing(argv: list[str], expected: str):
    with pytest.raises(InvalidInputError, match=expected):
        parse_train(["smpe", *argv])


def test_a_file_of_another_system_is_refused(tmp_path: Path):
    path = written(tmp_path / "a.toml", 'system = "qmix"\n')
    with pytest.raises(InvalidInputError, match="is of qmix, not of vdn"):
        parse_train(["vdn", "--config", path])


def settings_of(parsed: Train) -> dict[str, object]:
    names = ("quiet", "tensorboard", "wandb", "out")
    options = {k: v for k, v in parsed.arguments.items() if k not in names}
    system = resolve_steps(parsed.system, options["steps"])
    return run_config_to_dict(RunConfig(system=system, **options))


@pytest.mark.parametrize("system", SYSTEMS)
def test_settings_of_a_run_are_a_configuration(system: str, tmp_path: Path):
    expected = parse_train([system, "--seeds", "2", "--seed", "5", "--keep-best"])
    settings = settings_of(expected)
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    for path in (tmp_path, tmp_path / "settings.json"):
        got = parse_train(["--config", str(path)])
        assert settings_of(got) == settings


def test_code_of_a_run_from_elsewhere_is_not_imported(tmp_path: Path):
    settings = settings_of(parse_train(["maa2c"]))
    settings["task"] = {"id": "python:no_such_module:Task"}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    of_run = 'made_from = "settings.json"\nsystem = "maa2c"\n'
    toml = written(
        tmp_path / "a.toml", f'{of_run}task = "python:no_such_module:Task"\n'
    )
    for path in (str(tmp_path), toml):
        with pytest.raises(UntrustedCodeError, match="no_such_module"):
            parse_train(["--config", path])
        with pytest.raises(InvalidInputError, match="there is no module"):
            parse_train(["--config", path, "--trust"])


def test_a_printed_file_tells_that_it_is_of_a_run(tmp_path: Path):
    settings = settings_of(parse_train(["maa2c"]))
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    text = printed(["--config", str(tmp_path)])
    assert "made_from" in tomllib.loads(text)
    again = printed(["--config", written(tmp_path / "a.toml", text)])
    assert again == text


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_schema_describes_what_is_printed(system: str):
    schema = json.loads(parse_train([system, "--print-schema"]).printed)
    check_table(tomllib.loads(printed([system])), schema)


def check_table(table: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Checks each entry of a table by its schema."""
    assert schema["additionalProperties"] is False
    for name, value in table.items():
        entry = schema["properties"][name]
        if isinstance(value, dict):
            check_table(value, entry)
            continue
        options = entry.get("anyOf", [entry])
        assert any(is_of_type(value, x) for x in options), name
        assert name == "system" or entry["description"], name
        assert "default" not in entry or entry["default"] == value


def is_of_type(value: object, schema: Mapping[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", [schema.get("const")])
    return isinstance(value, TYPES[schema["type"]])


def test_python_reads_the_same(tmp_path: Path):
    path = tmp_path / "a.toml"
    path.write_text(printed(["vdn", "--steps", "11"]))
    system, options = syntony.read_config(path)
    expected = parse_train(["vdn", "--steps", "11"])
    assert system == expected.system
    assert options == expected.arguments

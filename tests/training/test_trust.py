"""Trust: a run from elsewhere imports nothing, wherever its settings name code."""

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from toy_system import Toy

from syntony.channels.missing import is_missing
from syntony.errors import InvalidInputError, UntrustedCodeError
from syntony.plugins import import_user_module, import_user_object, without_user_code
from syntony.systems.link.fixed_transmitters import read_codebook
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import MAA2C
from syntony.tasks.registry import task
from syntony.training import trust
from syntony.training.loop import resume, train
from syntony.training.run import load, require_link
from syntony.training.run_config import RunConfig, run_config_to_dict

EVIL = "import pathlib\npathlib.Path({!r}).touch()\ndef f(*args, **kwargs):\n    pass\n"
FOREIGN = ("evil", "runs.gift.evil", "mpe2.simple_spread_v3")
IDS = [
    *(f"python:{module}:f" for module in FOREIGN),
    *(f"pettingzoo:{module}" for module in FOREIGN),
    *(f"pettingzoo:{module}?python=/bin/sh" for module in FOREIGN),
    *(f"gymnasium:{module}:Env-v0" for module in FOREIGN),
    *(f"batched:{module}:f" for module in FOREIGN),
    *(f"awgn?snr_db=10.0+python:{module}:f" for module in FOREIGN),
    *(f"python:{module}:exec" for module in ("builtins", "os", "pickle", "posix")),
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder with a module that leaves a mark, and a state folder without a list."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    mark = str(tmp_path / "imported")
    for folder in (tmp_path, tmp_path / "runs" / "gift"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evil.py").write_text(EVIL.format(mark))
    yield
    for name in ("evil", "runs.gift.evil", "runs.gift", "runs", "mine"):
        sys.modules.pop(name, None)


def opened_channel(path: Path, *, trust: bool = False) -> Any:
    """Channel of the link of a run, which may be a substitute."""
    return require_link(load(path, trust=trust)).channel


def key_paths(tree: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[Any]:
    """Yields the path of each setting that is no object, as a tuple of keys."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from key_paths(value, (*prefix, name))
        else:
            yield (*prefix, name)


def gift(settings: object) -> Path:
    path = Path("runs/gift")
    (path / "checkpoints").mkdir(exist_ok=True)
    (path / "settings.json").write_text(json.dumps(settings))
    return path


SYSTEMS = [
    Link().resolve_steps(100),
    MAA2C(task=task("Foraging-2s-5x5-2p-1f-coop")),
]
LABELS = [("preset",), ("step_unit",), ("keep_best",)]
"""Entries that are text, or that are read leniently."""


@pytest.mark.parametrize("system", SYSTEMS, ids=["link", "maa2c"])
@pytest.mark.parametrize("id", IDS[::3])
def test_no_entry_of_the_settings_imports(system: Any, id: str):
    """Every entry in turn, also those where an id is invalid."""
    original: Any = run_config_to_dict(RunConfig(system=system, steps=100))
    load(gift(original))
    for key_path in key_paths(original):
        changed = json.loads(json.dumps(original))
        parent = changed
        for name in key_path[:-1]:
            parent = parent[name]
        parent[key_path[-1]] = id
        path = gift(changed)
        if key_path == ("channel", "id") and "python:" in id:
            assert is_missing(opened_channel(path))
        elif key_path not in LABELS:
            with pytest.raises(InvalidInputError):
                load(path)
        assert not Path("imported").exists(), key_path


@pytest.mark.parametrize("field", ["system", "channel", "optimizer"])
@pytest.mark.parametrize("id", IDS)
def test_no_id_is_imported(field: str, id: str):
    settings: Any = run_config_to_dict(RunConfig(system=SYSTEMS[0], steps=100))
    if field == "optimizer":
        settings["settings"]["schedule"]["optimizer"] = id
    else:
        settings[field] = {"id": id} if field == "channel" else id
    with pytest.raises(InvalidInputError):
        resume(gift(settings), quiet=True)
    if field == "channel" and "python:" in id:
        assert is_missing(opened_channel(gift(settings)))
    else:
        with pytest.raises(InvalidInputError):
            load(gift(settings))
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    "id", ["python:builtins:exec", "python:os:system", "python:posix:system"]
)
def test_python_itself_is_never_user_code(id: str):
    settings: Any = run_config_to_dict(RunConfig(system=SYSTEMS[0], steps=100))
    channel = opened_channel(gift(settings | {"channel": {"id": id}}), trust=True)
    assert is_missing(channel)
    assert "is part of Python" in channel.reason


def test_a_module_that_passes_on_python_is_no_way_around():
    Path("mine.py").write_text("import os\nfrom builtins import exec as run\n")
    for name in ("os.system", "run", "os"):
        with pytest.raises(InvalidInputError, match="is part of Python"):
            import_user_object(f"python:mine:{name}")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_file_in_a_run_folder_is_never_imported(trusted: bool):
    settings: Any = run_config_to_dict(RunConfig(system=SYSTEMS[0], steps=100))
    path = gift(settings | {"channel": {"id": "python:runs.gift.evil:f"}})
    (path / "__init__.py").write_text("import evil")
    channel = opened_channel(path, trust=trusted)
    assert is_missing(channel)
    assert ("folder of a run" if trusted else "expected --trust") in channel.reason
    with pytest.raises(InvalidInputError, match="the folder of a run or study"):
        import_user_module("runs.gift.evil")
    assert not Path("imported").exists()


def test_trust_imports():
    settings: Any = run_config_to_dict(RunConfig(system=SYSTEMS[0], steps=100))
    path = gift(settings | {"channel": {"id": "python:evil:f"}})
    missing = opened_channel(path)
    assert "'evil' is code that this run names; expected --trust" in missing.reason
    assert not Path("imported").exists()
    assert opened_channel(path, trust=True).id == "python:evil:f"
    assert Path("imported").exists()


def test_runs_of_this_machine_need_no_trust():
    run = train(Toy(), steps=1, eval_every=1, eval_episodes=1, out="here", quiet=True)
    moved = run.path.rename("moved")
    assert isinstance(load(moved).system, Toy)
    trust._list_path().unlink()
    with pytest.raises(UntrustedCodeError, match="python:toy_system:Toy"):
        load(moved)
    assert isinstance(load(moved, system=Toy()).system, Toy), "nothing is imported"
    resume(moved, steps=2, trust=True, quiet=True)
    load(moved)


def test_another_module_or_other_settings_are_not_known(tmp_path: Path):
    Path("mine.py").write_text("def f(x):\n    return x\n")
    settings: Any = run_config_to_dict(RunConfig(system=SYSTEMS[0], steps=100))
    settings["channel"] = {"id": "python:mine:f"}
    trust.remember_trained(settings)
    assert opened_channel(gift(settings)).id == "python:mine:f"
    other = tmp_path / "elsewhere"
    other.mkdir()
    (other / "mine.py").write_text("def f(x):\n    return x\n")
    sys.path.insert(0, str(other))
    assert not trust.was_trained_here(settings), "a file of the same name"
    sys.path.pop(0)
    assert trust.was_trained_here(settings)
    for key_path in key_paths({"settings": settings["settings"]}):
        changed = json.loads(json.dumps(settings))
        parent = changed
        for name in key_path[:-1]:
            parent = parent[name]
        parent[key_path[-1]] = "other"
        assert not trust.was_trained_here(changed), "they are arguments of the code"


def test_the_list_is_private_and_may_be_missing(monkeypatch: pytest.MonkeyPatch):
    settings = {"channel": {"id": "python:evil:f"}}
    trust.remember_trained(settings)
    trust.remember_trained(settings)
    path = trust._list_path()
    assert path.read_text().count("\n") == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    trust.remember_trained(settings)
    assert not trust.was_trained_here(settings)


def test_the_gate_itself():
    with without_user_code(), pytest.raises(InvalidInputError, match="'evil' is code"):
        import_user_module("evil")
    Path("jumanji.py").write_text(EVIL.format("imported"))
    with without_user_code(), suppress(InvalidInputError):
        import_user_module("jumanji")
    assert not Path("imported").exists()


CODEBOOKS = ["secret.csv", "runs/gift/codebook.csv", "{}/secret.csv"]


@pytest.mark.parametrize("name", CODEBOOKS)
def test_a_codebook_that_a_run_names_is_not_read(name: str):
    """A file outside of the run, or a name that looks like one of it."""
    path = Path(name.format(Path.cwd()))
    link = Link(messages=4, uses=1).resolve_steps(100)
    settings: Any = run_config_to_dict(RunConfig(system=link, steps=100))
    settings["settings"]["transmitter"] = f"codebook:{path}"
    path.write_text("1,0\n0,1\n-1,0\n0,-1\n")
    folder = gift(settings)
    for opens in (load, lambda x: resume(x, quiet=True)):
        with pytest.raises(UntrustedCodeError, match=r"names files.*--trust"):
            opens(folder)
    with without_user_code(), pytest.raises(InvalidInputError, match="--trust to read"):
        read_codebook(path, 4, 1)


def test_a_codebook_of_a_run_that_was_trained_here_is_read():
    link = Link(messages=4, uses=1).resolve_steps(100)
    settings: Any = run_config_to_dict(RunConfig(system=link, steps=100))
    settings["settings"]["transmitter"] = "codebook:own.csv"
    Path("own.csv").write_text("1,0\n0,1\n-1,0\n0,-1\n")
    folder = gift(settings)
    assert load(folder, trust=True).config.steps == 100
    trust.remember_trained(settings)
    assert load(folder).config.steps == 100
    # Another file of the same name is another one.
    elsewhere = Path("elsewhere")
    elsewhere.mkdir()
    Path("own.csv").rename(elsewhere / "own.csv")
    Path("own.csv").symlink_to(elsewhere / "own.csv")
    with pytest.raises(UntrustedCodeError):
        load(folder)

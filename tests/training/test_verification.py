"""Verification: every damage of a small run is found, byte by byte and line by line."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_system import Toy

from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import MAA2C
from syntony.tasks.registry import task
from syntony.training import snapshots
from syntony.training.integrity import LEARNING_FIELDS, settings_digest
from syntony.training.loop import resume, train
from syntony.training.run import load
from syntony.training.run_config import RunConfig, run_config_to_dict
from syntony.training.run_folder import RunFolder, encode_settings
from syntony.training.verification import (
    _read_records,
    check_checkpoint,
    check_snapshots,
    find_damage,
    find_log_damage,
    settings_problems,
    verify_run,
    warn_of_damage,
)

OPTIONS: dict[str, Any] = {"eval_every": 20, "eval_episodes": 2, "quiet": True}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two seeds that has ended, and one of other settings beside it."""
    path = tmp_path_factory.mktemp("runs") / "ended"
    train(Toy(), steps=60, seeds=2, out=path, **OPTIONS)
    train(
        Toy(),
        steps=60,
        seeds=2,
        out=path.with_name("other"),
        eval_every=30,
        eval_episodes=2,
        quiet=True,
    )
    return path


@pytest.fixture(scope="module")
def running(ended: Path) -> Path:
    """The same run as a killed process leaves it: without exports, and no seal."""
    path = Path(shutil.copytree(ended, ended.with_name("running")))
    (path / "model.npz").unlink()
    settings = RunFolder(path).read_settings()
    del settings["sealed"]
    config = RunConfig(system=Link(), steps=60, eval_every=20)
    for seed in (0, 1):
        arrays = {"codebook": np.full((4, 2, 2), float(seed), np.float32)}
        snapshots.add_snapshot(RunFolder(path), config, seed, 0, arrays)
    RunFolder(path).write_settings(settings)
    return path


def problems(path: Path) -> list[str]:
    try:
        return verify_run(path).problems
    except InvalidInputError as error:
        return [str(error)]


@pytest.fixture
def damaged(running: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(running, tmp_path / "damaged"))


def test_whole_runs_are_whole(ended: Path, running: Path):
    assert problems(ended) == []
    assert problems(running) == []
    assert verify_run(ended).notes == []
    assert "the seal of 6 files" in verify_run(ended).checked
    assert "has not ended" in verify_run(running).notes[0]


TEXTS = ("settings.json", "metrics.jsonl")


def damage_of_text(path: Path, name: str, settings: Any, records: Any) -> list[str]:
    """Problems of one file; the others are known to be whole."""
    try:
        if name == "settings.json":
            return [*settings_problems(RunFolder(path))]
        return find_log_damage(path, settings, records)
    except InvalidInputError as error:
        return [str(error)]


@pytest.mark.parametrize(
    "stride", [pytest.param(1, marks=pytest.mark.slow), pytest.param(7)]
)
@pytest.mark.parametrize("name", TEXTS)
def test_every_changed_byte_of_a_text_is_found(
    name: str, stride: int, running: Path, damaged: Path
):
    """One bit of each byte in turn, or the byte removed."""
    content = (running / name).read_bytes()
    settings = RunFolder(running).read_settings()
    records = _read_records(running)
    assert len(records) == 4
    assert not damage_of_text(damaged, name, settings, records)
    for position in range(0, len(content), stride):
        changed = bytearray(content)
        if position % 5:
            changed[position] ^= 1 << position % 8
        else:
            del changed[position]
        (damaged / name).write_bytes(bytes(changed))
        found = damage_of_text(damaged, name, settings, records)
        assert found, (position, bytes(changed[position - 20 : position + 20]))


def test_every_lost_swapped_and_doubled_line_is_found(running: Path, damaged: Path):
    lines = (running / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 8
    variants = [lines[:i] + lines[i + 1 :] for i in range(8)]
    variants += [lines[:count] for count in range(8)]
    variants += [lines[: i + 1] + lines[i:] for i in range(8)]
    for first in range(8):
        for second in range(first):
            swapped = [*lines]
            swapped[first], swapped[second] = lines[second], lines[first]
            variants.append(swapped)
    for variant in variants:
        (damaged / "metrics.jsonl").write_bytes(b"".join(variant))
        assert problems(damaged), variant
    (damaged / "metrics.jsonl").unlink()
    assert problems(damaged)


def archives(path: Path) -> Iterator[Path]:
    yield from sorted(path.rglob("*.npz"))


def rewrite(path: Path, members: dict[str, bytes], comment: bytes) -> None:
    with zipfile.ZipFile(path, "w") as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
        zipped.comment = comment


def check_archive(path: Path, digest: bytes) -> None:
    if path.parent.name == "history":
        check_snapshots(path)
    else:
        check_checkpoint(path, digest)


def test_every_changed_member_of_an_archive_is_found(running: Path, damaged: Path):
    """Each member changed, dropped, renamed, and each byte of comments."""
    digest = settings_digest(RunFolder(running).read_settings())
    for original in archives(running):
        path = damaged / original.relative_to(running)
        check_archive(path, digest)
        with zipfile.ZipFile(original) as zipped:
            members = {x.filename: zipped.read(x) for x in zipped.infolist()}
            comment = zipped.comment
        variants: list[tuple[dict[str, bytes], bytes]] = []
        for name, content in members.items():
            flipped = content[:-1] + bytes([content[-1] ^ 1])
            others = {n: x for n, x in members.items() if n != name}
            variants += [
                (members | {name: flipped}, comment),
                (others, comment),
                (others | {"x" + name: content}, comment),
            ]
        for position in range(0, len(comment), 3):
            changed = bytearray(comment)
            changed[position] ^= 1
            variants.append((members, bytes(changed)))
        for changed_members, changed_comment in variants:
            rewrite(path, changed_members, changed_comment)
            with pytest.raises(InvalidInputError):
                check_archive(path, digest)


def test_every_swap_of_files_is_found(running: Path, damaged: Path, ended: Path):
    for one in archives(running):
        path = damaged / one.relative_to(running)
        for other in (*archives(running), *archives(ended.with_name("other"))):
            if other == one:
                continue
            shutil.copy(other, path)
            assert problems(damaged), (one, other)
        shutil.copy(one, path)
    for name in TEXTS:
        shutil.copy(ended.with_name("other") / name, damaged / name)
        assert problems(damaged), name
        shutil.copy(running / name, damaged / name)


def test_of_an_ended_run_every_file_counts(ended: Path, tmp_path: Path):
    path = Path(shutil.copytree(ended, tmp_path / "run"))
    names = [*RunFolder(path).read_settings()["sealed"]]  # type: ignore[misc]
    assert len(names) == 6
    for name in names:
        file = path / name
        content = file.read_bytes()
        file.unlink()
        assert any(name in text for text in problems(path)), "lost"
        for position in range(0, len(content), max(1, len(content) // 12)):
            changed = bytearray(content)
            changed[position] ^= 16
            file.write_bytes(bytes(changed))
            if name.startswith("checkpoints"):
                # Of checkpoints the arrays count, not each byte of the archive.
                continue
            assert problems(path), (name, position)
        file.write_bytes(content)
    assert problems(path) == []


def test_a_checkpoint_of_another_seed_or_step_is_not_used(running: Path, damaged: Path):
    folder = damaged / "checkpoints"
    newest = {s: max(folder.glob(f"seed-{s}-*.npz")) for s in (0, 1)}
    shutil.copy(newest[0], newest[1])
    run = load(damaged, seeds=[1])
    with pytest.warns(
        UserWarning, match=r"holds seed 0 at step .* copied over another"
    ):
        steps = run.steps
    assert steps[1] < load(running).steps[1]
    renamed = newest[0].with_name("seed-0-000000990000.npz")
    newest[0].rename(renamed)
    run = load(damaged, seeds=[0])
    with pytest.warns(UserWarning, match="it was renamed"):
        steps = run.steps
    assert steps[0] < 990_000


def test_a_state_of_other_settings_is_not_used(damaged: Path):
    text = (damaged / "settings.json").read_text()
    (damaged / "settings.json").write_text(
        text.replace('"eval_every": 20', '"eval_every": 30')
    )
    with pytest.raises(InvalidInputError, match="with other settings than settings"):
        _ = load(damaged).states
    with pytest.raises(InvalidInputError, match="with other settings than settings"):
        resume(damaged, quiet=True)


def test_lost_lines_are_told_and_remembered(damaged: Path):
    (damaged / "metrics.jsonl").unlink()
    with pytest.warns(UserWarning, match=r"metrics\.jsonl has lost lines") as warned:
        resume(damaged, steps=100, quiet=True)
    assert len(warned) <= 3
    assert "resumed at step" in problems(damaged)[0]
    settings = RunFolder(damaged).read_settings()
    assert not find_log_damage(damaged, settings), "from there on the log is whole"


def test_sessions_name_each_version(damaged: Path, monkeypatch: pytest.MonkeyPatch):
    resume(damaged, steps=100, quiet=True)
    assert problems(damaged) == []
    (session,) = RunFolder(damaged).read_settings()["sessions"]  # type: ignore[misc]
    assert session["starts"] == 2
    assert session["to_step"] >= 100
    provenance = {"versions": {"jax": "0.99"}, "commit": None, "hardware": {}}
    monkeypatch.setattr("syntony.training.loop.collect_provenance", lambda: provenance)
    resume(damaged, steps=140, quiet=True)
    first, second = RunFolder(damaged).read_settings()["sessions"]  # type: ignore[misc]
    assert second["versions"] == {"jax": "0.99"}
    assert first["to_step"] == second["from_step"] < 140 <= second["to_step"]
    assert json.loads((damaged / "settings.json").read_text())["versions"]["jax"]
    assert problems(damaged) == []


def leaves(tree: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yields the path of each entry of JSON values that is no list and no object."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in items:
        if isinstance(value, dict | list) and value:
            yield from leaves(value, (*prefix, name))
        else:
            yield (*prefix, name)


def edits(value: Any) -> list[Any]:
    """Other values of the same type, and one of another."""
    if isinstance(value, bool):
        return [not value, None]
    if isinstance(value, int | float):
        return [x for x in (value + 1, value / 2, -value - 1) if x != value]
    return [value + "x", None] if isinstance(value, str) else [0]


def edited(settings: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = json.loads(json.dumps(settings))
    parent = changed
    for name in path[:-1]:
        parent = parent[name]
    parent[path[-1]] = value
    return changed


@pytest.mark.filterwarnings("error")
def test_no_edit_of_the_settings_passes_in_silence(running: Path, damaged: Path):
    """Of any entry: what opens the run refuses it, or warns in one line."""
    original = json.loads((running / "settings.json").read_text())
    tried = 0
    for path in leaves(original):
        parent = original
        for name in path:
            parent = parent[name]
        for value in edits(parent):
            changed = edited(original, path, value)
            (damaged / "settings.json").write_bytes(encode_settings(changed))
            settings = RunFolder(damaged).read_settings()
            with pytest.raises((InvalidInputError, UserWarning)) as raised:
                warn_of_damage(damaged, find_damage(damaged, settings))
            assert "\n" not in str(raised.value)
            tried += 1
    assert tried > 60


@pytest.mark.parametrize("system", [Link(), MAA2C(task=task("Foraging-2s-5x5-2p-1f"))])
def test_every_setting_that_determines_learning_is_bound_to_the_states(system: Any):
    """Also where the digest of `settings.json` was made to fit."""
    settings: Any = run_config_to_dict(RunConfig(system=system, steps=100))
    whole, tried = settings_digest(settings), 0
    for path in leaves(settings):
        if path[0] not in LEARNING_FIELDS:
            continue
        value = settings
        for name in path:
            value = value[name]
        for other in edits(value):
            assert settings_digest(edited(settings, path, other)) != whole, path
            tried += 1
    assert tried > 60

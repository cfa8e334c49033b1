"""The commands are tested on a toy that trains in milliseconds."""

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))

from syntony.study import presets
from syntony.systems import ids


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Makes `toy` a system of ours, and a fresh folder the current one."""
    from toy import Toy  # pyright: ignore[reportMissingImports]

    original = presets.preset

    def preset(system: str, name: str, task: Any) -> Any:
        return Toy() if system == "toy" else original(system, name, task)

    monkeypatch.setitem(ids.SYSTEMS, "toy", Toy)
    monkeypatch.setitem(presets.PRESETS, "toy", {"paper": "none"})
    monkeypatch.setattr(presets, "preset", preset)
    monkeypatch.chdir(tmp_path)

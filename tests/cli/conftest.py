"""A system that trains in milliseconds, for tests of the commands."""

from pathlib import Path
from typing import Any

import pytest

from syntony.presets import registry as presets
from syntony.systems import registry as systems


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Registers the system `toy`, and changes to an empty folder."""
    from toy_system import Toy

    original = presets.preset

    def preset(system: str, name: str, task: Any, channel: Any = None) -> Any:
        return Toy() if system == "toy" else original(system, name, task, channel)

    monkeypatch.setitem(systems.SYSTEMS, "toy", Toy)
    monkeypatch.setitem(presets.PRESETS, "toy", {"paper": "none"})
    monkeypatch.setattr(presets, "preset", preset)
    monkeypatch.chdir(tmp_path)

from pathlib import Path

import pytest

from syntony.study import demo_link
from syntony.systems.link import Link
from syntony.systems.schedule import Schedule

LINK = Link(messages=4, uses=1, hidden=8, schedule=Schedule(batch=32, horizon=30))


@pytest.mark.slow
def test_demo_shows_its_result_and_shows_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(demo_link, "CAP", 4096)
    demo_link.demo(tmp_path, link=LINK, steps=30)
    first = capsys.readouterr().out
    assert "QPSK" in first
    for name in ("bler", "constellation", "training"):
        for suffix in ("png", "svg"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 0

    demo_link.demo(tmp_path, link=LINK, steps=30)
    again = capsys.readouterr().out
    assert "measuring" not in again
    assert again.endswith(first[first.index("SNR dB") :])

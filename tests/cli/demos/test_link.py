from pathlib import Path

import pytest

from syntony.cli.demos import link
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

LINK = Link(
    messages=4,
    uses=1,
    hidden=8,
    schedule=TrainingSchedule(batch_size=32, decay_iterations=30),
)


@pytest.mark.slow
def test_results_are_printed_and_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(link, "MAX_BLOCKS", 4096)
    link.run_link_demo(tmp_path, link=LINK, steps=30)
    first = capsys.readouterr().out
    assert "QPSK" in first
    for name in ("bler", "constellation", "training"):
        for suffix in ("png", "svg"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 0

    link.run_link_demo(tmp_path, link=LINK, steps=30)
    again = capsys.readouterr().out
    assert "evaluating" not in again
    assert again.endswith(first[first.index("SNR dB") :])

from pathlib import Path

import numpy as np
import pytest

from syntony.cli.demos import team
from syntony.tasks.foraging.rules import Foraging

TASK = Foraging(size=5, players=2, foods=1, sight=1, coop=True, time_limit=10)


def test_estimate_is_the_mean_over_all_episodes():
    estimate = team.estimate_return([np.zeros(30), np.ones(10)])
    assert estimate.mean == pytest.approx(0.25)
    assert 0.1 < estimate.low < 0.25 < estimate.high < 0.4


def test_random_actions_earn_little():
    """Two agents must load the same food at once: rare, but possible."""
    assert 0 < team.random_policy_returns(TASK, 2000).mean() < 0.2


@pytest.mark.slow
def test_results_are_printed_and_printed_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    team.run_team_demo(tmp_path, task=TASK, steps=500)
    first = capsys.readouterr().out
    assert "after training" in first
    for name in ("learning_curve", "episode", "beliefs"):
        for suffix in ("png", "svg"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 0

    team.run_team_demo(tmp_path, task=TASK, steps=500)
    again = capsys.readouterr().out
    table = first[first.index("random actions") :]
    assert again.endswith(table)
    assert "evaluating" not in again

from pathlib import Path

import numpy as np
import pytest

from syntony.cli.demos import team as demo
from syntony.tasks.foraging.rules import Foraging

TASK = Foraging(size=5, players=2, foods=1, sight=1, coop=True, time_limit=10)


def test_a_score_is_the_mean_over_all_episodes():
    score = demo.estimate_return([np.zeros(30), np.ones(10)])
    assert score.mean == pytest.approx(0.25)
    assert 0.1 < score.low < 0.25 < score.high < 0.4


def test_random_actions_earn_little():
    """Two agents must stand beside the food and both load: rare, yet not impossible."""
    assert 0 < demo.random_policy_returns(TASK, 2000).mean() < 0.2


@pytest.mark.slow
def test_demo_shows_its_result_and_shows_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    demo.run_team_demo(tmp_path, task=TASK, steps=500)
    first = capsys.readouterr().out
    assert "after training" in first
    for name in ("learning_curve", "episode", "beliefs"):
        for suffix in ("png", "svg"):
            assert (tmp_path / "figures" / f"{name}.{suffix}").stat().st_size > 0

    demo.run_team_demo(tmp_path, task=TASK, steps=500)
    again = capsys.readouterr().out
    table = first[first.index("random actions") :]
    assert again.endswith(table)
    assert "measuring" not in again

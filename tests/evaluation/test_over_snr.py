"""A team over SNR: returns of QPSK are its known ones, and one program measures all."""

from pathlib import Path

import pytest
from toy_transmitters import QPSKTeam

import syntony
from syntony.errors import InvalidInputError
from syntony.evaluation.over_snr import evaluate_over_snr
from syntony.training.run import Run, jitted_evaluation

EPISODES = 4_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("runs") / "qpsk"
    options = {"eval_every": 4, "eval_episodes": 4, "quiet": True}
    return syntony.train(QPSKTeam(), steps=4, seeds=2, out=out, **options)


def test_the_returns_of_qpsk(run: Run):
    programs = jitted_evaluation()._cache_size()  # pyright: ignore[reportFunctionMemberAccess]
    snrs_db = [-5.0, 0.0, 5.0]
    result = evaluate_over_snr(run, snrs_db, episodes=EPISODES)
    points = result["points"]
    assert [point["snr_db"] for point in points] == snrs_db
    for point in points:
        # Five standard errors, of two seeds and two agents in each episode.
        mean, error = point["all"]["eval/return_mean"], 5 * 0.5 / (4 * EPISODES) ** 0.5
        assert mean == pytest.approx(point["bounds"]["QPSK, MAP"], abs=error)
        assert [row["seed"] for row in point["seeds"]] == [0, 1]
    assert jitted_evaluation()._cache_size() == programs + 1  # pyright: ignore[reportFunctionMemberAccess]


def test_a_sweep_of_what_has_no_snr(tmp_path: Path):
    system = syntony.Link(messages=4, uses=1, hidden=4, receiver="mlp")
    options = {"eval_episodes": 2, "quiet": True}
    link = syntony.train(system, steps=1, out=tmp_path / "link", **options)
    with pytest.raises(InvalidInputError, match="no team that transmits"):
        evaluate_over_snr(link, [0.0])

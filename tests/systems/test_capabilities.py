"""Systems with two capabilities have the output of both; with none, what all have."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy_capabilities import TeamAndLink, ToyLink, ToyTeam
from toy_system import Toy

import syntony
from syntony.channels.awgn import AWGN
from syntony.channels.channel import HasBLERBounds, HasMLMetric
from syntony.channels.phase import PhaseNoise
from syntony.channels.rayleigh import Rayleigh
from syntony.channels.rician import Rician
from syntony.cli import main
from syntony.comparison.compare import compare
from syntony.errors import InvalidInputError
from syntony.evaluation.evaluate import evaluate_metrics
from syntony.evaluation.link import evaluate_link
from syntony.report.page import write_report
from syntony.report.sections import link
from syntony.systems.registry import SYSTEMS
from syntony.systems.system import (
    ActsInEpisodes,
    DependsOnSteps,
    HasSnapshots,
    LearnsFromFeedback,
    System,
    TransmitsMessages,
)
from syntony.visualization.run_figures import save_run_figures

TASK = syntony.task("Foraging-1s-5x5-2p-1f-coop?time_limit=9")
CAPABILITIES = (ActsInEpisodes, TransmitsMessages, HasSnapshots, LearnsFromFeedback)
OPTIONS = {"eval_every": 20, "eval_episodes": 8, "quiet": True}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run of a system that acts in episodes and transmits messages."""
    path = tmp_path_factory.mktemp("runs") / "both"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SYSTEMS, "teamandlink", TeamAndLink)
        patch.setattr(link, "SNR_OFFSETS_DB", (-4.0, 0.0))
        patch.setattr(link, "MAX_BLOCKS", 4096)
        system = TeamAndLink(task=TASK, channel=AWGN(snr_db=6.0))
        syntony.train(system, steps=60, out=path, **OPTIONS)
        yield path


@pytest.fixture(scope="module")
def neither(tmp_path_factory: pytest.TempPathFactory) -> syntony.Run:
    """Run of a system without capabilities, which no registry knows."""
    path = tmp_path_factory.mktemp("runs") / "neither"
    syntony.train(Toy(), steps=60, out=path, **OPTIONS)
    return syntony.load(path, system=Toy())


@pytest.mark.parametrize(
    ("system", "capabilities"),
    [
        (Toy(), ()),
        (ToyTeam(task=TASK), (ActsInEpisodes,)),
        (ToyLink(channel=AWGN()), (TransmitsMessages, HasSnapshots)),
        (
            TeamAndLink(task=TASK, channel=AWGN()),
            (ActsInEpisodes, TransmitsMessages, HasSnapshots),
        ),
        (syntony.MAA2C(task=TASK), (ActsInEpisodes,)),
        (syntony.Link(), (TransmitsMessages, HasSnapshots, LearnsFromFeedback)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, tuple) else "",
)
def test_capabilities_are_those_whose_methods_a_system_has(
    system: System, capabilities: tuple[type, ...]
):
    assert isinstance(system, System)
    assert tuple(c for c in CAPABILITIES if isinstance(system, c)) == capabilities
    assert isinstance(system, DependsOnSteps) == isinstance(system, LearnsFromFeedback)


def test_what_is_known_of_channels():
    assert all(isinstance(c, HasMLMetric) for c in (AWGN(), Rayleigh(), Rician()))
    assert all(isinstance(c, HasBLERBounds) for c in (AWGN(), Rayleigh()))
    assert not isinstance(Rician(), HasBLERBounds)
    assert not isinstance(PhaseNoise(), HasMLMetric | HasBLERBounds)


def test_a_report_has_the_sections_of_both(both: Path):
    page = write_report([str(both)]).read_text()
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    learning = f"Learning: {TASK.id} over awgn?snr_db=6.0"
    assert titles[1:4] == ["Team: both", "Link: both", learning]
    headings = set(re.findall(r"<h3>(.*?)</h3>", page))
    assert {"Return", "Block error rate", "An episode", "Constellation"} <= headings
    assert "Feedback link" not in headings


@pytest.mark.slow
def test_evaluate_prints_both_tables(both: Path, capsys: pytest.CaptureFixture[str]):
    argv = ["evaluate", str(both), "--episodes", "7", "--max-blocks", "4096"]
    assert main([*argv, "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert (results["episodes"], results["task"]) == (7, TASK.id)
    assert "eval/return_mean" in results["all"]
    assert results["channel"] == "awgn?snr_db=6.0"
    assert results["points"][0]["bler"] == results["points"][0]["ml_bler"]
    assert results["points"][0]["bounds"]
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert re.search(r"^ +steps +return +bler$", text, re.MULTILINE)
    assert "4 messages in 2 channel uses; block error rates" in text
    assert "seed 0: minimum distance" in text


def test_figures_of_both(both: Path):
    stems = {file.stem for file in save_run_figures(both, ["svg"])}
    assert stems == {"learning_curve", "training", "losses", "episode", "constellation"}


def test_a_run_of_both_transmits_changes_its_task_and_is_exported(both: Path):
    run = syntony.load(both)
    assert run.receive(run.transmit(np.array([3, 1]))).argmax(-1).tolist() == [3, 1]
    other = syntony.task("Foraging-1s-6x6-2p-1f-coop?time_limit=9")
    assert len(run.evaluate(episodes=3, task=other)[0]["eval/return_mean"]) == 3
    assert (both / "codebook.csv").is_file()
    assert (both / "history" / "seed-0.npz").is_file()


def test_a_system_without_capabilities_has_what_all_have(neither: syntony.Run):
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", write_report([neither]).read_text())
    assert titles == ["Runs", "Learning: no task", "How to repeat this"]
    results = evaluate_metrics(neither, episodes=5)
    assert (results["task"], results["episodes"]) == ("", 5)
    assert "eval/return_mean" in results["all"]
    figures = save_run_figures(neither, ["svg"])
    assert {file.stem for file in figures} == {"learning_curve", "losses"}
    (task,) = compare([str(neither.path)]).results["tasks"]
    assert task["groups"]
    resumed = syntony.resume(neither.path, system=Toy(), steps=80, quiet=True)
    assert resumed.steps[0] >= 80


def test_evaluate_works_for_a_system_without_capabilities(
    neither: syntony.Run, capsys: pytest.CaptureFixture[str]
):
    path = str(neither.path)
    assert main(["evaluate", path, "--episodes", "5"]) == 0
    assert "Toy" in capsys.readouterr().out
    assert main(["evaluate", path, "--snr-db", "3"]) == 2
    assert "transmits no messages, and has no SNR" in capsys.readouterr().err
    assert main(["evaluate", path, "--task", TASK.id]) == 2
    assert "is no team, and has no task" in capsys.readouterr().err


def test_what_a_system_cannot_do_is_refused(neither: syntony.Run):
    with pytest.raises(InvalidInputError, match="is not a run of a link"):
        evaluate_link(neither)
    with pytest.raises(InvalidInputError, match="is not a run of a link"):
        neither.transmit(np.array([0]))
    with pytest.raises(InvalidInputError, match="leave out the task"):
        neither.evaluate(episodes=3, task=TASK)

"""Studies of a toy system on clusters, and the same study without one."""

import hashlib
from pathlib import Path

import pytest

import syntony
from syntony.studies.study_folder import StudyFolder

REPOSITORY = Path(__file__).parents[2]
TOY = "python:toy_system:Toy"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lets trials, which are processes of their own, find the toy."""
    paths = [REPOSITORY / "src", REPOSITORY / "tests" / "helpers"]
    monkeypatch.setenv("PYTHONPATH", ":".join(map(str, paths)))
    monkeypatch.chdir(tmp_path)


def small_study(trials: int, steps: int = 400) -> syntony.Study:
    """A study of small trials, each with a rate of its own and many evaluations."""
    rates = [round(0.01 + 0.005 * i, 4) for i in range(trials)]
    return syntony.Study(
        systems=[TOY],
        steps=steps,
        settings={"eval_every": steps // 100, "eval_episodes": 10},
        grid={"rate": rates},
    )


def weights(folder: Path) -> dict[str, str]:
    """Hash of the final weights of every trial that is done, by its name."""
    study = StudyFolder(folder)
    return {
        name: hashlib.sha256(
            (study.run_path(name) / "model.npz").read_bytes()
        ).hexdigest()
        for name, record in study.records().items()
        if record.state == "done"
    }


def undisturbed_weights(study: syntony.Study) -> dict[str, str]:
    """Those of the same study, trained by this process, one trial after the other."""
    syntony.sweep(
        study, out="undisturbed", engine="python:inline_engine:InlineEngine", quiet=True
    )
    return weights(Path("undisturbed"))

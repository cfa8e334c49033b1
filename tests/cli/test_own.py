"""Commands on a user's task, system and networks."""

from pathlib import Path

import pytest

import syntony
from syntony.cli import main
from syntony.training.run_config import task_and_channel_id

ROOT = Path(__file__).parents[2]
PLAIN = "python:user_tasks:Plain?length=7"
SMALL = ["--steps", "1", "--eval-every", "1", "--eval-episodes", "1", "--hidden", "8"]


@pytest.fixture(autouse=True)
def _user_tasks_are_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in (ROOT / "examples", ROOT / "tests" / "tasks"):
        monkeypatch.syspath_prepend(str(folder))


@pytest.mark.slow
@pytest.mark.parametrize("flag", [["--task", PLAIN], [f"--task={PLAIN}"]])
def test_methods_may_name_their_arguments_otherwise(
    flag: list[str], capsys: pytest.CaptureFixture[str]
):
    argv = ["train", "maa2c", *flag, *SMALL, "--quiet", "--out", "run"]
    assert main(argv) == 0
    assert capsys.readouterr().err == ""
    assert task_and_channel_id(syntony.load("run").settings) == PLAIN


def test_help_shows_its_id(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "maa2c", "--task", PLAIN, "--help"]) == 0
    assert PLAIN in "".join(capsys.readouterr().out.split())


REINFORCE = "python:your_own_algorithm:Reinforce"
TINY = ["--num-envs", "2", "--hidden", "4", "--eval-every", "8", "--eval-episodes", "2"]
TEAM = ["--task", "Foraging-2s-5x5-2p-1f-coop?time_limit=4", *TINY]


def test_a_system_of_ones_own_in_every_command(capsys: pytest.CaptureFixture[str]):
    assert main(["train", REINFORCE, *TEAM, "--steps", "16", "--quiet"]) == 0
    run = "runs/Reinforce-Foraging-2s-5x5-2p-1f-coop_time_limit_4-1"
    assert syntony.load(run).settings["system"] == REINFORCE
    assert main(["resume", run, "--steps", "24", "--quiet"]) == 0
    for argv in (
        ["evaluate", run, "--episodes", "4"],
        ["watch", run, "--once"],
        ["compare", run],
        ["report", run],
        ["figures", run],
        ["render", run, "--episodes", "1", "--out", "episodes.gif"],
    ):
        assert main(argv) == 0, argv
        out, err = capsys.readouterr()
        assert REINFORCE not in out
        assert err == "" or argv[0] == "render"
        if argv[0] in ("evaluate", "watch", "compare"):
            assert "Reinforce" in out
    assert Path("episodes.gif").stat().st_size > 0


def test_the_help_of_a_system_of_ones_own(capsys: pytest.CaptureFixture[str]):
    assert main(["train", REINFORCE, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "--learning-rate FLOAT Learning rate of Adam. (default: 0.005)" in text


def test_a_field_named_as_another_flag_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
):
    (tmp_path / "own_flags.py").write_text(
        "from syntony import pytree_dataclass\n"
        "from toy_system import Toy\n\n\n"
        "@pytree_dataclass\nclass Own(Toy):\n    quiet: float = 1.0\n"
    )
    assert main(["train", "python:own_flags:Own", "--steps", "1"]) == 2
    assert "whose flag would be --quiet" in capsys.readouterr().err


@pytest.mark.slow
def test_networks_of_ones_own(capsys: pytest.CaptureFixture[str]):
    network = "python:your_own_networks:deep"
    flags = ["--actor", "python:your_own_networks:lstm", "--encoder", network]
    argv = ["train", "smpe", *TEAM, *flags, "--steps", "8", "--quiet", "--out", "team"]
    assert main([*argv, "--latent-dim", "4"]) == 0
    assert main(["evaluate", "team", "--episodes", "4"]) == 0
    flags = ["--transmitter", network, "--receiver", network, "--hidden", "8"]
    sizes = ["--messages", "4", "--uses", "1", "--batch-size", "16"]
    argv = ["train", "link", *flags, *sizes, "--steps", "2", "--eval-episodes", "16"]
    assert main([*argv, "--quiet", "--out", "link"]) == 0
    assert main(["resume", "link", "--steps", "4", "--quiet"]) == 0
    capsys.readouterr()
    argv = ["train", "qmix", "--task", "probe-see", "--actor", f"{network}er"]
    assert main(argv) == 2
    assert "did you mean 'deep'?" in capsys.readouterr().err


PLAIN_CHANNEL = ["train", "link", "--channel", "python:own_channels:plain"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--snr-db", "3"],
            "python:own_channels:plain takes no argument snr_db; expected def f(x, "
            "snr_db=10.0), or leave out --snr-db",
        ),
        (
            ["--preset", "orthogonal"],
            "training_snr_offset_db is 20.0 over python:own_channels:plain; expected "
            "0, as its SNR cannot be set; where a preset has set it: "
            "--training-snr-offset-db 0",
        ),
    ],
)
def test_an_snr_of_a_function_without_one(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    assert main([*PLAIN_CHANNEL, *flags, "--steps", "1"]) == 2
    assert capsys.readouterr().err == f"syntony: {message}\n"


def test_an_snr_is_an_argument_of_the_function(capsys: pytest.CaptureFixture[str]):
    argv = ["train", "link", "--channel", "python:own_channels:noisy", "--snr-db", "3"]
    assert main([*argv, "--help"]) == 0
    text = "".join(capsys.readouterr().out.split())
    assert "python:own_channels:noisy?snr_db=3.0" in text

"""Files of `syntony figures` and `syntony render`, and their invalid arguments."""

import json
from pathlib import Path

import pytest

from syntony.cli import main


def write_run(name: str = "one", **more: object) -> None:
    Path(name).mkdir()
    settings = {"system": "toy", "settings": {"rate": 0.1}} | more
    (Path(name) / "settings.json").write_text(json.dumps(settings))
    lines = [
        json.dumps({"step": step, "seed": 0, "eval/return_mean": 0.1 * step})
        for step in (0, 5, 10)
    ]
    (Path(name) / "metrics.jsonl").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("file_format", ["svg", "pdf", "png"])
def test_figures_are_in_the_run_folder(
    file_format: str, capsys: pytest.CaptureFixture[str]
):
    write_run()
    flags = [] if file_format == "svg" else ["--format", file_format]
    assert main(["figures", "one", *flags]) == 0
    first, note = capsys.readouterr().out.splitlines()
    assert first == f"one/figures/learning_curve.{file_format}"
    assert Path(first).stat().st_size > 1000
    # The reason why there are no other figures.
    assert note.startswith("note: one")


def test_figures_of_a_paper(capsys: pytest.CaptureFixture[str]):
    write_run()
    flags = ["--width", "icml", "--font", "serif", "--no-title", "--format"]
    assert main(["figures", "one", *flags, "svg"]) == 0
    figure = Path("one/figures/learning_curve.svg")
    serif = figure.read_text()
    # 3.25 inches of 72 points.
    assert 'width="234pt"' in serif
    assert main(["figures", "one", "--width", "icml", "--no-title"]) == 0
    sans = figure.read_text()
    assert 'width="234pt"' in sans
    # Letters are stored as their outlines.
    assert sans != serif
    assert main(["figures", "one", *flags, "csv"]) == 0
    rows = Path("one/figures/learning_curve.csv").read_text().splitlines()
    assert rows[0] == "panel,curve,x,y"
    assert [row.split(",")[-1] for row in rows[1:]] == ["0.0", "0.5", "1.0"]
    assert not Path("one/figures/learning_curve.png").exists()
    capsys.readouterr()


def test_figures_of_several_runs(capsys: pytest.CaptureFixture[str]):
    train = ["train", "toy", "--steps", "200", "--eval-every", "100", "--quiet"]
    assert main([*train, "--out", "one"]) == 0
    assert main([*train, "--out", "two", "--rate", "0.2"]) == 0
    assert main(["figures", "one", "two", "--out", "both", "--format", "pdf"]) == 0
    written = capsys.readouterr().out.split()
    assert "both/comparison.tex" in written
    assert any(name.startswith("both/curves-") for name in written)
    assert all(Path(name).stat().st_size > 0 for name in written)


def test_html_and_tex_in_names_are_text(
    capsys: pytest.CaptureFixture[str],
):
    hostile = r"<script>alert(1)</script> $\frac{$"
    write_run("one", task={"id": hostile})
    assert main(["figures", "one"]) == 0
    file = capsys.readouterr().out.splitlines()[0]
    assert "<script" not in Path(file).read_text()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("figures", "Missing from syntony figures: RUN..."),
        ("figures one --out x", "--out is of several runs"),
        ("figures one --width wide", "--width: unknown value 'wide'"),
        ("figures one --font mono", "--font: unknown value 'mono'"),
        ("figures nowhere", "there is no run nowhere; expected a run's folder"),
        ("figures .", ". is not the folder of a run: no settings.json"),
        ("figures one --format jpg", "--format: unknown value 'jpg'; did you mean"),
        ("figures one --fromat png", "unknown flag '--fromat'; did you mean"),
        ("figures one two", "there is no run two; expected a run's folder"),
        ("figures one one --checkpoint best", "--checkpoint is of one run"),
        ("figures empty", "empty cannot be drawn: nothing has been measured in it"),
        ("figures damaged", "damaged/metrics.jsonl is damaged in line 2"),
        ("figures full", "full/figures is no folder; expected one"),
        ("render", "Missing from syntony render: RUN"),
        ("render nowhere", "there is no run nowhere; expected a run's folder"),
        ("render one --episodes many", "--episodes: 'many' is not a whole number"),
        ("render one --fps fast", "--fps: 'fast' is not a number"),
        ("render toys", "toys is a toy, which has no team to render"),
    ],
)
def test_invalid_arguments(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
):
    for name in ("one", "empty", "damaged", "full"):
        write_run(name)
    Path("empty/metrics.jsonl").unlink()
    Path("damaged/metrics.jsonl").write_text('{"step": 0, "seed": 0}\n{"step": 1,\n')
    Path("full/figures").touch()
    if "toys" in arguments:
        assert main(["train", "toy", "--steps", "9", "--quiet", "--out", "toys"]) == 0
    assert main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("syntony: ")
    assert err.count("\n") == 1
    assert expected in err


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("figures", ["RUN...", "svg, pdf, png; or csv", "default: svg", "--width W"]),
        ("render", ["RUN", "FILE.gif", "--fps FLOAT", "--max-steps INT"]),
    ],
)
def test_help(command: str, expected: list[str], capsys: pytest.CaptureFixture[str]):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(text in out for text in expected)

"""Writes the generated pages of the documentation: metrics and configuration.

    python benchmarks/write_reference.py

`tests/test_reference_pages.py` holds that the stored pages are what this writes.
"""

from collections.abc import Iterator
from pathlib import Path

from syntony.cli.help_text import SYSTEM_SUMMARIES
from syntony.cli.train import parse_train
from syntony.evaluation.metric_info import METRICS

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
NOTE = "<!-- Written by benchmarks/write_reference.py: edit that, not this page. -->\n"

METRICS_PAGE = """# Metrics

Every line of `metrics.jsonl` is a JSON object about one evaluation of one seed. Names
without a slash are those of the line itself:

| key | meaning |
|---|---|
| `step` | steps of training so far: environment steps of a team, iterations of a link |
| `seed` | the seed |
| `wall_s` | seconds since the run began, without the time in which it was stopped |

`eval/…` is measured with the state at that step, `train/…` is the mean over the updates
since the line before. Beside a metric that is measured over episodes or blocks, `…_low`
and `…_high` are the ends of its 95 % interval over these. A system logs those of the
metrics that it has; [callbacks](../guide/runs.md) add names of their own.
With individual rewards `eval/return_mean_agent_0`, … are the returns of the agents.

| key | unit | meaning |
|---|---|---|
"""
METRICS_END = """

## Bit error rates

`syntony evaluate LINK --json` also has `ber`, the share of wrong bits, beside
`bler`, the share of wrong blocks. The bits of message m are row m of `labels` in
`model.npz` (`labels-seed1`, … for the codebooks of other seeds). After the training
they are chosen so that codewords that are near each other differ in few bits: that
leaves `bler` as it is and lowers `ber`. Over a channel with an unknown gain the
distance is the least over all phases. With more than 256 messages, labels are the
binary digits of m; a number of messages that is no power of two has neither labels
nor `ber`. Of classical codes QPSK, PSK and QAM have Gray labels, all others the
binary digits of m.

## Intervals over seeds

Those of three seeds or more are Student's. Where the range of a metric is known
(error rates; returns in tasks with a `score_range`) they are computed on the scale
of the logit, and end within the range. Of two seeds both are shown, and no
interval.
"""
CONFIGURATION_PAGE = """# Configuration

Every constant of every system, with its default and meaning, as `syntony train SYSTEM
--print-config` prints them. A key in a table, e.g. `hidden` in `[actor_critic]`, is the
flag `--hidden`. How such files are used: [configuration
files](../how-to/configuration-files.md). The defaults are those of the default task or
channel; presets change them by task.
"""


def main() -> None:
    """Writes both pages."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)


def pages() -> dict[str, str]:
    """Text of every generated page, by the name of its file."""
    return {
        "metrics.md": NOTE + METRICS_PAGE + "\n".join(_metric_rows()) + METRICS_END,
        "configuration.md": NOTE + CONFIGURATION_PAGE + "".join(_systems()),
    }


def _metric_rows() -> Iterator[str]:
    for key, info in METRICS.items():
        yield f"| `{key}` | {info.unit} | {info.meaning} |"


def _systems() -> Iterator[str]:
    for name, summary in SYSTEM_SUMMARIES.items():
        text = parse_train([name, "--print-config"]).printed
        yield f"\n## {name}\n\n{summary[0].upper()}{summary[1:]}.\n\n"
        yield f"```toml\n{text.rstrip()}\n```\n"


if __name__ == "__main__":
    main()

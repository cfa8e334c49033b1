"""Links with their defaults over channels that students try.

    python benchmarks/try_channels.py --seeds 0,1,2 --steps 3000 OUT.csv
    python benchmarks/try_channels.py --seeds 0 --classical OUT.csv

Each row of OUT.csv is one evaluation: channel, what the trials chose, seed, step, and
the block error rate of 50,000 random messages. The goal is that of a classical scheme
over the same channel, or below it. With --classical, the transmitter is that of the
scheme, and only the receiver is trained.
"""

import argparse
import csv
import json
import tempfile
from pathlib import Path

import syntony

CHANNELS = {
    "one-bit ADC": ("awgn?snr_db=10+quantizer?bits=1", 16, 2, 3.5e-3),
    "square law": ("square_law", 16, 2, 0.040),
    "IM/DD": ("imdd", 16, 2, 6.5e-3),
    "impulses": ("impulsive", 16, 2, 0.020),
    "random phase": (
        "phase?std=0&random_initial_phase=true+awgn?snr_db=12",
        64,
        4,
        1.2e-3,
    ),
    "ISI over blocks": ("isi", 16, 2, 0.060),
    "phase drift": ("drift", 16, 2, 1e-4),
    "16-bit ADC": ("awgn?snr_db=10+quantizer?bits=16&full_scale=4.0", 16, 2, 2.2e-3),
    "OFDM": ("ofdm", 256, 8, 0.10),
    "RF front end": (
        "saleh?am_gain=2&am_compression=1&pm_gain=0.6&pm_compression=1"
        "+phase?std=0.08+iq?gain_db=-1.63&phase_deg=-4.13+awgn?snr_db=12.8",
        16,
        2,
        9e-4,
    ),
    "ISI, neighbors": ("isi", 16, 2, 5e-3),
}
"""Id, messages M, uses C, and the goal of the block error rate."""
SETTINGS = {"ISI, neighbors": {"receiver_neighbors": 1}}
"""Settings of a row that are not the defaults."""
CLASSICAL = {
    "one-bit ADC": "qpsk",
    "square law": "ask4",
    "IM/DD": "pam4",
    "impulses": "qam16",
    "random phase": "pilot",
    "ISI over blocks": "qpsk",
    "phase drift": "qpsk",
    "16-bit ADC": "qpsk",
    "OFDM": "comb",
    "RF front end": "qpsk",
    "ISI, neighbors": "qpsk",
}
"""Transmitter of the classical scheme of each row."""
FACTS = ("channel", "id", "messages", "uses", "goal")
CHOICES = ("transmitter", "initial_codebook", "receiver", "decay")
FIELDS = [*FACTS, *CHOICES, "seed", "step", "bler"]


def main() -> None:
    """Trains a link over each channel, and writes its error rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--only", nargs="*", default=list(CHANNELS))
    parser.add_argument("--classical", action="store_true")
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    for name in options.only:
        transmitter = CLASSICAL[name] if options.classical else "mlp"
        write_rows(options.out, try_channel(name, seeds, options.steps, transmitter))


def try_channel(
    name: str, seeds: list[int], steps: int, transmitter: str
) -> list[dict[str, object]]:
    """Rows of one channel."""
    id, messages, uses, goal = CHANNELS[name]
    size = {"messages": messages, "uses": uses, "transmitter": transmitter}
    link = syntony.Link(channel=id, **size, **SETTINGS.get(name, {}))  # pyright: ignore[reportArgumentType]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        syntony.train(
            link,
            steps=steps,
            seeds=seeds,
            out=path,
            eval_every=steps // 6,
            eval_episodes=50_000,
        )
        chosen = json.loads((path / "settings.json").read_text())["settings"]
        lines = (path / "metrics.jsonl").read_text().splitlines()
    facts = {
        "channel": name,
        "id": id,
        "messages": messages,
        "uses": uses,
        "goal": goal,
        "transmitter": transmitter,
        "initial_codebook": chosen["initial_codebook"],
        "receiver": chosen["receiver"],
        "decay": chosen["schedule"]["decay"],
    }
    evaluations = [json.loads(line) for line in lines]
    return [
        facts | {"seed": row["seed"], "step": row["step"], "bler": row["eval/bler"]}
        for row in evaluations
        if "eval/bler" in row and row["step"]
    ]


def write_rows(path: Path, rows: list[dict[str, object]]) -> None:
    """Appends rows to a CSV file, with a header if it is new."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if is_new:
            writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

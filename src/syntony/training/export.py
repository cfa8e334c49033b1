"""What a run leaves for other software: all weights by name, a link's codebook."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from syntony.systems.link.codes import binary_labels, bits_per_message
from syntony.systems.link.link import Link
from syntony.systems.system import System
from syntony.training.checkpoint import named_arrays
from syntony.training.run_folder import RunFolder


def export_model(folder: RunFolder, system: System, states: Mapping[int, Any]) -> None:
    """Writes `model.npz`, those of seed 0 under `seed0/`; of a link also codebooks.

    The codebook of the first seed is `codebook.csv`, another's `codebook-seed1.csv`:
    a row for each message, re, im, re, im, ... of its channel uses.
    """
    arrays: dict[str, np.ndarray] = {}
    for number, (seed, state) in enumerate(states.items()):
        named = named_arrays(system.params(state))
        arrays |= {f"seed{seed}/{name}": array for name, array in named.items()}
        if isinstance(system, Link):
            name = f"codebook-seed{seed}.csv" if number else "codebook.csv"
            folder.write_csv(name, named["codebook"])
    if isinstance(system, Link):
        arrays |= link_metadata(system)
    folder.write_model(arrays)


def link_metadata(link: Link) -> dict[str, np.ndarray]:
    """Returns what a link's weights mean: SNR, normalisation, bit labels."""
    known = {
        "power_constraint": np.array(link.power_constraint),
        "channel": np.array(link.channel.id),
    }
    if link.channel.snr_db is not None:
        known["snr_db"] = np.array(float(link.channel.snr_db))
    if bits := bits_per_message(link.messages):
        known["labels"] = binary_labels(bits)
    return known

"""What a run leaves for other software: all weights by name, a link's codebook."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from syntony.run.checkpoint import named_arrays
from syntony.run.folder import Folder
from syntony.systems.classical import binary, label_bits
from syntony.systems.link import Link
from syntony.systems.system import System


def export(folder: Folder, system: System, states: Mapping[int, Any]) -> None:
    """Writes `model.npz`, those of seed 0 under `seed0/`; of a link also codebooks.

    The codebook of the first seed is `codebook.csv`, another's `codebook-seed1.csv`:
    a row for each message, re, im, re, im, ... of its channel uses.
    """
    arrays: dict[str, np.ndarray] = {}
    for number, (seed, state) in enumerate(states.items()):
        named = named_arrays(system.weights(state))
        arrays |= {f"seed{seed}/{name}": array for name, array in named.items()}
        if isinstance(system, Link):
            name = f"codebook-seed{seed}.csv" if number else "codebook.csv"
            folder.write_table(name, named["codebook"])
    if isinstance(system, Link):
        arrays |= facts(system)
    folder.write_model(arrays)


def facts(link: Link) -> dict[str, np.ndarray]:
    """Returns what a link's weights mean: SNR, normalisation, bit labels."""
    known = {"power": np.array(link.power), "channel": np.array(link.channel.id)}
    if link.channel.snr_db is not None:
        known["snr_db"] = np.array(float(link.channel.snr_db))
    if bits := label_bits(link.messages):
        known["labels"] = binary(bits)
    return known

"""Export of a trained system: parameters by name, and the codebook of a link."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import PyTree

from syntony.channels.snr import finite_snr_db
from syntony.systems.link.codes import binary_labels, bits_per_message
from syntony.systems.system import System, TransmitsMessages
from syntony.training.checkpoint import named_arrays
from syntony.training.run_folder import RunFolder


def export_model(
    folder: RunFolder, system: System, states: Mapping[int, PyTree]
) -> None:
    """Writes `model.npz` (parameters of seed 0 under `seed0/`) and a link's codebooks.

    The codebook of the first seed is `codebook.csv`, that of another seed
    `codebook-seed1.csv`: one row per message with re, im, re, im, ... of its channel
    uses.

    Args:
        states: the state of each seed.
    """
    arrays: dict[str, np.ndarray] = {}
    for index, (seed, state) in enumerate(states.items()):
        named = named_arrays(system.params(state))
        arrays |= {f"seed{seed}/{name}": array for name, array in named.items()}
        if isinstance(system, TransmitsMessages):
            name = f"codebook-seed{seed}.csv" if index else "codebook.csv"
            folder.write_csv(name, np.asarray(system.codewords(state)))
    if isinstance(system, TransmitsMessages):
        arrays |= link_metadata(system)
    folder.write_model(arrays)


def link_metadata(link: TransmitsMessages) -> dict[str, np.ndarray]:
    """Metadata of a link: power constraint, channel, SNR in dB, bit labels.

    Without `snr_db` where the channel adds no noise, and without `labels` where the
    number of messages is not a power of two.
    """
    metadata = {
        "power_constraint": np.array(link.power_constraint),
        "channel": np.array(link.channel.id),
    }
    if (snr_db := finite_snr_db(link.channel)) is not None:
        metadata["snr_db"] = np.array(snr_db)
    if bits := bits_per_message(link.messages):
        metadata["labels"] = binary_labels(bits)
    return metadata

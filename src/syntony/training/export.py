"""Export of a trained system: parameters by name, and the codebook of a link."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Float, PyTree

from syntony.channels.snr import finite_snr_db
from syntony.equations.signal import pairs_to_complex
from syntony.systems.link.labeling import bit_labels
from syntony.systems.system import System, TransmitsMessages
from syntony.training.checkpoint import named_arrays
from syntony.training.run_folder import RunFolder


def export_model(
    folder: RunFolder, system: System, states: Mapping[int, PyTree]
) -> None:
    """Writes `model.npz` (parameters of seed 0 under `seed0/`) and a link's codebooks.

    The codebook of the first seed is `codebook.csv`, that of another seed
    `codebook-seed1.csv`: one row per message with re, im, re, im, ... of its channel
    uses. The arrays `labels`, `labels-seed1`, ... of `model.npz` are the bits of each
    message, where the number of messages is a power of 2.

    Args:
        states: the state of each seed.
    """
    arrays: dict[str, np.ndarray] = {}
    for index, (seed, state) in enumerate(states.items()):
        named = named_arrays(system.params(state))
        arrays |= {f"seed{seed}/{name}": array for name, array in named.items()}
        if isinstance(system, TransmitsMessages):
            suffix = f"-seed{seed}" if index else ""
            codewords = system.codewords(state)
            folder.write_csv(f"codebook{suffix}.csv", np.asarray(codewords))
            arrays |= _labels(system, codewords, f"labels{suffix}")
    if isinstance(system, TransmitsMessages):
        arrays |= link_metadata(system)
    folder.write_model(arrays)


def link_metadata(link: TransmitsMessages) -> dict[str, np.ndarray]:
    """Metadata of a link: power constraint, channel, SNR in dB.

    Without `snr_db` where the channel adds no noise.
    """
    metadata = {
        "power_constraint": np.array(link.power_constraint),
        "channel": np.array(link.channel.id),
    }
    if (snr_db := finite_snr_db(link.channel)) is not None:
        metadata["snr_db"] = np.array(snr_db)
    return metadata


def _labels(
    link: TransmitsMessages, codewords: Float[Array, "M C 2"], name: str
) -> dict[str, np.ndarray]:
    """Bit labels of a codebook; empty if M is no power of 2."""
    labels = bit_labels(
        np.asarray(pairs_to_complex(codewords), complex),
        up_to_phase=link.channel.has_unknown_gain,
    )
    return {} if labels is None else {name: labels}

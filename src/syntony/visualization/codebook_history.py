"""Codebooks of a link during its training, as its snapshots hold them."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float, Int

from syntony.equations.signal import pairs_to_complex
from syntony.errors import InvalidInputError
from syntony.training.snapshots import SnapshotHistory


class CodebookHistory(NamedTuple):
    """Snapshots of a codebook, oldest first; of a large one, some of its messages."""

    step: Int[np.ndarray, " K"]
    message: Int[np.ndarray, " M"]
    codebook: Float[np.ndarray, "K M C 2"]


def codebook_history(
    history: SnapshotHistory, messages: int, uses: int
) -> CodebookHistory | None:
    """Codebooks of a system's snapshots; None where these hold no codebooks.

    They are the array `codebook` [M, C, 2] of a snapshot, and the array `message` [M]
    of the messages that it stores.

    Args:
        history: the snapshots.
        messages: number of messages of the system.
        uses: its channel uses.

    Raises:
        InvalidInputError: the arrays are not those of codebooks of this size.
    """
    message, codebook = map(history.arrays.get, ("message", "codebook"))
    if message is None or codebook is None or not len(history.step):
        return None
    valid = message.dtype.kind == "i" and codebook.dtype.kind == "f"
    valid = valid and message.ndim == 2 and message.shape[1] > 0
    valid = valid and codebook.shape == (*message.shape, uses, 2)
    if not valid or (message != message[0]).any() or (np.diff(message[0]) <= 0).any():
        raise InvalidInputError("the snapshots hold no codebooks of this link")
    if not 0 <= message.min() <= message.max() < messages:
        raise InvalidInputError(
            f"the snapshots hold messages outside 0 to {messages - 1}"
        )
    return CodebookHistory(history.step, message[0], codebook)


def evenly_spaced(messages: np.ndarray, max_count: int) -> np.ndarray:
    """At most `max_count` of the messages, evenly spaced, with the first and last."""
    last = len(messages) - 1
    return messages[np.linspace(0, last, min(last + 1, max_count)).astype(int)]


def snapshot_codebooks(
    snapshots: CodebookHistory, messages: np.ndarray
) -> Complex[np.ndarray, "K M C"]:
    """Codewords of some of the stored messages, at every snapshot."""
    positions = np.searchsorted(snapshots.message, messages)
    return complex_codebook(snapshots.codebook[:, positions])


def complex_codebook(
    pairs: Float[np.ndarray, "*batch 2"],
) -> Complex[np.ndarray, "*batch"]:
    """Codebook with complex symbols, of one with real pairs."""
    return np.asarray(pairs_to_complex(pairs), complex)

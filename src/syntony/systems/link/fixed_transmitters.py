"""Transmitters by name: networks, classical codes, and codebooks in files.

A code by name, or in a file, is a fixed transmitter: only the receiver is trained.
"""

from pathlib import Path
from typing import cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float, Key

from syntony.equations.signal import complex_to_pairs
from syntony.errors import InvalidInputError
from syntony.networks.modems import (
    TRANSMITTERS,
    AnyTransmitter,
    ConstantTransmitter,
    Transmitter,
    make_transmitter,
)
from syntony.networks.user_network import NetworkSpec, check_network
from syntony.plugins import require_user_files
from syntony.systems.link.codes import CLASSICAL_TRANSMITTERS, Code, classical_code

FILE_PREFIX = "codebook:"
FILE_PATTERN = f"{FILE_PREFIX}FILE"
"""Form of the name of a transmitter whose codebook is in a file."""
MAX_FILE_BYTES = 2**28
"""Size of a file, at most: of 65,536 codewords of 128 symbols in CSV."""


def is_fixed_transmitter(name: str) -> bool:
    """Whether a transmitter is a code by name or from a file, and is not trained."""
    return name in CLASSICAL_TRANSMITTERS or name.startswith(FILE_PREFIX)


def make_any_transmitter(
    spec: NetworkSpec, messages: int, uses: int, key: Key[Array, ""]
) -> AnyTransmitter:
    """Transmitter with new weights, or with the codebook of a code.

    Args:
        spec: name and sizes.
        messages: M.
        uses: C.
        key: consumed.

    Raises:
        InvalidInputError: it is a fixed one, and there is no such code of this size.
    """
    if not is_fixed_transmitter(spec.name):
        return make_transmitter(spec, messages, uses, key)
    codebook = fixed_code(spec.name, messages, uses).codebook
    return ConstantTransmitter(jnp.asarray(complex_to_pairs(codebook)))


def with_classical_code(
    transmitter: AnyTransmitter, name: str, uses: int, key: Key[Array, ""]
) -> AnyTransmitter:
    """Transmitter that learns from a classical code.

    Args:
        transmitter: a new one, whose output layer reaches any codebook.
        name: of the code.
        uses: C.
        key: consumed.
    """
    new = cast(Transmitter, transmitter)
    codebook = classical_code(name, len(new.embed.weight), uses).codebook
    return new.with_codewords(jnp.asarray(complex_to_pairs(codebook), float), key)


def check_transmitter(
    messages: int, uses: int, spec: NetworkSpec, power_constraint: str
) -> None:
    """Checks that there is a transmitter of this name and size.

    Args:
        messages: M.
        uses: C.
        spec: name and sizes.
        power_constraint: what has energy 1 per use; a fixed transmitter must have it.

    Raises:
        InvalidInputError: there is none, or its energies are others.
    """
    if not is_fixed_transmitter(spec.name):
        names = (*TRANSMITTERS, *CLASSICAL_TRANSMITTERS, FILE_PATTERN)
        check_network("transmitter", spec, names)
        return
    energies = np.abs(fixed_code(spec.name, messages, uses).codebook) ** 2
    if power_constraint == "codeword":
        energies = energies.mean(axis=1)
    if power_constraint in ("codeword", "symbol") and not np.allclose(
        energies, 1.0, atol=1e-4
    ):
        raise InvalidInputError(
            f"transmitter is {spec.name!r}, of energies {energies.min():.2f} to "
            f"{energies.max():.2f}, and power_constraint is {power_constraint!r}; "
            "expected 'average'"
        )


def fixed_code(name: str, messages: int, uses: int) -> Code:
    """Code of a fixed transmitter, with mean energy 1 per channel use.

    Args:
        name: a name of `CLASSICAL_TRANSMITTERS`, or codebook:FILE.
        messages: M.
        uses: C.

    Raises:
        InvalidInputError: there is no such code of this size.
    """
    if not name.startswith(FILE_PREFIX):
        return classical_code(name, messages, uses)
    path = Path(name.removeprefix(FILE_PREFIX))
    labels = np.zeros((messages, 0), int)
    return Code(path.stem, read_codebook(path, messages, uses), labels)


def read_codebook(path: Path, messages: int, uses: int) -> Complex[np.ndarray, "M C"]:
    """Codebook in a file, scaled to mean energy 1 per channel use.

    Args:
        path: a CSV file of M rows and 2C columns, re, im, re, im, …, as a run folder's
            codebook.csv; or a NumPy file (.npy) of complex[M, C].
        messages: M.
        uses: C.

    Raises:
        InvalidInputError: there is no such file, or it holds no codebook of this size.
    """
    expected = f"expected {messages} rows of {2 * uses} numbers (re, im, re, im, …)"
    if path.suffix == ".npy":
        expected = f"expected complex[{messages}, {uses}]"
    values = _read_numbers(path, expected)
    shape = values.shape
    if np.isrealobj(values) and values.ndim == 2 and values.shape[1] == 2 * uses:
        values = values[:, 0::2] + 1j * values[:, 1::2]
    if values.shape != (messages, uses) or np.isrealobj(values):
        raise InvalidInputError(
            f"{path} holds {values.dtype} of the shape {shape}; {expected}"
        )
    return _normalized(path, values.astype(complex))


def _read_numbers(
    path: Path, expected: str
) -> Float[np.ndarray, "..."] | Complex[np.ndarray, "..."]:
    # A run folder may be anyone's, and name any file.
    require_user_files(path)
    if not path.is_file():
        raise InvalidInputError(f"there is no file {path}; {expected}")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InvalidInputError(f"{path} has more than 256 MiB; {expected}")
    try:
        if path.suffix == ".npy":
            values = np.asarray(np.load(path, allow_pickle=False))
        else:
            values = np.loadtxt(path, delimiter=",", ndmin=2)
    except (OSError, ValueError, EOFError):
        raise InvalidInputError(f"{path} cannot be read; {expected}") from None
    if values.dtype.kind not in "fciu":
        raise InvalidInputError(f"{path} holds {values.dtype}; {expected}")
    return values if values.dtype.kind in "fc" else values.astype(float)


def _normalized(
    path: Path, codebook: Complex[np.ndarray, "M C"]
) -> Complex[np.ndarray, "M C"]:
    energy = np.mean(np.abs(codebook) ** 2)
    if not np.isfinite(energy) or energy <= 0.0:
        raise InvalidInputError(
            f"{path} has a mean energy of {energy:g}; expected finite numbers that are "
            "not all 0"
        )
    return codebook / np.sqrt(energy)

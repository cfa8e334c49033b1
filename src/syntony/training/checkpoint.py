"""Checkpoints: one `.npz` file per training state, one array per leaf, no pickle.

Each file contains a hash of its arrays. A file whose hash does not match is not used;
the previous checkpoint is loaded instead.
"""

import math
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_savez
from syntony.training.integrity import (
    FILE_NAME,
    HASH_KEY,
    STEP_DIGITS,
    CheckpointRecord,
    array_digest,
    check_name,
    parse_record,
    record_comment,
)
from syntony.training.safe_io import read_npz_and_comment

MAX_CHECKPOINTS = 2
"""Newest checkpoints of each seed that stay: the last and the previous one."""
WALL_TIME_KEY = "wall_s"
METRIC_SUMS_PREFIX, NUM_UPDATES_KEY = "metric_sums", "num_updates"
"""Leaves of `TrainState` that are reset where the metrics have other names."""
CHANNEL_STATE_PREFIX = "state/channel_state"
"""Leaves that are reset where a link is opened with another channel."""
MAX_READ_ATTEMPTS = 5
"""Attempts to list and read checkpoints while a running process replaces them."""
SIZE_SLACK = 2**20
SIZE_SLACK_PER_LEAF = 2**12
"""Bytes of a file beside its arrays: names, headers, metric sums of other versions."""
Leaf = jax.Array | np.ndarray | np.generic | jax.ShapeDtypeStruct
"""Leaf of a training state, or its shape and type alone."""


class CheckpointNotFoundError(InvalidInputError):
    """The checkpoint does not exist; a running process may have replaced it."""


class Checkpoint(NamedTuple):
    """Content of a checkpoint file."""

    tree: PyTree
    """The saved pytree, usually a `TrainState`."""
    step: int
    wall_s: float
    """Wall-clock seconds of the run up to this checkpoint."""
    record: CheckpointRecord | None = None
    """Of which run it is; None in those of older versions."""


def save_checkpoint(
    folder: Path,
    seed: int,
    step: int,
    tree: PyTree,
    *,
    wall_s: float,
    kept_at: int | None = None,
    best_step: int | None = None,
    record: CheckpointRecord | None = None,
) -> Path:
    """Writes the arrays of `tree` and deletes the seed's older checkpoints.

    Args:
        folder: the folder of the checkpoints.
        seed: seed of the state.
        step: its step.
        tree: the state.
        wall_s: wall-clock seconds of the run up to this checkpoint.
        kept_at: the multiple of `save_every` at which the checkpoint was due; it is
            then never deleted. None for one that later ones replace.
        best_step: step of a checkpoint that stays, whatever its age.
        record: of which run it is.

    Returns:
        The path of the new checkpoint.
    """
    path = checkpoint_path(folder, seed, step, kept_at)
    arrays = named_arrays(tree) | {WALL_TIME_KEY: np.array(wall_s)}
    comment = record_comment(seed, step, record)
    digest = array_digest(arrays, comment)
    atomic_savez(path, arrays | {HASH_KEY: digest}, comment)
    for old in checkpoint_paths(folder, seed)[MAX_CHECKPOINTS:]:
        if kept_step(old) is None and checkpoint_step(old) != best_step:
            old.unlink()
    return path


def load_latest(
    folder: Path, seed: int, like: PyTree, *, settings_sha256: bytes | None = None
) -> Checkpoint | None:
    """Loads a seed's newest undamaged checkpoint; None if it has no checkpoint.

    Warns about each damaged checkpoint that is skipped.

    Args:
        folder: the folder of the checkpoints.
        like: pytree with the shapes and types of the saved one, e.g. by
            `jax.eval_shape`.
        settings_sha256: digest of the run's settings; None: any.

    Raises:
        InvalidInputError: there are checkpoints, but none of them can be used.
    """
    errors: list[InvalidInputError] = []
    for _ in range(MAX_READ_ATTEMPTS):
        errors = []
        for path in checkpoint_paths(folder, seed):
            try:
                saved = load_checkpoint(path, like, settings_sha256=settings_sha256)
            except InvalidInputError as error:
                errors.append(error)
            else:
                _warn_skipped(errors, path)
                return saved
        if not any(isinstance(error, CheckpointNotFoundError) for error in errors):
            break
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InvalidInputError(
            f"no checkpoint of seed {seed} can be used: "
            f"{errors[0]}; restore one from a copy, or train again with another --out"
        )
    return None


def _warn_skipped(errors: list[InvalidInputError], path: Path) -> None:
    for error in errors:
        if not isinstance(error, CheckpointNotFoundError):
            warnings.warn(f"{error}; using {path.name}", stacklevel=3)


def checkpoint_path(
    folder: Path, seed: int, step: int, kept_at: int | None = None
) -> Path:
    """Path of the checkpoint of a seed at a step.

    Args:
        folder: the folder of the checkpoints.
        seed: the seed.
        step: the step.
        kept_at: see `save_checkpoint`.
    """
    suffix = "" if kept_at is None else f"-at-{kept_at}"
    return folder / f"seed-{seed}-{step:0{STEP_DIGITS}d}{suffix}.npz"


def checkpoint_paths(folder: Path, seed: int) -> list[Path]:
    """Paths of a seed's checkpoints, newest first."""
    found = folder.glob(f"seed-{seed}-{'[0-9]' * STEP_DIGITS}*.npz")
    paths = [path for path in found if FILE_NAME.fullmatch(path.stem)]
    return sorted(paths, key=lambda path: path.name, reverse=True)


def delete_after(folder: Path, seed: int, step: int) -> None:
    """Deletes a seed's checkpoints of later steps than `step`."""
    for path in checkpoint_paths(folder, seed):
        if checkpoint_step(path) > step:
            path.unlink()


def delete_all(folder: Path) -> None:
    """Deletes the checkpoints of all seeds."""
    for path in folder.glob("*.npz"):
        if FILE_NAME.fullmatch(path.stem):
            path.unlink()


def checkpoint_step(path: Path) -> int:
    """Step of a checkpoint, read from its file name."""
    match = FILE_NAME.fullmatch(path.stem)
    assert match is not None
    return int(match[2])


def kept_step(path: Path) -> int | None:
    """Multiple of `save_every` at which a checkpoint is kept; None for any other."""
    match = FILE_NAME.fullmatch(path.stem)
    assert match is not None
    return int(match[3]) if match[3] else None


def load_checkpoint(
    path: Path, like: PyTree, *, settings_sha256: bytes | None = None
) -> Checkpoint:
    """Loads a checkpoint into a pytree of the structure of `like`.

    Args:
        path: the file.
        like: as for `load_latest`.
        settings_sha256: likewise.

    Raises:
        InvalidInputError: the file is damaged, or its arrays have other names, shapes
            or types, or it is of another seed, step or run.
        CheckpointNotFoundError: the file does not exist.
    """
    arrays, comment = _read_verified(path, _max_bytes(like))
    wall_s = float(arrays.pop(WALL_TIME_KEY))
    check_name(path, comment)
    record = parse_record(comment)
    if record and settings_sha256 not in (None, record.settings_sha256):
        raise InvalidInputError(
            f"{path.name} was trained with other settings than settings.json has"
        )
    expected = named_leaves(like)
    arrays = _reset_stale_leaves(arrays, expected)
    for name in sorted(expected.keys() ^ arrays.keys()):
        problem = "lacks" if name in expected else "holds an unknown"
        raise InvalidInputError(
            f"{path.name} {problem} {name!r}: it is of another system, or of another "
            "version of Syntony; settings.json names the commit that made it"
        )
    restored = [_restore_leaf(path, n, arrays[n], leaf) for n, leaf in expected.items()]
    tree = jax.tree.unflatten(jax.tree.structure(like), restored)
    return Checkpoint(tree, checkpoint_step(path), wall_s, record)


def _reset_stale_leaves(
    arrays: dict[str, np.ndarray], expected: dict[str, Leaf]
) -> dict[str, np.ndarray]:
    """Replaces leaves by zeros on which the learned state does not depend.

    They are the metric sums, if another version of Syntony logs other training metrics,
    and the state of a channel, if a link was opened with another one.
    """
    for prefix in (METRIC_SUMS_PREFIX, CHANNEL_STATE_PREFIX):
        if _shapes(arrays, prefix) != _shapes(expected, prefix):
            kept = arrays.keys() - _shapes(arrays, prefix).keys()
            reset = _shapes(expected, prefix).keys()
            if prefix == METRIC_SUMS_PREFIX:
                reset |= {NUM_UPDATES_KEY} & expected.keys()
            plain = {n: jax.eval_shape(_unwrap_key, expected[n]) for n in reset}
            zeros = {n: np.zeros(leaf.shape, leaf.dtype) for n, leaf in plain.items()}
            arrays = {name: arrays[name] for name in kept} | zeros
    return arrays


def _shapes(leaves: Mapping[str, Leaf], prefix: str) -> dict[str, tuple[int, ...]]:
    """Shapes of the leaves whose names begin with a prefix."""
    return {
        name: jax.eval_shape(_unwrap_key, leaf).shape
        for name, leaf in leaves.items()
        if name.startswith(prefix)
    }


def named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Leaves of `tree` as arrays, by their paths, e.g. `state/actor/out/bias`."""
    return {
        name: np.asarray(_unwrap_key(leaf)) for name, leaf in named_leaves(tree).items()
    }


def named_leaves(tree: PyTree) -> dict[str, Leaf]:
    """Leaves of `tree` by their paths, in the order of `jax.tree.leaves`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {_leaf_name(key_path): leaf for key_path, leaf in leaves}
    assert len(named) == len(leaves)
    return named


def _read_verified(path: Path, max_bytes: int) -> tuple[dict[str, np.ndarray], bytes]:
    try:
        arrays, comment = read_npz_and_comment(path, max_bytes)
    except FileNotFoundError:
        raise CheckpointNotFoundError(f"there is no checkpoint {path.name}") from None
    saved_hash, wall_s = arrays.pop(HASH_KEY, None), arrays.get(WALL_TIME_KEY)
    if (
        saved_hash is None
        or wall_s is None
        or (wall_s.shape, wall_s.dtype) != ((), float)
    ):
        raise InvalidInputError(f"{path.name} is not a checkpoint of Syntony")
    if not np.array_equal(saved_hash, array_digest(arrays, comment)):
        raise InvalidInputError(f"{path.name} is damaged (its hash does not match)")
    return arrays, comment


def array_shapes(like: PyTree) -> dict[str, Leaf]:
    """Shapes and types of the arrays that a checkpoint stores, by their paths."""
    return {
        name: jax.eval_shape(_unwrap_key, leaf) if _is_key(leaf) else leaf
        for name, leaf in named_leaves(like).items()
    }


def _max_bytes(like: PyTree) -> int:
    """Upper bound on the file size of a checkpoint of these shapes, in bytes."""
    arrays = array_shapes(like).values()
    sizes = [math.prod(array.shape) * array.dtype.itemsize for array in arrays]
    return sum(sizes) + SIZE_SLACK + SIZE_SLACK_PER_LEAF * len(sizes)


def _restore_leaf(path: Path, name: str, array: np.ndarray, like: Leaf) -> jax.Array:
    is_key = _is_key(like)
    plain = jax.eval_shape(_unwrap_key, like)
    if (array.shape, array.dtype) != (plain.shape, plain.dtype):
        saved, expected = f"{array.dtype}{array.shape}", f"{plain.dtype}{plain.shape}"
        raise InvalidInputError(
            f"{path.name} holds {name!r} as {saved}; expected {expected}"
        )
    # A copy: JAX may otherwise alias the buffer of the NumPy array.
    value = jnp.array(array, copy=True)
    return jax.random.wrap_key_data(value, impl=_key_impl(like)) if is_key else value


def _leaf_name(key_path: tuple) -> str:
    return jax.tree_util.keystr(key_path, simple=True, separator="/")


def _unwrap_key(leaf: Leaf) -> Leaf:
    # A shape alone is unwrapped within `jax.eval_shape`, which gives an array here.
    if isinstance(leaf, jax.Array) and _is_key(leaf):
        return jax.random.key_data(leaf)
    return leaf


def _is_key(leaf: Leaf) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key_impl(like: Leaf) -> Hashable:
    # `key_impl` does not accept a `ShapeDtypeStruct`.
    return jax.random.key_impl(jnp.zeros((), like.dtype))

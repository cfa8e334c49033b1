"""Checkpoints: one `.npz` file a state, one named array a leaf, no pickle.

A file carries a hash of all it holds. What cannot be read back exactly as it was
written is never used: the one before takes its place.
"""

import hashlib
import math
import re
import warnings
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from syntony.errors import InvalidInputError
from syntony.training.atomic_io import atomic_write
from syntony.training.safe_io import read_npz

MAX_CHECKPOINTS = 2
"""Checkpoints of a seed that are kept: the newest and the one before."""
HASH_KEY = "sha256"
WALL_TIME_KEY = "wall_s"
METRIC_SUMS_PREFIX, NUM_UPDATES_KEY = "metric_sums/", "num_updates"
MAX_READ_ATTEMPTS = 5
"""Times to look again for what a run that goes on has just replaced."""
SIZE_SLACK = 2**20
SIZE_SLACK_PER_LEAF = 2**12
"""Bytes of a file that are not in its arrays: names, headers, sums of other names."""


class CheckpointNotFoundError(InvalidInputError):
    """There is no such checkpoint; the run may have replaced it."""


class Checkpoint(NamedTuple):
    """What a checkpoint file gave back."""

    tree: Any
    step: int
    wall_s: float
    """Seconds that the run had taken by then."""


def save_checkpoint(
    folder: Path, seed: int, step: int, tree: PyTree, *, wall_s: float
) -> Path:
    """Writes the arrays of `tree`, then removes the seed's older checkpoints."""
    path = checkpoint_path(folder, seed, step)
    arrays = named_arrays(tree) | {WALL_TIME_KEY: np.array(wall_s)}
    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **arrays, **{HASH_KEY: _hash(arrays)})
    for old in checkpoint_paths(folder, seed)[MAX_CHECKPOINTS:]:
        old.unlink()
    return path


def load_latest(folder: Path, seed: int, like: PyTree) -> Checkpoint | None:
    """Returns a seed's newest checkpoint that is whole, or None if there is no file.

    Warns when it has to fall back to an older one.

    Args:
        like: shapes and types of what was saved, e.g. by `jax.eval_shape`.

    Raises:
        BadInput: there are files, and none of them can be used.
    """
    failures: list[InvalidInputError] = []
    for _ in range(MAX_READ_ATTEMPTS):
        failures = []
        for path in checkpoint_paths(folder, seed):
            try:
                saved = load_checkpoint(path, like)
            except InvalidInputError as failure:
                failures.append(failure)
            else:
                _warn_skipped(failures, path)
                return saved
        if not any(
            isinstance(failure, CheckpointNotFoundError) for failure in failures
        ):
            break
    if failures:
        raise failures[0]
    return None


def _warn_skipped(errors: list[InvalidInputError], path: Path) -> None:
    for failure in errors:
        if not isinstance(failure, CheckpointNotFoundError):
            warnings.warn(f"{failure}; using {path.name}", stacklevel=3)


def checkpoint_path(folder: Path, seed: int, step: int) -> Path:
    """Returns where the checkpoint of a seed at a step is, or would be."""
    return folder / f"seed-{seed}-{step:012d}.npz"


def checkpoint_paths(folder: Path, seed: int) -> list[Path]:
    """Returns a seed's checkpoint files, newest first."""
    return sorted(folder.glob(f"seed-{seed}-{'[0-9]' * 12}.npz"), reverse=True)


def delete_after(folder: Path, seed: int, step: int) -> None:
    """Removes a seed's checkpoints that are newer than the one it goes on from."""
    for path in checkpoint_paths(folder, seed):
        if checkpoint_step(path) > step:
            path.unlink()


def checkpoint_step(path: Path) -> int:
    """Returns the step at which a checkpoint was taken."""
    match = re.fullmatch(r"seed-\d+-(\d{12})", path.stem)
    assert match is not None
    return int(match[1])


def load_checkpoint(path: Path, like: PyTree) -> Checkpoint:
    """Reads a checkpoint into the shape of `like`.

    Raises:
        BadInput: the file is damaged, or holds something else.
    """
    arrays = _read_verified(path, _max_bytes(like))
    wall_s = float(arrays.pop(WALL_TIME_KEY))
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_leaf_name(place): leaf for place, leaf in leaves}
    arrays = _reset_stale_sums(arrays, wanted)
    for name in sorted(wanted.keys() ^ arrays.keys()):
        where = "lacks" if name in wanted else "holds an unknown"
        raise InvalidInputError(
            f"{path.name} {where} {name!r}: it is of another system, or of another "
            "version of Syntony; settings.json names the commit that made it"
        )
    restored = [_restore_leaf(path, n, arrays[n], leaf) for n, leaf in wanted.items()]
    tree = jax.tree_util.tree_unflatten(treedef, restored)
    return Checkpoint(tree, checkpoint_step(path), wall_s)


def _reset_stale_sums(
    arrays: dict[str, np.ndarray], expected: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the arrays; with sums that start anew, if those held have other names.

    Another version measured other things on the way. No state follows from them.
    """

    def sums(names: Iterable[str]) -> set[str]:
        return {name for name in names if name.startswith(METRIC_SUMS_PREFIX)}

    if sums(arrays) == sums(expected):
        return arrays
    kept = {name: arrays[name] for name in arrays.keys() - sums(arrays)}
    anew = sums(expected) | ({NUM_UPDATES_KEY} & expected.keys())
    zeros = {
        name: np.zeros(expected[name].shape, expected[name].dtype) for name in anew
    }
    return kept | zeros


def named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Returns the leaves of `tree` by their path in it, e.g. `state/actor/out/bias`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    assert len({_leaf_name(place) for place, _ in leaves}) == len(leaves)
    return {_leaf_name(place): np.asarray(_unwrap_key(leaf)) for place, leaf in leaves}


def _read_verified(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    try:
        arrays = read_npz(path, max_bytes)
    except FileNotFoundError:
        raise CheckpointNotFoundError(f"there is no checkpoint {path.name}") from None
    written, wall = arrays.pop(HASH_KEY, None), arrays.get(WALL_TIME_KEY)
    if written is None or wall is None or (wall.shape, wall.dtype) != ((), float):
        raise InvalidInputError(f"{path.name} is not a checkpoint of Syntony")
    if not np.array_equal(written, _hash(arrays)):
        raise InvalidInputError(f"{path.name} is damaged (its hash does not match)")
    return arrays


def _max_bytes(like: PyTree) -> int:
    """Returns the bytes that a checkpoint of these shapes can have."""
    leaves = jax.tree.leaves(like)
    arrays = [jax.eval_shape(_unwrap_key, leaf) for leaf in leaves]
    sizes = [math.prod(array.shape) * array.dtype.itemsize for array in arrays]
    return sum(sizes) + SIZE_SLACK + SIZE_SLACK_PER_LEAF * len(sizes)


def _restore_leaf(path: Path, name: str, array: np.ndarray, like: Any) -> jax.Array:
    is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    plain = jax.eval_shape(_unwrap_key, like)
    if (array.shape, array.dtype) != (plain.shape, plain.dtype):
        saved, wanted = f"{array.dtype}{array.shape}", f"{plain.dtype}{plain.shape}"
        raise InvalidInputError(
            f"{path.name} holds {name!r} as {saved}; expected {wanted}"
        )
    # A copy: JAX may otherwise use memory that NumPy owns.
    value = jnp.array(array, copy=True)
    return jax.random.wrap_key_data(value, impl=_key_impl(like)) if is_key else value


def _hash(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return np.frombuffer(digest.digest(), np.uint8)


def _leaf_name(key_path: tuple) -> str:
    return jax.tree_util.keystr(key_path, simple=True, separator="/")


def _unwrap_key(leaf: Any) -> Any:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _key_impl(like: Any) -> Hashable:
    # Of a shape alone JAX does not tell.
    return jax.random.key_impl(jnp.zeros((), like.dtype))

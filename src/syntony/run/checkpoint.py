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

from syntony.errors import BadInput
from syntony.run.atomic import replacing
from syntony.run.reading import read_arrays

KEPT = 2
"""Checkpoints of a seed that are kept: the newest and the one before."""
HASH = "sha256"
WALL = "wall_s"
SUMS, COUNT = "sums/", "updates"
TRIES = 5
"""Times to look again for what a run that goes on has just replaced."""
SPARE = 2**20
SPARE_A_LEAF = 2**12
"""Bytes of a file that are not in its arrays: names, headers, sums of other names."""


class Gone(BadInput):
    """There is no such checkpoint; the run may have replaced it."""


class Saved(NamedTuple):
    """What a checkpoint file gave back."""

    tree: Any
    step: int
    wall_s: float
    """Seconds that the run had taken by then."""


def save(folder: Path, seed: int, step: int, tree: PyTree, *, wall_s: float) -> Path:
    """Writes the arrays of `tree`, then removes the seed's older checkpoints."""
    path = path_of(folder, seed, step)
    arrays = named_arrays(tree) | {WALL: np.array(wall_s)}
    with replacing(path) as file:
        np.savez(file, allow_pickle=False, **arrays, **{HASH: _hash(arrays)})
    for old in of_seed(folder, seed)[KEPT:]:
        old.unlink()
    return path


def newest(folder: Path, seed: int, like: PyTree) -> Saved | None:
    """Returns a seed's newest checkpoint that is whole, or None if there is no file.

    Warns when it has to fall back to an older one.

    Args:
        like: shapes and types of what was saved, e.g. by `jax.eval_shape`.

    Raises:
        BadInput: there are files, and none of them can be used.
    """
    failures: list[BadInput] = []
    for _ in range(TRIES):
        failures = []
        for path in of_seed(folder, seed):
            try:
                saved = load(path, like)
            except BadInput as failure:
                failures.append(failure)
            else:
                _warn(failures, path)
                return saved
        if not any(isinstance(failure, Gone) for failure in failures):
            break
    if failures:
        raise failures[0]
    return None


def _warn(failures: list[BadInput], path: Path) -> None:
    for failure in failures:
        if not isinstance(failure, Gone):
            warnings.warn(f"{failure}; using {path.name}", stacklevel=3)


def path_of(folder: Path, seed: int, step: int) -> Path:
    """Returns where the checkpoint of a seed at a step is, or would be."""
    return folder / f"seed-{seed}-{step:012d}.npz"


def of_seed(folder: Path, seed: int) -> list[Path]:
    """Returns a seed's checkpoint files, newest first."""
    return sorted(folder.glob(f"seed-{seed}-{'[0-9]' * 12}.npz"), reverse=True)


def forget(folder: Path, seed: int, step: int) -> None:
    """Removes a seed's checkpoints that are newer than the one it goes on from."""
    for path in of_seed(folder, seed):
        if step_of(path) > step:
            path.unlink()


def step_of(path: Path) -> int:
    """Returns the step at which a checkpoint was taken."""
    match = re.fullmatch(r"seed-\d+-(\d{12})", path.stem)
    assert match is not None
    return int(match[1])


def load(path: Path, like: PyTree) -> Saved:
    """Reads a checkpoint into the shape of `like`.

    Raises:
        BadInput: the file is damaged, or holds something else.
    """
    arrays = _read(path, _most(like))
    wall_s = float(arrays.pop(WALL))
    leaves, treedef = jax.tree_util.tree_flatten_with_path(like)
    wanted = {_name(place): leaf for place, leaf in leaves}
    arrays = _with_sums_of_today(arrays, wanted)
    for name in sorted(wanted.keys() ^ arrays.keys()):
        where = "lacks" if name in wanted else "holds an unknown"
        raise BadInput(
            f"{path.name} {where} {name!r}: it is of another system, or of another "
            "version of Syntony; settings.json names the commit that made it"
        )
    restored = [_restore(path, n, arrays[n], leaf) for n, leaf in wanted.items()]
    tree = jax.tree_util.tree_unflatten(treedef, restored)
    return Saved(tree, step_of(path), wall_s)


def _with_sums_of_today(
    arrays: dict[str, np.ndarray], wanted: dict[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the arrays; with sums that start anew, if those held have other names.

    Another version measured other things on the way. No state follows from them.
    """

    def sums(names: Iterable[str]) -> set[str]:
        return {name for name in names if name.startswith(SUMS)}

    if sums(arrays) == sums(wanted):
        return arrays
    kept = {name: arrays[name] for name in arrays.keys() - sums(arrays)}
    anew = sums(wanted) | ({COUNT} & wanted.keys())
    zeros = {name: np.zeros(wanted[name].shape, wanted[name].dtype) for name in anew}
    return kept | zeros


def named_arrays(tree: PyTree) -> dict[str, np.ndarray]:
    """Returns the leaves of `tree` by their path in it, e.g. `state/actor/out/bias`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    assert len({_name(place) for place, _ in leaves}) == len(leaves)
    return {_name(place): np.asarray(_plain(leaf)) for place, leaf in leaves}


def _read(path: Path, most: int) -> dict[str, np.ndarray]:
    try:
        arrays = read_arrays(path, most)
    except FileNotFoundError:
        raise Gone(f"there is no checkpoint {path.name}") from None
    written, wall = arrays.pop(HASH, None), arrays.get(WALL)
    if written is None or wall is None or (wall.shape, wall.dtype) != ((), float):
        raise BadInput(f"{path.name} is not a checkpoint of Syntony")
    if not np.array_equal(written, _hash(arrays)):
        raise BadInput(f"{path.name} is damaged (its hash does not match)")
    return arrays


def _most(like: PyTree) -> int:
    """Returns the bytes that a checkpoint of these shapes can have."""
    leaves = jax.tree.leaves(like)
    arrays = [jax.eval_shape(_plain, leaf) for leaf in leaves]
    sizes = [math.prod(array.shape) * array.dtype.itemsize for array in arrays]
    return sum(sizes) + SPARE + SPARE_A_LEAF * len(sizes)


def _restore(path: Path, name: str, array: np.ndarray, like: Any) -> jax.Array:
    is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
    plain = jax.eval_shape(_plain, like)
    if (array.shape, array.dtype) != (plain.shape, plain.dtype):
        saved, wanted = f"{array.dtype}{array.shape}", f"{plain.dtype}{plain.shape}"
        raise BadInput(f"{path.name} holds {name!r} as {saved}; expected {wanted}")
    # A copy: JAX may otherwise use memory that NumPy owns.
    value = jnp.array(array, copy=True)
    return (
        jax.random.wrap_key_data(value, impl=_implementation(like)) if is_key else value
    )


def _hash(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return np.frombuffer(digest.digest(), np.uint8)


def _name(place: tuple) -> str:
    return jax.tree_util.keystr(place, simple=True, separator="/")


def _plain(leaf: Any) -> Any:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _implementation(like: Any) -> Hashable:
    # Of a shape alone JAX does not tell.
    return jax.random.key_impl(jnp.zeros((), like.dtype))

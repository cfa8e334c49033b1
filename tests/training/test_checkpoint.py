"""Checkpoints are restored bit for bit, and damaged ones are refused."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float, Int, Key, PyTree

from syntony.errors import InvalidInputError
from syntony.training import checkpoint
from syntony.training.atomic_io import atomic_write


class Inner(NamedTuple):
    w: Float[Array, "2 3"]
    steps: Int[Array, ""]


class State(NamedTuple):
    inner: Inner
    keys: Key[Array, " 2"]
    by_name: dict[str, Array]


@pytest.fixture
def state() -> State:
    w = jax.random.normal(jax.random.key(1), (2, 3))
    return State(
        inner=Inner(w, jnp.array(7, jnp.int32)),
        keys=jax.random.split(jax.random.key(2)),
        by_name={"a/b": jnp.array([jnp.inf, -0.0]), "flag": jnp.array(True)},
    )


def shapes(tree: PyTree) -> PyTree:
    return jax.eval_shape(lambda: tree)


def assert_equal(one: PyTree, other: PyTree) -> None:
    a, b = checkpoint.named_arrays(one), checkpoint.named_arrays(other)
    assert {n: x.tobytes() for n, x in a.items()} == {
        n: x.tobytes() for n, x in b.items()
    }


def test_a_checkpoint_is_restored_bit_for_bit(tmp_path: Path, state: State):
    path = checkpoint.save_checkpoint(tmp_path, 3, 50_000, state, wall_s=1.5)
    assert path.name == "seed-3-000000050000.npz"
    saved = checkpoint.load_checkpoint(path, shapes(state))
    assert_equal(saved.tree, state)
    assert (saved.step, saved.wall_s) == (50_000, 1.5)
    # Restored keys have the key type, and give the same random numbers.
    draw = jax.vmap(jax.random.normal)
    np.testing.assert_array_equal(draw(saved.tree.keys), draw(state.keys))


def test_keys_of_another_implementation_are_restored(tmp_path: Path):
    tree = {"key": jax.random.key(5, impl="rbg")}
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, tree, wall_s=0.0)
    assert (
        checkpoint.load_checkpoint(path, shapes(tree)).tree["key"].dtype
        == tree["key"].dtype
    )


def test_leaves_are_named_and_not_pickled(tmp_path: Path, state: State):
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, state, wall_s=0.0)
    with np.load(path, allow_pickle=False) as file:
        assert {"inner/w", "inner/steps", "keys", "by_name/a/b"} <= set(file.files)


def test_every_flipped_bit_is_detected_or_harmless(tmp_path: Path, state: State):
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, state, wall_s=0.0)
    like, content = shapes(state), path.read_bytes()
    num_detected = 0
    for position in range(0, len(content), 7):
        path.write_bytes(flip_bit(content, position))
        try:
            saved = checkpoint.load_checkpoint(path, like)
        except InvalidInputError:
            num_detected += 1
        else:
            assert_equal(saved.tree, state)
    assert num_detected > 100


def write_half(path: Path) -> None:
    with atomic_write(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def flip_bit(content: bytes, position: int) -> bytes:
    flipped = bytes([content[position] ^ 1])
    return content[:position] + flipped + content[position + 1 :]


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_file_is_detected(tmp_path: Path, state: State, size: int):
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, state, wall_s=0.0)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InvalidInputError, match="is damaged"):
        checkpoint.load_checkpoint(path, shapes(state))


def test_other_names_shapes_and_types_are_refused(tmp_path: Path, state: State):
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, state, wall_s=0.0)
    wider = state._replace(inner=state.inner._replace(w=jnp.zeros((2, 4))))
    with pytest.raises(InvalidInputError, match=r"holds 'inner/w' as float32\(2, 3\)"):
        checkpoint.load_checkpoint(path, shapes(wider))
    more = {**state.by_name, "c": state.keys}
    with pytest.raises(InvalidInputError, match="lacks 'by_name/c'"):
        checkpoint.load_checkpoint(path, shapes(state._replace(by_name=more)))
    with pytest.raises(InvalidInputError, match="holds an unknown 'by_name/a/b'"):
        checkpoint.load_checkpoint(path, shapes(state._replace(by_name={})))


def test_metric_sums_of_another_version_are_reset(tmp_path: Path):
    old = {
        "state": jnp.ones(2),
        "metric_sums": {"loss": jnp.ones(())},
        "num_updates": jnp.ones(()),
    }
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, old, wall_s=0.0)
    new = old | {"metric_sums": {"loss": jnp.zeros(()), "error": jnp.zeros(())}}
    restored = checkpoint.load_checkpoint(path, shapes(new)).tree
    assert_equal(restored, new | {"num_updates": jnp.zeros(())})


def test_npz_files_of_other_programs_are_refused(tmp_path: Path, state: State):
    path = checkpoint.checkpoint_path(tmp_path, 0, 0)
    np.savez(path, w=np.zeros(3))
    with pytest.raises(InvalidInputError, match="not a checkpoint of Syntony"):
        checkpoint.load_checkpoint(path, shapes(state))


def test_the_newest_two_checkpoints_of_each_seed_are_kept(tmp_path: Path, state: State):
    for seed in (1, 11):
        for step in (5, 50, 500):
            checkpoint.save_checkpoint(tmp_path, seed, step, state, wall_s=0.0)
    steps = [
        checkpoint.checkpoint_step(path)
        for path in checkpoint.checkpoint_paths(tmp_path, 1)
    ]
    assert steps == [500, 50]
    assert len(list(tmp_path.iterdir())) == 4


def test_load_latest_warns_and_falls_back(tmp_path: Path, state: State):
    like = shapes(state)
    assert checkpoint.load_latest(tmp_path, 0, like) is None
    checkpoint.save_checkpoint(tmp_path, 0, 5, state, wall_s=0.0)
    newest = checkpoint.save_checkpoint(tmp_path, 0, 50, state, wall_s=0.0)
    newest.write_bytes(b"PK")
    with pytest.warns(UserWarning, match=r"000050\.npz is damaged .*000005\.npz"):
        saved = checkpoint.load_latest(tmp_path, 0, like)
    assert saved is not None
    assert saved.step == 5


def test_a_failed_save_leaves_only_the_old_file(tmp_path: Path, state: State):
    path = checkpoint.save_checkpoint(tmp_path, 0, 0, state, wall_s=0.0)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]

"""JAX's global settings do not change the numbers of any command or call."""

from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import settings_matrix
from jaxtyping import Array, Key
from toy_system import Toy, ToyState

import syntony
from syntony.cli import main
from syntony.jax_settings import SETTINGS

LINK = ["link", "--messages", "4", "--uses", "1", "--batch-size", "16", "--hidden", "4"]
OTHER_VALUES = {
    "jax_enable_x64": True,
    "jax_default_prng_impl": "rbg",
    "jax_threefry_partitionable": False,
    "jax_numpy_dtype_promotion": "strict",
    "jax_numpy_rank_promotion": "raise",
}


@pytest.fixture
def other_settings() -> Iterator[None]:
    """JAX's settings as another library may have set them."""
    before = {name: getattr(jax.config, name) for name in OTHER_VALUES}
    try:
        for name, value in OTHER_VALUES.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def test_every_setting_is_tested():
    assert OTHER_VALUES.keys() == {name for name, _, _ in SETTINGS}


def link_numbers(out: Path) -> list[object]:
    """Numbers of a link's commands and calls, in a folder of their own."""
    flags = [*LINK, "--steps", "6", "--eval-every", "3", "--eval-episodes", "4"]
    assert main(["train", *flags, "--out", str(out), "--quiet"]) == 0
    run = syntony.load(out)
    sent = run.transmit(np.arange(4))
    samples = {name: x.tolist() for name, x in run.evaluate(episodes=5)[0].items()}
    received = run.receive(sent).tolist()
    return [settings_matrix.run_numbers(out), sent.tolist(), received, samples]


def test_a_link(tmp_path: Path, request: pytest.FixtureRequest):
    expected = link_numbers(tmp_path / "before")
    request.getfixturevalue("other_settings")
    assert link_numbers(tmp_path / "after") == expected


@pytest.mark.usefixtures("other_settings")
def test_what_a_users_code_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Systems and callbacks, which Syntony calls, have numbers of 32 bits."""
    seen: list[str] = []
    init = Toy.init

    def watched_init(self: Toy, key: Key[Array, ""]) -> ToyState:
        seen.append(jnp.zeros(()).dtype.name)
        return init(self, key)

    monkeypatch.setattr(Toy, "init", watched_init)

    def callback(run: syntony.Run, step: int, metrics: object) -> None:
        del metrics
        seen.extend([jnp.zeros(()).dtype.name, str(run.states[0].x.dtype)] * (step > 0))

    options = {"eval_episodes": 2, "callbacks": [callback], "quiet": True}
    syntony.train(Toy(size=4), steps=6, out=tmp_path / "run", **options)
    assert len(seen) > 2
    assert {*seen} == {"float32"}
    assert jnp.zeros(()).dtype == "float64"


# The table of all systems takes half an hour: python tests/helpers/settings_matrix.py
@pytest.mark.slow
@pytest.mark.parametrize("name", ["smpe", "qmix", "link"])
def test_all_commands(name: str, tmp_path: Path):
    assert {*settings_matrix.differences(name, tmp_path).values()} == {"same"}

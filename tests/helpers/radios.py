# ruff: noqa: ARG002
"""Black-box channels of the protocol `Channel`, one of them valid, others not."""

from typing import Any

import jax.numpy as jnp
import numpy as np


class Radio:
    """AWGN with a random generator of its own."""

    differentiable: Any = False
    is_black_box = True
    has_unknown_gain = False

    def __init__(self, name: str, snr_db: float = 10.0):
        self.id = f"python:radios:{name}"
        self.snr_db = snr_db
        self.rng = np.random.default_rng(0)

    def check(self) -> None:
        """Every radio is valid."""

    def with_snr(self, snr_db: Any) -> Any:
        return type(self)(self.id.rpartition(":")[2], float(snr_db))

    def __call__(self, key: Any, x: Any) -> Any:
        std = (10.0 ** (-self.snr_db / 10.0) / 2) ** 0.5
        return x + jnp.asarray(std * self.rng.normal(size=x.shape), jnp.float32)


class Undeclared(Radio):
    differentiable = None


class Mute(Radio):
    def __call__(self, key: Any, x: Any) -> Any:
        raise TimeoutError("no answer")


class Even(Radio):
    def __call__(self, key: Any, x: Any) -> Any:
        if len(x) % 2 and len(x) != 7:
            raise ValueError("an odd batch")
        return super().__call__(key, x)


class Repeating(Radio):
    def __call__(self, key: Any, x: Any) -> Any:
        self.rng = np.random.default_rng(0)
        return super().__call__(key, x)


class Stubborn(Radio):
    def with_snr(self, snr_db: Any) -> Any:
        return self


good = Radio("good")
undeclared = Undeclared("undeclared")
mute = Mute("mute")
even = Even("even")
repeating = Repeating("repeating")
stubborn = Stubborn("stubborn")
lost = Radio("good")

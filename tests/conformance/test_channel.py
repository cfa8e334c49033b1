"""Rules of channels: built-in ones keep them; each rule finds one that does not."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import radios
from reports import messages

from syntony.channels.awgn import AWGN
from syntony.channels.drift import Drift
from syntony.channels.quantizer import Quantizer
from syntony.channels.registry import CHANNEL_FAMILIES, parse_channel
from syntony.config import pytree_dataclass
from syntony.conformance.channel import BLACK_BOX_RULES, JAX_RULES, check_channel

CHAINS = [
    "phase?random_initial_phase=true+amplifier+awgn",
    "awgn+quantizer",
    pytest.param("amplifier+isi+jakes+awgn", marks=pytest.mark.slow),
    "rayleigh?snr_db=inf",
]


EXAMPLES = {name: family.example for name, family in CHANNEL_FAMILIES.items()}
FAST = ("awgn", "rayleigh", "quantizer", "impulsive", "drift")


@pytest.mark.parametrize(
    "id",
    [
        *(
            pytest.param(id, marks=[pytest.mark.slow] * (name not in FAST))
            for name, id in EXAMPLES.items()
        ),
        *CHAINS,
        "python:numpy:conj",
    ],
)
def test_every_channel_keeps_the_rules(id: str):
    report = check_channel(parse_channel(id))
    assert messages(report) == {}
    assert report.num_calls >= 300


def broken(base: type = AWGN, *, fields: Any = None, **attributes: Any) -> Any:
    """A channel of JAX with other attributes, under the id of its base."""
    return pytree_dataclass(type("Broken", (base,), attributes))(**(fields or {}))


def impure(channel: Any, key: Any, x: Any) -> Any:
    return AWGN.__call__(channel, key, x) + float(np.random.default_rng().uniform())


def raised_to(channel: Any, snr_db: Any) -> Any:
    return dataclasses.replace(channel, snr_db=snr_db + 1.0)


def receive(channel: Any, key: Any, state: Any, x: Any) -> Any:
    """A drift, over which each block also receives the next one."""
    state, y = Drift.__call__(channel, key, state, x)
    return state, y + jnp.roll(x, -1, axis=0) * (len(x) > 1)


def count(channel: Any, key: Any, state: Any, x: Any) -> Any:
    """A drift whose phase is not a number after a hundred batches."""
    state, y = Drift.__call__(channel, key, state, x)
    late = state > jnp.uint32(100 * 2**32 // 1000)
    return state, jnp.where(late, jnp.nan, y)


def without_limit(channel: Any, key: Any, x: Any) -> Any:
    return AWGN.__call__(channel, key, x) + 1.0 * jnp.isinf(channel.snr_db)


BROKEN = {
    "declarations": (broken(has_unknown_gain=None), "has_unknown_gain is None; expect"),
    "shapes and types": (
        broken(__call__=lambda c, key, x: AWGN.__call__(c, key, x)[:, 1:]),
        "y is float32[1, 3, 2]; expected float32[1, 4, 2], as x",
    ),
    "y is finite": (
        broken(__call__=lambda c, key, x: AWGN.__call__(c, key, x) / (len(x) != 1)),
        "8 of 8 numbers of y are not finite",
    ),
    "same key, same result": (broken(__call__=impure), "expected all randomness to co"),
    "noise differs in every call": (
        broken(__call__=lambda c, _, x: AWGN.__call__(c, jax.random.key(0), x)),
        "but two calls gave the same y",
    ),
    "blocks are independent": (
        broken(__call__=lambda c, key, x: AWGN.__call__(c, key, x - jnp.mean(x))),
        "another first block changes the others",
    ),
    "state": (
        broken(
            Drift,
            init=lambda _, key: jnp.asarray(0.0 * len(key.shape)),
            __call__=lambda _, key, state, x: (state + 0.0 * len(key.shape), x),
        ),
        "the state of init has weak types",
    ),
    "blocks depend on earlier ones alone": (
        broken(Drift, __call__=receive),
        "another last block changes the others",
    ),
    "many batches": (
        broken(Drift, fields={"period": 1000.0}, __call__=count),
        "y is not finite in batch 100; expected numbers",
    ),
    "infinite SNR": (
        broken(__call__=without_limit),
        "y at an infinite SNR is not that at 250 dB; expected y without noise",
    ),
    "another SNR": (broken(with_snr=raised_to), "with_snr(3.0) has snr_db 4.0"),
    "noise power": (
        broken(__call__=lambda c, key, x: (AWGN.__call__(c, key, x) + x) / 2.0),
        "noise power is 0.02",
    ),
    "gradient": (
        broken(Quantizer, differentiable=True),
        "differentiable is True, but jax.grad gives 0 where a finite difference gives",
    ),
    "id round trip": (
        broken(fields={"snr_db": 5.0}, id="awgn"),
        "snr_db is 5.0, and 10.0 if 'awgn' is parsed",
    ),
}
"""For every rule a channel in JAX that breaks it, and the message about it."""
BROKEN_RADIOS = {
    "declarations": (radios.undeclared, "differentiable is None; expected True or Fal"),
    "y is complex, finite and as long as x": (
        radios.mute,
        "raised TimeoutError: no answer (radios.py:",
    ),
    "any batch size": (radios.even, "raised ValueError: an odd batch (radios.py:"),
    "noise differs in every call": (radios.repeating, "two calls gave the same y"),
    "another SNR": (radios.stubborn, "with_snr(3.0) has snr_db 10.0; expected 3.0"),
    "id round trip": (radios.lost, "the id 'python:radios:good' is of another channel"),
}
"""For every rule a black box that breaks it, and the message about it."""


@pytest.mark.parametrize("rule", [rule.name for rule in JAX_RULES])
@pytest.mark.usefixtures("nans_allowed")
def test_a_broken_channel_breaks_its_rule_alone(rule: str):
    """One line about that rule, and none about another."""
    channel, message = BROKEN[rule]
    assert_breaks(channel, rule, message)


@pytest.mark.parametrize("rule", [rule.name for rule in BLACK_BOX_RULES])
def test_a_broken_black_box_breaks_its_rule_alone(rule: str):
    channel, message = BROKEN_RADIOS[rule]
    assert_breaks(channel, rule, message)


def assert_breaks(channel: Any, rule: str, message: str) -> None:
    failures = messages(check_channel(channel))
    assert list(failures) == [rule], failures
    assert message in failures[rule]
    assert "\n" not in failures[rule]


def test_a_good_radio_keeps_the_rules():
    assert messages(check_channel(radios.good)) == {}

"""Properties of every channel: the protocol, its SNR, its gradient."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.chain import Chain
from syntony.channels.channel import (
    AnyChannel,
    ChannelProperties,
    HasExcessNoise,
    init_channel,
    transmit,
)
from syntony.channels.registry import CHANNEL_FAMILIES, channel, parse_channel
from syntony.errors import InvalidInputError

SINGLE = [family.example for family in CHANNEL_FAMILIES.values()]
CHAINS = [
    "amplifier+phase?random_initial_phase=true+awgn",
    "awgn+quantizer",
    "iq+multipath+rayleigh",
]
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(50, 4, 2)).astype(np.float32) / 2**0.5


def draw(channel: AnyChannel, x: np.ndarray | jax.Array = X) -> jax.Array:
    """First output of the channel, with the same key in every call."""
    state = init_channel(channel, jax.random.key(1))
    return transmit(channel, jax.random.clone(KEY), state, jnp.asarray(x, jnp.float32))[
        1
    ]


@pytest.mark.parametrize("id", [*SINGLE, *CHAINS])
def test_implements_the_protocol(id: str):
    parsed = parse_channel(id)
    assert isinstance(parsed, ChannelProperties)
    assert parsed.id == id
    assert not parsed.is_black_box
    for property_ in ("differentiable", "is_black_box", "has_unknown_gain"):
        assert isinstance(getattr(parsed, property_), bool)
    y = draw(parsed)
    assert (y.shape, y.dtype) == (X.shape, jnp.float32)
    np.testing.assert_array_equal(y, draw(parsed))


@pytest.mark.parametrize("name", CHANNEL_FAMILIES)
def test_a_name_alone_is_an_id(name: str):
    assert parse_channel(name).id == name


@pytest.mark.parametrize("id", [*SINGLE, *CHAINS])
def test_gradient_equals_a_finite_difference(id: str):
    tested = channel(id)
    weights, direction = np.random.default_rng(1).normal(size=(2, *X.shape))

    def weighted_sum(x: jax.Array) -> jax.Array:
        return jnp.sum(weights * draw(tested, x))

    derivative = float(jnp.sum(jax.grad(weighted_sum)(jnp.asarray(X)) * direction))
    if not tested.differentiable:
        assert derivative == 0.0
        return
    plus, minus = (
        float(weighted_sum(jnp.asarray(X + step * direction)))
        for step in (0.002, -0.002)
    )
    finite_difference = (plus - minus) / 0.004
    assert abs(derivative) > 1.0
    assert derivative == pytest.approx(finite_difference, rel=0.02, abs=0.1)


def test_only_the_quantizer_is_not_differentiable():
    names = {
        name for name in CHANNEL_FAMILIES if not parse_channel(name).differentiable
    }
    assert names == {"quantizer"}


def test_channels_with_unknown_gain():
    fading = {name for name in CHANNEL_FAMILIES if parse_channel(name).has_unknown_gain}
    assert fading == {"rayleigh", "rician", "multipath", "ofdm", "jakes"}
    assert not parse_channel("multipath?fading=false").has_unknown_gain


@pytest.mark.parametrize("id", SINGLE)
def test_another_snr_changes_only_the_noise(id: str):
    tested = channel(id)
    noiseless = draw(tested.with_snr(300.0))
    noise_0db = draw(tested.with_snr(0.0)) - noiseless
    noise_10db = draw(tested.with_snr(10.0)) - noiseless
    np.testing.assert_allclose(noise_10db, noise_0db / 10**0.5, atol=1e-5)
    if not isinstance(tested, HasExcessNoise):
        assert np.std(noise_0db) == pytest.approx(0.5**0.5, rel=0.15)
    assert tested.with_snr(7.0).snr_db == 7.0


@pytest.mark.parametrize(
    "id", [id for id in SINGLE if parse_channel(id).snr_db is None]
)
def test_another_snr_of_a_noiseless_channel_has_no_effect(id: str):
    assert parse_channel(id).with_snr(3.0) == parse_channel(id)


@pytest.mark.parametrize("id", ["awgn", "rayleigh", "rician", CHAINS[0]])
def test_a_sweep_over_snr_compiles_once(id: str):
    traced = []

    @jax.jit
    def receive(channel: AnyChannel, x: jax.Array) -> jax.Array:
        traced.append(channel.id)
        return draw(channel, x)

    for snr_db in (0.0, 5.0, 10.0):
        receive(parse_channel(id).with_snr(snr_db), X)
    assert len(traced) == 1
    assert "snr_db=traced" in traced[0]


def test_a_sweep_over_snr_can_be_vmapped():
    def power(snr_db: jax.Array) -> jax.Array:
        return jnp.sum(
            draw(parse_channel("phase+awgn").with_snr(snr_db), np.zeros_like(X)) ** 2
        )

    powers = jax.vmap(power)(jnp.array([0.0, 10.0]))
    np.testing.assert_allclose(powers / (50 * 4), [1.0, 0.1], rtol=0.3)
    assert powers[0] / powers[1] == pytest.approx(10.0, rel=1e-4)


def test_a_chain_applies_its_parts_in_order():
    parts = tuple(
        parse_channel(id) for id in ("amplifier", "rayleigh", "awgn?snr_db=3.0")
    )
    y, keys = jnp.asarray(X), jax.random.split(jax.random.clone(KEY), 3)
    for part, part_key in zip(parts, keys, strict=True):
        _, y = transmit(part, part_key, (), y)
    chain = Chain(parts=parts)
    np.testing.assert_allclose(draw(chain), y, rtol=1e-6)
    assert (chain.snr_db, chain.has_unknown_gain, chain.differentiable) == (
        pytest.approx(2.9142, abs=1e-4),
        True,
        True,
    )
    # Order matters: the signal saturates before or after fading.
    reversed_chain = Chain(parts=parts[::-1])
    assert (
        np.max(abs(draw(reversed_chain.with_snr(300.0)) - draw(chain.with_snr(300.0))))
        > 0.1
    )


def test_nested_chains_are_flattened():
    a, b, c = (parse_channel(id) for id in ("iq", "phase", "awgn"))
    left = Chain(parts=(Chain(parts=(a, b)), c))
    right = Chain(parts=[a, Chain(parts=(b, c))])
    assert left == right == Chain(parts=(a, b, c))
    assert hash(left) == hash(right)


def test_a_chain_needs_two_parts():
    with pytest.raises(
        InvalidInputError, match="a chain has 1 parts; expected two or more"
    ):
        Chain(parts=(parse_channel("awgn"),))


@pytest.mark.parametrize("snr_db", [float("nan"), -float("inf"), 301.0])
@pytest.mark.parametrize("id", ["awgn", "rayleigh", "rician"])
def test_an_snr_must_be_finite_and_within_limits(id: str, snr_db: float):
    with pytest.raises(
        InvalidInputError, match=r"^snr_db is .*; expected -100.0 to 300.0, or inf, e.g"
    ):
        CHANNEL_FAMILIES[id].config_class(snr_db=snr_db)

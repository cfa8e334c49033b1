"""What every channel keeps to: the protocol, its SNR, where a gradient flows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.chain import Chain
from syntony.channels.channel import Channel
from syntony.channels.registry import CHANNEL_FAMILIES, channel, parse_channel
from syntony.errors import InvalidInputError

ONES = [family.example for family in CHANNEL_FAMILIES.values()]
CHAINS = ["amplifier+phase?random=true+awgn", "awgn+quantiser", "iq+multipath+rayleigh"]
KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(50, 4, 2)).astype(np.float32) / 2**0.5


def draw(channel: Channel, x: np.ndarray = X) -> jax.Array:
    """Returns the channel's answer under one and the same chance."""
    return channel(jax.random.clone(KEY), jnp.asarray(x, jnp.float32))


@pytest.mark.parametrize("id", [*ONES, *CHAINS])
def test_it_keeps_to_the_protocol(id: str):
    one = parse_channel(id)
    assert isinstance(one, Channel)
    assert one.id == id
    assert not one.is_black_box
    y = draw(one)
    assert (y.shape, y.dtype) == (X.shape, jnp.float32)
    np.testing.assert_array_equal(y, draw(one))


@pytest.mark.parametrize("id", [*ONES, *CHAINS])
def test_gradients_flow_where_it_says_so(id: str):
    one = channel(id)
    weights, way = np.random.default_rng(1).normal(size=(2, *X.shape))

    def score(x: jax.Array) -> jax.Array:
        return jnp.sum(weights * one(jax.random.clone(KEY), x))

    slope = float(jnp.sum(jax.grad(score)(jnp.asarray(X)) * way))
    if not one.differentiable:
        assert slope == 0.0
        return
    ends = [float(score(jnp.asarray(X + side * way))) for side in (0.01, -0.01)]
    secant = (ends[0] - ends[1]) / 0.02
    assert abs(slope) > 1.0
    assert slope == pytest.approx(secant, rel=0.02, abs=0.1)


def test_only_the_quantiser_has_no_gradient():
    without = {
        name for name in CHANNEL_FAMILIES if not parse_channel(name).differentiable
    }
    assert without == {"quantiser"}


def test_who_fades():
    fading = {name for name in CHANNEL_FAMILIES if parse_channel(name).has_unknown_gain}
    assert fading == {"rayleigh", "rician", "multipath"}
    assert not parse_channel("multipath?fading=false").has_unknown_gain


@pytest.mark.parametrize("id", ONES)
def test_another_snr_changes_the_noise_and_nothing_else(id: str):
    one = channel(id)
    clean = draw(one.with_snr(300.0))
    loud, quiet = draw(one.with_snr(0.0)) - clean, draw(one.with_snr(10.0)) - clean
    np.testing.assert_allclose(quiet, loud / 10**0.5, atol=1e-5)
    assert np.std(loud) == pytest.approx(0.5**0.5, rel=0.15)
    assert one.with_snr(7.0).snr_db == 7.0


@pytest.mark.parametrize("id", [id for id in ONES if parse_channel(id).snr_db is None])
def test_without_noise_another_snr_is_the_same(id: str):
    assert parse_channel(id).with_snr(3.0) == parse_channel(id)


@pytest.mark.parametrize("id", ["awgn", "rayleigh", "rician", CHAINS[0]])
def test_a_sweep_over_snr_compiles_once(id: str):
    traced = []

    @jax.jit
    def sent(channel: Channel, x: jax.Array) -> jax.Array:
        traced.append(channel.id)
        return channel(jax.random.key(0), x)

    for snr_db in (0.0, 5.0, 10.0):
        sent(parse_channel(id).with_snr(snr_db), X)
    assert len(traced) == 1
    assert "snr_db=traced" in traced[0]


def test_a_sweep_over_snr_can_be_a_batch():
    def power(snr_db: jax.Array) -> jax.Array:
        return jnp.sum(
            draw(parse_channel("phase+awgn").with_snr(snr_db), np.zeros_like(X)) ** 2
        )

    got = jax.vmap(power)(jnp.array([0.0, 10.0]))
    np.testing.assert_allclose(got / (50 * 4), [1.0, 0.1], rtol=0.3)
    assert got[0] / got[1] == pytest.approx(10.0, rel=1e-4)


def test_a_chain_is_one_channel_after_the_other():
    parts = tuple(
        parse_channel(id) for id in ("amplifier", "rayleigh", "awgn?snr_db=3.0")
    )
    y, keys = jnp.asarray(X), jax.random.split(jax.random.clone(KEY), 3)
    for part, own_key in zip(parts, keys, strict=True):
        y = part(own_key, y)
    chain = Chain(parts=parts)
    np.testing.assert_allclose(draw(chain), y, rtol=1e-6)
    assert (chain.snr_db, chain.has_unknown_gain, chain.differentiable) == (
        3.0,
        True,
        True,
    )
    # Order matters: what saturates is not what has faded.
    turned = Chain(parts=parts[::-1])
    assert np.max(abs(draw(turned.with_snr(300.0)) - draw(chain.with_snr(300.0)))) > 0.1


def test_chains_within_chains_are_flat():
    a, b, c = (parse_channel(id) for id in ("iq", "phase", "awgn"))
    left = Chain(parts=(Chain(parts=(a, b)), c))
    right = Chain(parts=[a, Chain(parts=(b, c))])
    assert left == right == Chain(parts=(a, b, c))
    assert hash(left) == hash(right)


def test_a_chain_has_two_parts_at_least():
    with pytest.raises(
        InvalidInputError, match="a chain has 1 parts; expected two or more"
    ):
        Chain(parts=(parse_channel("awgn"),))


@pytest.mark.parametrize("snr_db", [float("nan"), float("inf"), -float("inf"), 301.0])
@pytest.mark.parametrize("id", ["awgn", "rayleigh", "rician"])
def test_an_snr_is_a_number(id: str, snr_db: float):
    with pytest.raises(
        InvalidInputError, match=r"^snr_db is .*; expected -100.0 to 300.0, e.g"
    ):
        CHANNEL_FAMILIES[id].config_class(snr_db=snr_db)

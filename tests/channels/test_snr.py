"""SNRs: of chains, infinite ones, and what sets them."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syntony.channels.chain import Chain
from syntony.channels.channel import AnyChannel
from syntony.channels.registry import CHANNEL_FAMILIES, channel, parse_channel

NOISY = [name for name in CHANNEL_FAMILIES if parse_channel(name).snr_db is not None]
X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 2)), jnp.float32)


def part_snrs(chain: AnyChannel) -> list[float | None]:
    assert isinstance(chain, Chain)
    snrs_db = [part.snr_db for part in chain.parts]
    return [None if x is None else float(x) for x in snrs_db]


@pytest.mark.parametrize(
    ("id", "parts", "total"),
    [
        ("rayleigh?snr_db=300+awgn?snr_db=10", [300.0, 10.0], 10.0),
        (
            "awgn?snr_db=25+quantizer?bits=3+awgn?snr_db=8",
            [25.0, None, 8.0],
            -10 * math.log10(10**-2.5 + 10**-0.8),
        ),
        (
            "rician?snr_db=40+amplifier+awgn",
            [40.0, None, 10.0],
            -10 * math.log10(1e-4 + 0.1),
        ),
        ("rayleigh+awgn", [10.0, 10.0], 6.98970004336),
        ("rayleigh?snr_db=inf+awgn", [math.inf, 10.0], 10.0),
        ("amplifier+rayleigh", [None, 20.0], 20.0),
        ("rayleigh?snr_db=inf+awgn?snr_db=inf", [math.inf, math.inf], math.inf),
        ("iq+phase", [None, None], None),
    ],
)
def test_parts_stay_as_typed_and_the_total_is_reported(
    id: str, parts: list[float | None], total: float | None
):
    parsed = parse_channel(id)
    assert part_snrs(parsed) == parts
    assert parsed.snr_db == (total if total is None else pytest.approx(total))
    assert parse_channel(parsed.id) == parsed


def test_objects_are_not_changed_in_a_chain():
    """Only an id leaves an SNR open."""
    chain = Chain(parts=(parse_channel("rayleigh"), parse_channel("awgn")))
    assert part_snrs(chain) == [20.0, 10.0]
    assert chain.id == "rayleigh?snr_db=20.0+awgn"
    assert parse_channel(chain.id) == chain


@given(
    snrs_db=st.lists(
        st.floats(-30.0, 60.0) | st.just(math.inf), min_size=2, max_size=4
    ),
    total=st.floats(-30.0, 60.0) | st.just(math.inf),
)
@settings(deadline=None, max_examples=50)
def test_all_finite_noises_are_shifted_to_a_total(snrs_db: list[float], total: float):
    chain = parse_channel("+".join(f"awgn?snr_db={x!r}" for x in snrs_db))
    shifted = chain.with_snr(total)
    if all(map(math.isinf, snrs_db)):
        assert shifted == chain
        return
    assert shifted.snr_db == pytest.approx(total)
    shifts = [
        new - old
        for old, new in zip(snrs_db, part_snrs(shifted), strict=True)
        if math.isfinite(old) and new is not None
    ]
    assert shifts == pytest.approx([shifts[0]] * len(shifts))
    assert [x == math.inf for x in part_snrs(shifted)] == [
        total == math.inf or x == math.inf for x in snrs_db
    ]


def test_a_set_total_leaves_typed_numbers_exact():
    chain = parse_channel("rayleigh?snr_db=17.3+awgn?snr_db=9.1")
    assert chain.snr_db is not None
    assert chain.with_snr(chain.snr_db) == chain
    assert parse_channel("rayleigh?snr_db=inf+awgn").with_snr(7.3).snr_db == 7.3


def test_a_negligible_noise_stays_within_its_limits():
    """A sweep over SNR does not end where a part of 300 dB would become 302."""
    chain = parse_channel("rayleigh?snr_db=300+awgn?snr_db=10").with_snr(12.0)
    assert part_snrs(chain) == [300.0, 12.0]


@pytest.mark.parametrize(
    "id", ["phase+awgn", "rayleigh+awgn", "rician?snr_db=inf+awgn"]
)
def test_the_total_can_be_traced(id: str):
    """The channel itself may be traced, as a link's is, or only the new SNR."""
    chain = parse_channel(id)

    @jax.jit
    def raised(chain: AnyChannel, offset: jax.Array) -> AnyChannel:
        assert chain.snr_db is not None
        return chain.with_snr(chain.snr_db + offset)

    assert chain.snr_db is not None
    got, want = raised(chain, jnp.float32(3.0)), chain.with_snr(chain.snr_db + 3.0)
    np.testing.assert_allclose(
        jnp.asarray(jax.tree.leaves(got)), jnp.asarray(jax.tree.leaves(want)), rtol=1e-6
    )


@pytest.mark.parametrize("id", NOISY)
def test_an_infinite_snr_is_no_noise(id: str):
    """It is written in ids, is not another channel's, and stays."""
    silent = parse_channel(f"{id}?snr_db=inf")
    assert silent.snr_db == math.inf
    assert silent.id == f"{id}?snr_db=inf"
    assert channel(silent.id) == silent
    assert silent.with_snr(3.0) == silent
    assert parse_channel(id).with_snr(math.inf) == silent
    silent.check()


@pytest.mark.parametrize("snr_db", ["nan", "-inf", "1e999", "Infinity"])
def test_only_inf_is_no_noise(snr_db: str):
    with pytest.raises(ValueError, match="snr_db is"):
        parse_channel(f"awgn?snr_db={snr_db}")

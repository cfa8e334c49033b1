"""Black-box channels: inputs, valid and invalid outputs, and ids."""

import functools
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import own_channels
import pytest

from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel, ChannelError
from syntony.channels.chain import Chain
from syntony.channels.channel import (
    AnyChannel,
    Channel,
    HasBLERBounds,
    HasOutputUses,
    transmit,
)
from syntony.channels.registry import channel
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import InvalidInputError

X = (np.arange(12).reshape(3, 4) * (1 + 2j)).astype(np.complex64)
PAIRS = jnp.asarray(complex_to_pairs(X))
GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "own-channel.md"
KEY = jax.random.key(0)


def test_the_function_maps_complex_to_complex():
    inputs = []

    def rotate(x: np.ndarray) -> np.ndarray:
        inputs.append(x.copy())
        x *= 1j  # In place: x is a copy.
        return x.astype(np.complex128)

    y = BlackBoxChannel(function=rotate)(KEY, PAIRS)
    assert inputs[0].dtype == np.complex64
    np.testing.assert_array_equal(inputs[0], X)
    assert (y.dtype, isinstance(y, jax.Array)) == (jnp.float32, True)
    np.testing.assert_array_equal(y, complex_to_pairs(1j * X))


def test_the_channel_of_the_guide_works():
    code = GUIDE.read_text().split("```python\n")[1].split("```")[0]
    namespace = {}
    exec(code, namespace)
    sent = np.ones((2000, 4), np.complex64)
    y = BlackBoxChannel(function=namespace["cable"])(
        KEY, jnp.asarray(complex_to_pairs(sent))
    )
    # Saturation to 1 / √1.5, phases of 0.1 rad, noise of 10 dB.
    assert np.mean(y[..., 0]) == pytest.approx(1.5**-0.5 * np.exp(-0.005), abs=0.02)
    assert np.var(y[..., 0]) == pytest.approx(0.05, rel=0.1)
    assert np.var(y[..., 1]) == pytest.approx(0.05 + 0.01 / 1.5, rel=0.1)


def test_implements_the_protocol():
    own = BlackBoxChannel(function=np.conjugate)
    assert isinstance(own, Channel)
    assert own.is_black_box
    assert not own.differentiable
    assert own.with_snr(3.0) is own
    own.check()


def crash(x: np.ndarray) -> np.ndarray:
    raise OSError(f"no device\nfor {len(x)} blocks")


def flatten(x: np.ndarray) -> np.ndarray:
    x.resize(x.size, refcheck=False)
    return x


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x: x[:, :3],
            "returned complex64[3, 3]; expected complex64[3, 4], or the length "
            "declared by: <lambda>.output_uses = 3",
        ),
        (lambda x: x.real, "returned float32[3, 4]; expected complex64[3, 4]"),
        (lambda x: x.ravel(), "returned complex64[12]; expected complex64[3, 4]"),
        (
            lambda x: complex_to_pairs(x),
            "returned float32[3, 4, 2]; expected complex64[3, 4]",
        ),
        (flatten, "returned complex64[12]; expected complex64[3, 4]"),
        (lambda _: None, "returned None; expected complex64[3, 4]"),
        (lambda _: "noise", "returned <U5[]; expected complex64[3, 4]"),
        (lambda x: x.astype(object), "returned object[3, 4]; expected complex64[3, 4]"),
        (lambda x: x * np.nan, "with 12 values that are infinite or NaN; expected "),
        (
            lambda x: x + np.complex128(1e300),
            "complex128[3, 4] with 12 values that are",
        ),
        (lambda x: x.nothing, "raised AttributeError: 'numpy.ndarray' object has no"),
        (lambda x: x[9], "raised IndexError: index 9 is out of bounds"),
        (lambda _: [[1], [1, 2]], "returned a list, which is no array: setting an"),
        (lambda x: (x, {}), "returned a tuple; expected complex64[3, 4]"),
        (lambda x: (x,), "returned a tuple; expected complex64[3, 4]"),
        (lambda x: {"y": x}, "returned a dict; expected complex64[3, 4]"),
        (lambda x: (v for v in x), "returned a generator; expected complex64[3, 4]"),
        (lambda x: sys.exit(len(x)), "raised SystemExit: 3"),
        (crash, "raised OSError: no device for 3 blocks"),
    ],
)
def test_a_failure_is_reported_in_one_line(function, message: str):
    with pytest.raises(ChannelError, match=re.escape(message)) as it:
        BlackBoxChannel(function=function)(KEY, PAIRS)
    assert isinstance(it.value, InvalidInputError)
    assert str(it.value).startswith("channel python:")
    assert "\n" not in str(it.value)


def test_one_invalid_number_is_an_error():
    def leak(x: np.ndarray) -> np.ndarray:
        x[1, 2] = np.inf
        return x

    with pytest.raises(ChannelError, match="with 1 values that are infinite or NaN"):
        BlackBoxChannel(function=leak)(KEY, PAIRS)


def test_a_keyboard_interrupt_is_not_caught():
    def stop(_: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        BlackBoxChannel(function=stop)(KEY, PAIRS)


def test_it_cannot_be_compiled():
    own = BlackBoxChannel(function=np.conjugate)
    assert jax.tree.leaves(own) == []
    # A config that contains it can still be an argument of compiled code.
    assert jax.jit(lambda own, x: x + own.is_black_box)(own, 1.0) == 2.0
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jax.jit(own)(KEY, PAIRS)


def test_an_unhashable_object_can_be_a_channel():
    class Radio:
        __hash__ = None  # pyright: ignore[reportAssignmentType]

        def __call__(self, x: np.ndarray) -> np.ndarray:
            return 2 * x

    radio = Radio()
    own = BlackBoxChannel(function=radio)
    assert hash(own) == hash(BlackBoxChannel(function=radio))
    assert own == BlackBoxChannel(function=radio) != BlackBoxChannel(function=Radio())
    assert own.id == "python:<Radio>"
    np.testing.assert_array_equal(own(KEY, PAIRS), 2 * PAIRS)


def test_it_can_be_part_of_a_chain():
    chain = Chain(parts=(BlackBoxChannel(function=np.conjugate), AWGN()))
    assert chain.is_black_box
    assert not chain.differentiable
    y = chain.with_snr(300.0)(KEY, PAIRS)
    np.testing.assert_allclose(y, complex_to_pairs(X.conj()), atol=1e-6)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty working directory; modules and paths are restored afterwards."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_in_the_current_folder_is_imported(folder: Path):
    text = (
        "class Box:\n    @staticmethod\n    def send(x): return -x\nflip = Box.send\n"
    )
    (folder / "my_box.py").write_text(text)
    own = channel("python:my_box:Box.send")
    assert own.id == "python:my_box:Box.send"
    flip = channel("python:my_box:flip")
    assert (flip, flip.id) == (own, "python:my_box:flip")
    np.testing.assert_array_equal(received(own), -X)
    # Its own noise is unknown; a chain can add more.
    assert own.snr_db is None
    assert channel("python:my_box:flip+awgn?snr_db=3").snr_db == 3.0


@pytest.mark.parametrize(
    ("text", "id", "message"),
    [
        (
            "",
            "bad_box:send",
            "unknown function of bad_box 'send'; valid: (it has none)",
        ),
        ("def sent(x): ...", "bad_box:send", "'send'; did you mean 'sent'?"),
        (
            "send = 3",
            "bad_box:send",
            "bad_box:send is of type int; expected a function",
        ),
        ("def", "bad_box:send", "module 'bad_box' cannot be imported: SyntaxError: "),
        ("1 / 0", "bad_box:send", "cannot be imported: ZeroDivisionError: division by"),
        ("", "no_box:send", "there is no module 'no_box' on Python's path"),
        ("", "bad_box", "'python:bad_box' is incomplete; expected python:MODULE:N"),
        ("", ":send", "'python::send' is incomplete; expected python:MODULE:NAME"),
    ],
)
def test_an_error_in_a_module_is_reported(
    folder: Path, text: str, id: str, message: str
):
    (folder / "bad_box.py").write_text(text)
    with pytest.raises(InvalidInputError, match=re.escape(message)) as it:
        channel(f"python:{id}")
    assert "\n" not in str(it.value)


@pytest.mark.parametrize(
    ("function", "id"),
    [
        (lambda x: x, "python:<lambda>"),
        (functools.partial(crash), "python:<partial>"),
    ],
)
def test_an_unnamed_function_cannot_be_imported(function, id: str):
    own = BlackBoxChannel(function=function)
    assert own.id == id
    with pytest.raises(
        InvalidInputError, match="cannot be imported; expected python:MODULE:FUN"
    ):
        channel(own.id)


def test_a_function_of_a_script_has_no_importable_id(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(crash, "__module__", "__main__")
    monkeypatch.setattr(sys.modules["__main__"], "crash", crash, raising=False)
    assert BlackBoxChannel(function=crash).id == "python:<crash>"


def test_a_named_function_can_be_imported():
    assert BlackBoxChannel(function=np.conjugate).id == "python:numpy:conjugate"
    assert channel("python:numpy:conjugate") == BlackBoxChannel(function=np.conjugate)


def received(own: AnyChannel) -> np.ndarray:
    return np.asarray(pairs_to_complex(transmit(own, KEY, (), PAIRS)[1]))


def test_an_id_gives_arguments():
    id = "python:own_channels:echo?scale=2&taps=5&real=true&host=10"
    own = channel(id)
    assert (own.id, own.snr_db) == (id, 10.0)
    np.testing.assert_allclose(received(own), 2 * X + 5j + 10 + len("10"))
    assert channel(own.id) == own != channel("python:own_channels:echo?scale=2")


def test_an_argument_is_the_snr():
    own = channel("python:own_channels:echo?scale=1&real=true&snr_db=3")
    other = own.with_snr(20.0)
    assert (own.snr_db, other.snr_db) == (3.0, 20.0)
    np.testing.assert_allclose(received(other) - received(own), 17.0)
    assert channel(other.id) == other
    assert other.id.endswith("snr_db=20.0")
    # The channel of an SNR is one object, which may have state.
    assert own.with_snr(20.0) is other
    assert own.with_snr(3.0) is own
    plain = channel("python:own_channels:plain")
    assert (plain.snr_db, plain.with_snr(3.0)) == (None, plain)


def test_a_class_is_an_object_with_state():
    own = channel("python:own_channels:Count?step=0.5")
    assert (own.id, own.snr_db) == ("python:own_channels:Count?step=0.5", 5.0)
    for calls in (1, 2):
        np.testing.assert_allclose(received(own), X + 0.5 * calls)
    other = own.with_snr(7.0)
    assert (other.id, other.snr_db) == (
        "python:own_channels:Count?step=0.5&snr_db=7.0",
        7.0,
    )
    np.testing.assert_allclose(received(other), X + 0.5)
    assert own.with_snr(7.0) is other
    assert channel(own.id) == own


def test_an_object_keeps_the_name_by_which_it_was_found(folder: Path):
    name = "python:own_channels:count"
    assert channel(name).id == name
    assert BlackBoxChannel(function=own_channels.count).id == name
    # Where the module of its class does not have it, it is found by its id alone.
    (folder / "lab.py").write_text(
        "import own_channels\nmine = own_channels.Count(1)\n"
    )
    own = channel("python:lab:mine")
    assert own.id == "python:lab:mine"
    assert channel(own.id) == own
    function = sys.modules["lab"].mine
    assert BlackBoxChannel(function=function).id == "python:<Count>"


@pytest.mark.parametrize(
    ("id", "uses"),
    [
        ("doubled", 8),
        ("Antennas", 8),
        ("Antennas?count=3", 12),
        ("first", 3),
        ("noisy?output_uses=4", 4),
        ("first?keep=2&output_uses=2", 2),
        ("plain", 4),
    ],
)
def test_blocks_may_have_another_length(id: str, uses: int):
    own = channel(f"python:own_channels:{id}")
    assert isinstance(own, HasOutputUses)
    assert own.output_uses(4) == uses
    assert received(own).shape == (3, uses)


def test_the_declared_length_is_checked():
    own = channel("python:own_channels:doubled?output_uses=6")
    with pytest.raises(ChannelError, match=r"\[3, 8\]; expected complex64\[3, 6\]"):
        received(own)
    for wrong in (0, -1, 1.5, "2", True):
        function = functools.partial(np.conjugate)
        function.output_uses = wrong  # pyright: ignore[reportAttributeAccessIssue]
        own = BlackBoxChannel(function=function)
        with pytest.raises(InvalidInputError, match="expected the number of symbols"):
            own.output_uses(4)


def test_declared_awgn_has_the_bounds_of_awgn():
    own = channel("python:own_channels:noisy?snr_db=6")
    for snr_db in (6.0, 9.0):
        at_snr = own.with_snr(snr_db)
        assert isinstance(at_snr, HasBLERBounds)
        assert at_snr.bler_bounds(16, 2) == AWGN(snr_db=snr_db).bler_bounds(16, 2)
    for id in ("echo?scale=1", "noisy?output_uses=2"):
        other = channel(f"python:own_channels:{id}")
        assert isinstance(other, HasBLERBounds)
        assert other.bler_bounds(16, 4) == {}


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("echo?snr=3&scale=1", "unknown argument of {} 'snr'; did you mean 'snr_db'?"),
        ("echo?scale", "'scale' in '{}?scale' sets nothing; expected ARGUMENT=VALUE"),
        ("echo?scale=1&scale=2", "scale is given twice in '{}?scale=1&scale=2'; exp"),
        ("echo?scale=1&taps=many", "taps is 'many'; expected a number, e.g. taps=3"),
        ("echo?scale=1&real=1", "real is '1'; expected true or false, e.g. real=false"),
        ("echo?scale=", "scale is ''; expected a value without spaces, ? and &"),
        ("echo", "{} needs scale; expected {}?scale=..., or a default"),
        ("plain?a=1", "unknown argument of {} 'a'; valid: output_uses"),
        ("noisy?snr_db=400", "snr_db is 400.0 in {}?snr_db=400.0; expected -100.0 to"),
        ("Count", "{} needs step; expected {}?step=..., or a default"),
        ("Count?stepp=1", "unknown argument of {} 'stepp'; did you mean 'step'?"),
        ("Silent", "{} is a class without __call__; expected a function of complex64"),
        ("Broken", "channel {} cannot be constructed: OSError: no device"),
    ],
)
def test_wrong_arguments_are_reported(id: str, message: str):
    name = f"python:own_channels:{id.partition('?')[0]}"
    expected = re.escape(message.replace("{}", name))
    with pytest.raises(InvalidInputError, match=expected) as it:
        channel(f"python:own_channels:{id}")
    assert "\n" not in str(it.value)


def test_a_function_may_take_any_argument():
    own = channel("python:own_channels:anything?gain=3")
    np.testing.assert_allclose(received(own), 3 * X)


def test_calls_never_overlap():
    inside, overlaps = [], []

    def slow(x: np.ndarray) -> np.ndarray:
        inside.append(1)
        overlaps.append(len(inside) > 1)
        time.sleep(0.002)
        inside.pop()
        return x

    own = BlackBoxChannel(function=slow)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: own(KEY, PAIRS), range(8)))
    assert not any(overlaps)

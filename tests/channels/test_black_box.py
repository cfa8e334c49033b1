"""Black-box channels: inputs, valid and invalid outputs, and ids."""

import functools
import re
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel, ChannelError
from syntony.channels.chain import Chain
from syntony.channels.channel import Channel
from syntony.channels.registry import channel
from syntony.equations.signal import complex_to_pairs
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
        (lambda x: x[:, :3], "returned complex64[3, 3]; expected complex64[3, 4]"),
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
        (lambda _: [[1], [1, 2]], "raised ValueError: setting an array element with"),
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
    assert channel("python:my_box:flip") == own
    np.testing.assert_array_equal(own(KEY, PAIRS), -PAIRS)
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

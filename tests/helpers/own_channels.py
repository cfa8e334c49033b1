"""Functions, objects and classes of a user that are channels."""

import numpy as np

Signal = np.ndarray


def echo(
    x: Signal,
    snr_db: float = 10,
    taps: int = 3,
    real: bool = False,
    host: str = "here",
    *,
    scale: float,
) -> Signal:
    return x * scale + 1j * taps + real * snr_db + len(host)


def plain(x: Signal) -> Signal:
    return x


def first(x: Signal, keep: int = 3, output_uses: int = 3) -> Signal:
    assert keep == output_uses
    return x[:, :keep]


def noisy(x: Signal, snr_db: float = 8.0) -> Signal:
    noise = np.random.default_rng().normal(size=(2, *x.shape))
    return x + 10 ** (-snr_db / 20) / 2**0.5 * (noise[0] + 1j * noise[1])


noisy.awgn = True  # pyright: ignore[reportFunctionMemberAccess]


class Doubled:
    """An object whose blocks are twice as long."""

    def output_uses(self, uses: int) -> int:
        return 2 * uses

    def __call__(self, x: Signal) -> Signal:
        return np.repeat(noisy(x), 2, axis=1)


doubled = Doubled()


def anything(x: Signal, **settings: float) -> Signal:
    return x * settings["gain"]


class Count:
    """Adds the number of the call, times a step."""

    def __init__(self, step: float, snr_db: float = 5.0):
        self.step, self.snr_db, self.calls = step, snr_db, 0

    def __call__(self, x: Signal) -> Signal:
        self.calls += 1
        return x + self.step * self.calls


class Antennas:
    def __init__(self, count: int = 2):
        self.count = count

    def output_uses(self, uses: int) -> int:
        return self.count * uses

    def __call__(self, x: Signal) -> Signal:
        return np.tile(x, self.count)


class Silent:
    pass


class Broken:
    def __init__(self) -> None:
        raise OSError("no device")

    def __call__(self, x: Signal) -> Signal:
        return x


count = Count(2.0)

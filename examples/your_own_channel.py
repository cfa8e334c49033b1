"""A link over a user's channel: a black box without a model or a gradient.

The channel below has amplifier saturation, phase noise and additive noise. A radio can
take its place.

    python examples/your_own_channel.py            about a minute on two cores
    python examples/your_own_channel.py 50         a short run: number of iterations
"""

import sys

import numpy as np

import syntony

MESSAGES, USES = 16, 2
rng = np.random.default_rng(0)


def radio(x: np.ndarray) -> np.ndarray:
    """Channel output for complex64[blocks, uses] of mean energy 1 per use."""
    saturated = x / np.sqrt(1.0 + np.abs(x) ** 2 / 4.0)
    phase = np.cumsum(0.05 * rng.normal(size=x.shape), axis=-1)
    noise = rng.normal(size=(2, *x.shape)) * np.sqrt(0.05 / 2.0)
    return saturated * np.exp(1j * phase) + noise[0] + 1j * noise[1]


def train(iterations: int) -> None:
    """Trains the link, then transmits and receives NumPy arrays with it."""
    link = syntony.Link(
        channel=syntony.channel(radio),
        messages=MESSAGES,
        uses=USES,
        schedule=syntony.TrainingSchedule(decay_iterations=iterations),
    )
    out = f"runs/radio-{iterations}"
    run = syntony.train(link, steps=iterations, eval_every=iterations, out=out)

    message = rng.integers(MESSAGES, size=20_000)
    probabilities = run.receive(radio(run.transmit(message)))
    error_rate = np.mean(probabilities.argmax(axis=-1) != message)
    print(f"{error_rate:.2%} of 20,000 messages were decided wrongly")


if __name__ == "__main__":
    train(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

"""A link over a channel of your own, which nobody differentiates or even reads.

The channel below saturates, drifts in phase and adds noise. Put a radio in its place.

    python examples/your_own_channel.py            about a minute on two cores
    python examples/your_own_channel.py 50         a glance: so many iterations
"""

import sys

import numpy as np

import syntony
from syntony.channels.registry import as_channel

MESSAGES, USES = 16, 2
chance = np.random.default_rng(0)


def radio(x: np.ndarray) -> np.ndarray:
    """Turns complex64[blocks, uses] of mean energy 1 into what is heard of it."""
    saturated = x / np.sqrt(1.0 + np.abs(x) ** 2 / 4.0)
    phase = np.cumsum(0.05 * chance.normal(size=x.shape), axis=-1)
    noise = chance.normal(size=(2, *x.shape)) * np.sqrt(0.05 / 2.0)
    return saturated * np.exp(1j * phase) + noise[0] + 1j * noise[1]


def learn(iterations: int) -> None:
    """Trains the link, then uses it as other software would: by NumPy arrays."""
    link = syntony.Link(
        channel=as_channel(radio),
        messages=MESSAGES,
        uses=USES,
        schedule=syntony.TrainingSchedule(decay_iterations=iterations),
    )
    out = f"runs/radio-{iterations}"
    run = syntony.train(link, steps=iterations, eval_every=iterations, out=out)

    sent = chance.integers(MESSAGES, size=20_000)
    probabilities = run.receive(radio(run.transmit(sent)))
    wrong = np.mean(probabilities.argmax(axis=-1) != sent)
    print(f"{wrong:.2%} of 20,000 messages were taken for another")


if __name__ == "__main__":
    learn(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)

"""The agreement of gradients, on gradients whose noise is known."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest
from jaxtyping import Array, Key

from syntony.channels.feedback import Feedback
from syntony.systems.link.agreement import gradient_cosine_similarity
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule


class State(NamedTuple):
    transmitter: Any = None
    late: Any = ()


class Known(NamedTuple):
    """Draws gradients (1, 0, 0, ...) with noise of a known size."""

    noise: float

    def codebook(self, transmitter: None) -> Array:
        del transmitter
        return jnp.zeros((200, 5, 2))

    def estimate(self, state: State, codebook: Array, key: Key[Array, ""]) -> Any:
        del state
        signal = jnp.zeros_like(codebook).at[0, 0, 0].set(1.0)
        return None, 0.0, signal + self.noise * jax.random.normal(key, codebook.shape)


def test_without_noise_all_agree(key: Key[Array, ""]):
    assert gradient_cosine_similarity(Known(0.0), State(), key) == pytest.approx(1.0)


@pytest.mark.parametrize("ratio", [1.0, 0.25])
def test_it_is_the_signal_over_signal_and_noise(key: Key[Array, ""], ratio: float):
    """Of 2,000 numbers with noise σ² each, s = 1 / (2000 σ²)."""
    noise = (2000 * ratio) ** -0.5
    found = gradient_cosine_similarity(Known(noise), State(), key, num_batches=200)
    assert found.mean() == pytest.approx(ratio / (1 + ratio), abs=0.01)


def test_late_losses_are_not_shared(key: Key[Array, ""]):
    """Two draws of what came late would be one and the same batch."""
    schedule = TrainingSchedule(batch_size=16, receiver_warmup_iterations=0)
    sizes = {"messages": 4, "uses": 1, "hidden": 8, "schedule": schedule}
    link = Link(**sizes, feedback=Feedback(delay_iterations=2))
    init_key, key = jax.random.split(key)
    found = gradient_cosine_similarity(link, link.init(init_key), key, num_batches=4)
    assert abs(float(found.mean())) < 0.9

"""Every test runs under JAX's strictest settings, on two devices, without a screen."""

import jax
import matplotlib as mpl
import pytest
from jaxtyping import Array, Key

jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_num_cpu_devices", 2)
mpl.use("Agg")


@pytest.fixture
def key() -> Key[Array, ""]:
    return jax.random.key(0)

"""Every test runs under JAX's strictest settings, on two devices, without a screen."""

import os
from pathlib import Path

import jax
import matplotlib as mpl
import pytest
from hypothesis import settings
from jaxtyping import Array, Key

jax.config.update("jax_debug_key_reuse", True)
jax.config.update("jax_debug_nans", True)
jax.config.update("jax_num_cpu_devices", 2)
mpl.use("Agg")
# The first example of a property pays for the compiler.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")

# Most of the time goes to the compiler: it hurries where nothing learns for long, and
# what it has made once is kept, for the commands that tests start as well.
HASTE = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
CACHE = str(Path(__file__).parents[1] / ".pytest_cache" / "jax")
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


def pytest_configure(config: pytest.Config) -> None:
    if "not slow" in config.option.markexpr:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {HASTE}".strip()


@pytest.fixture
def key() -> Key[Array, ""]:
    return jax.random.key(0)

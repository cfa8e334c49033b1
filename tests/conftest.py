"""Every test runs under JAX's strictest settings, on two devices, without a screen."""

import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
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
# what it has made once is kept, for the commands that tests start as well. The older
# emitters compile twice as fast as the fusion emitters, in half the memory.
HASTE = (
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_cpu_use_fusion_emitters=false"
)
CACHE = str(Path(__file__).parents[1] / ".pytest_cache" / "jax")
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
# What tests train is not added to the user's list.
os.environ["XDG_STATE_HOME"] = str(Path(__file__).parents[1] / ".pytest_cache")
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def pytest_configure(config: pytest.Config) -> None:
    if "not slow" in config.option.markexpr:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {HASTE}".strip()


MAX_RESIDENT_BYTES = 600 * 2**20
"""Memory of a worker from which programs are freed after a file."""
MAX_RESIDENT_BYTES_IN_FILE = 1000 * 2**20
"""Memory from which they are freed after a test."""


@pytest.fixture(autouse=True, scope="module")
def free_programs() -> Iterator[None]:
    """Frees the compiled programs after a file; JAX keeps all of them otherwise."""
    yield
    free_programs_above(MAX_RESIDENT_BYTES)


@pytest.fixture(autouse=True)
def free_programs_in_file() -> Iterator[None]:
    """Frees them in the middle of a file that compiles many."""
    yield
    free_programs_above(MAX_RESIDENT_BYTES_IN_FILE)


def free_programs_above(limit: int) -> None:
    """Frees all compiled programs if this process has more memory than that."""
    if resident_bytes() > limit:
        eqx.clear_caches()
        jax.clear_caches()
        gc.collect()
        trim_heap()


def resident_bytes() -> float:
    """Memory of this process; infinite where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("inf")
    return pages * os.sysconf("SC_PAGE_SIZE")


def trim_heap() -> None:
    """Returns freed memory to the system; glibc alone keeps it."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


@pytest.fixture
def key() -> Key[Array, ""]:
    return jax.random.key(0)

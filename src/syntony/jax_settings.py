"""JAX's global settings that change numbers: ours while our code runs.

The environment (`JAX_ENABLE_X64=1`), or another library of the same program, may set
them otherwise. Ours hold for one thread, and end with the call.
"""

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager

import jax

Setting = tuple[str, Callable[..., AbstractContextManager[object]], object]
"""Name, context that sets it in one thread, and value."""
SETTINGS: tuple[Setting, ...] = (
    ("jax_enable_x64", jax.enable_x64, False),
    ("jax_default_prng_impl", jax.default_prng_impl, "threefry2x32"),
    ("jax_threefry_partitionable", jax.threefry_partitionable, True),
    ("jax_numpy_dtype_promotion", jax.numpy_dtype_promotion, "standard"),
    ("jax_numpy_rank_promotion", jax.numpy_rank_promotion, "allow"),
)
"""Those that a checkpoint and the weights of a run depend on, or that refuse to run."""


@contextmanager
def standard_jax_settings() -> Generator[None, None, None]:
    """Context, and decorator of functions, with numbers of 32 bits and our generator.

    In another thread it has no effect: `enter_standard_jax_settings` has there.
    """
    with ExitStack() as stack:
        for context in _differing_settings():
            stack.enter_context(context)
        yield


def enter_standard_jax_settings() -> None:
    """Does the same for all that the present thread will do, e.g. a worker."""
    for context in _differing_settings():
        context.__enter__()


def make_thread_pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads, at least one, in which JAX has our settings."""
    return ThreadPoolExecutor(
        max(1, num_threads), initializer=enter_standard_jax_settings
    )


def _differing_settings() -> Generator[AbstractContextManager[object], None, None]:
    # Where nothing differs, JAX's caches are those of the user's own calls.
    for name, make_context, value in SETTINGS:
        if getattr(jax.config, name) != value:
            yield make_context(value)

"""Settings for other libraries' environments, which use keys twice and divide by 0."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def lenient() -> Iterator[None]:
    names = ("jax_debug_key_reuse", "jax_debug_nans")
    for name in names:
        jax.config.update(name, False)
    yield
    for name in names:
        jax.config.update(name, True)

"""Fixtures for objects that break a rule."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def nans_allowed() -> Iterator[None]:
    """Disables `jax_debug_nans`: a rule reports them."""
    jax.config.update("jax_debug_nans", False)
    yield
    jax.config.update("jax_debug_nans", True)

"""Cooperative multi-agent reinforcement learning and learned communication links."""

import lazy_loader

# The names of `__init__.pyi`, imported when used: `syntony --help` does not need JAX.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

"""The compiled part of JAX, which comes without types: those that its API mentions."""

from typing import Any

class Device: ...

class pytree:
    class PyTreeDef: ...

def __getattr__(name: str) -> Any: ...

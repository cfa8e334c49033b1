"""Registry of systems: name to class."""

from collections.abc import Callable
from typing import Any

from syntony.errors import unknown_name_error
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import IA2C, IPPO, MAA2C, MAPPO
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_official import SMPEOfficial
from syntony.systems.marl.value_decomposition import QMIX, VDN
from syntony.systems.system import System

SystemClass = Callable[..., System[Any]]
"""Class of a system; it takes its settings as keyword arguments."""

SYSTEMS: dict[str, SystemClass] = {
    "smpe": SMPE,
    "smpe_official": SMPEOfficial,
    "maa2c": MAA2C,
    "mappo": MAPPO,
    "ia2c": IA2C,
    "ippo": IPPO,
    "qmix": QMIX,
    "vdn": VDN,
    "link": Link,
}


def system_class(name: str) -> SystemClass:
    """Class of the system with this name.

    Raises:
        InvalidInputError: there is no system of that name.
    """
    if name not in SYSTEMS:
        raise unknown_name_error("system", name, SYSTEMS)
    return SYSTEMS[name]


def system_name(system: System) -> str:
    """Name of a system; that of its class in lower case, if it is not registered."""
    names = {kind: name for name, kind in SYSTEMS.items()}
    return names.get(type(system), type(system).__name__.lower())

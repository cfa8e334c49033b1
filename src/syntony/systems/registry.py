"""Registry of systems: name to class."""

from syntony.errors import unknown_name_error
from syntony.plugins import PREFIX
from syntony.systems.air.over_the_air import OverTheAir
from syntony.systems.link.link import Link
from syntony.systems.marl.actor_critic import IA2C, MAA2C
from syntony.systems.marl.ppo import IPPO, MAPPO
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_official import SMPEOfficial
from syntony.systems.marl.value_decomposition import QMIX, VDN
from syntony.systems.system import System
from syntony.systems.user_system import SystemClass, user_system_class, user_system_id

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
    "air": OverTheAir,
}

USER_PATTERN = f"{PREFIX}MODULE:CLASS"
"""Form of the name of a user's own system."""


def system_class(name: str) -> SystemClass:
    """Class of the system with this name.

    Args:
        name: that of a built-in system, or `python:MODULE:CLASS`.

    Raises:
        InvalidInputError: there is no system of that name.
    """
    if name.startswith(PREFIX):
        return user_system_class(name)
    if name not in SYSTEMS:
        raise unknown_name_error("system", name, [*SYSTEMS, USER_PATTERN])
    return SYSTEMS[name]


def system_name(system: System) -> str:
    """Name from which `system_class` returns the class of a system.

    Raises:
        InvalidInputError: the class is a user's, and cannot be imported by a name.
    """
    names = {kind: name for name, kind in SYSTEMS.items()}
    kind = type(system)
    return names.get(kind) or user_system_id(kind)


def system_label(name: str) -> str:
    """Short form of a system's name: the class alone, of a user's own system."""
    return name.rpartition(":")[2] if name.startswith(PREFIX) else name

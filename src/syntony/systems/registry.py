"""Names to systems: one line for each learner."""

from syntony.errors import unknown_name_error
from syntony.systems.link.link import Link
from syntony.systems.marl.ia2c import IA2C
from syntony.systems.marl.ippo import IPPO
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.mappo import MAPPO
from syntony.systems.marl.qmix import QMIX
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.vdn import VDN
from syntony.systems.system import System

SYSTEMS: dict[str, type[System]] = {
    "smpe": SMPE,
    "maa2c": MAA2C,
    "mappo": MAPPO,
    "ia2c": IA2C,
    "ippo": IPPO,
    "qmix": QMIX,
    "vdn": VDN,
    "link": Link,
}


def system_class(name: str) -> type[System]:
    """Returns the record that `name` stands for.

    Raises:
        BadInput: there is no system of that name.
    """
    if name not in SYSTEMS:
        raise unknown_name_error("system", name, SYSTEMS)
    return SYSTEMS[name]


def system_name(system: System) -> str:
    """Returns what a system is called; one that is not ours, by its class."""
    names = {kind: name for name, kind in SYSTEMS.items()}
    return names.get(type(system), type(system).__name__.lower())

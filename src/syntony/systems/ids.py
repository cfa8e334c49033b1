"""Names to systems: one line for each learner."""

from syntony.errors import unknown
from syntony.systems.ia2c import Ia2c
from syntony.systems.ippo import Ippo
from syntony.systems.link import Link
from syntony.systems.maa2c import Maa2c
from syntony.systems.mappo import Mappo
from syntony.systems.qmix import Qmix
from syntony.systems.smpe import Smpe
from syntony.systems.system import System
from syntony.systems.vdn import Vdn

SYSTEMS: dict[str, type[System]] = {
    "smpe": Smpe,
    "maa2c": Maa2c,
    "mappo": Mappo,
    "ia2c": Ia2c,
    "ippo": Ippo,
    "qmix": Qmix,
    "vdn": Vdn,
    "link": Link,
}


def system(name: str) -> type[System]:
    """Returns the record that `name` stands for.

    Raises:
        BadInput: there is no system of that name.
    """
    if name not in SYSTEMS:
        raise unknown("system", name, SYSTEMS)
    return SYSTEMS[name]


def name_of(system: System) -> str:
    """Returns what a system is called; one that is not ours, by its class."""
    names = {kind: name for name, kind in SYSTEMS.items()}
    return names.get(type(system), type(system).__name__.lower())

"""VDN: agents learn what their actions are worth; the sum is the team's value.

Source: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
    Learning", AAMAS 2018.
"""

from typing import Literal

from syntony.config import pytree_dataclass
from syntony.systems.marl.value_decomposition import ValueDecomposition


@pytree_dataclass
class VDN(ValueDecomposition):
    """Settings of VDN: mixed values, by their sum."""

    mixing: Literal["sum", "monotonic"] = "sum"
    """How the agents' values become the team's: VDN's way, or QMIX's."""

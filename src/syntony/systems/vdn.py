"""VDN: agents learn what their actions are worth; the sum is the team's value.

Source: Sunehag et al., "Value-Decomposition Networks for Cooperative Multi-Agent
    Learning", AAMAS 2018.
"""

from typing import Literal

from syntony.record import record
from syntony.systems.value_mixing import ValueMixing


@record
class Vdn(ValueMixing):
    """Settings of VDN: mixed values, by their sum."""

    mixing: Literal["sum", "monotonic"] = "sum"
    """How the agents' values become the team's: VDN's way, or QMIX's."""

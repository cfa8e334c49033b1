"""QMIX: agents learn what their actions are worth; a monotonic network mixes that.

Source: Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep
    Multi-Agent Reinforcement Learning", ICML 2018.
"""

from syntony.record import record
from syntony.systems.value_mixing import ValueMixing


@record
class Qmix(ValueMixing):
    """Settings of QMIX: mixed values, by a network of the joint state."""

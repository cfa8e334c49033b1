"""QMIX: agents learn what their actions are worth; a monotonic network mixes that.

Source: Rashid et al., "QMIX: Monotonic Value Function Factorisation for Deep
    Multi-Agent Reinforcement Learning", ICML 2018.
"""

from syntony.config import pytree_dataclass
from syntony.systems.marl.value_decomposition import ValueDecomposition


@pytree_dataclass
class QMIX(ValueDecomposition):
    """Settings of QMIX: mixed values, by a network of the joint state."""

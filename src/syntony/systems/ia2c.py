"""IA2C: every agent an actor-critic by itself, whose critic sees what its agent sees.

Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016;
    for teams Papoudakis et al., NeurIPS 2021. Constants: EPyMARL's `ia2c.yaml`.
"""

from typing import Literal

from syntony.record import record
from syntony.systems.actor_critic import Backbone
from syntony.systems.maa2c import Maa2c


@record
class Ia2c(Maa2c):
    """Settings of IA2C: MAA2C with a critic that sees one agent's observations."""

    backbone: Backbone = Backbone(entropy_coef=1e-3)
    critic_sees: Literal["joint", "own"] = "own"
    """What V_i is of: all agents' observations, or agent i's alone."""

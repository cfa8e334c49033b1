"""IPPO: IA2C whose actors learn several times from each batch, never far at once.

Source: de Witt et al., "Is Independent Learning All You Need in the StarCraft
    Multi-Agent Challenge?", 2020. Constants: EPyMARL's `ippo.yaml`.
"""

from typing import Literal

from syntony.record import record
from syntony.systems.actor_critic import Backbone
from syntony.systems.maa2c import Maa2c
from syntony.systems.mappo import BACKBONE


@record
class Ippo(Maa2c):
    """Settings of IPPO: MAPPO with a critic that sees one agent's observations."""

    backbone: Backbone = BACKBONE
    critic_sees: Literal["joint", "own"] = "own"
    """What V_i is of: all agents' observations, or agent i's alone."""

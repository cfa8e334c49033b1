"""IPPO: IA2C whose actors learn several times from each batch, never far at once.

Source: de Witt et al., "Is Independent Learning All You Need in the StarCraft
    Multi-Agent Challenge?", 2020. Constants: EPyMARL's `ippo.yaml`.
"""

from typing import Literal

from syntony.config import pytree_dataclass
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C
from syntony.systems.marl.mappo import PPO_CONFIG


@pytree_dataclass
class IPPO(MAA2C):
    """Settings of IPPO: MAPPO with a critic that sees one agent's observations."""

    actor_critic: ActorCriticConfig = PPO_CONFIG
    critic_input: Literal["joint", "local"] = "local"
    """What V_i is of: all agents' observations, or agent i's alone."""

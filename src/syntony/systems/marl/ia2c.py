"""IA2C: every agent an actor-critic by itself, whose critic sees what its agent sees.

Source: Mnih et al., "Asynchronous Methods for Deep Reinforcement Learning", ICML 2016;
    for teams Papoudakis et al., NeurIPS 2021. Constants: EPyMARL's `ia2c.yaml`.
"""

from typing import Literal

from syntony.config import pytree_dataclass
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C


@pytree_dataclass
class IA2C(MAA2C):
    """Settings of IA2C: MAA2C with a critic that sees one agent's observations."""

    actor_critic: ActorCriticConfig = ActorCriticConfig(entropy_coef=1e-3)
    critic_input: Literal["joint", "local"] = "local"
    """What V_i is of: all agents' observations, or agent i's alone."""

"""MAPPO: MAA2C whose actors learn several times from each batch, never far at once.

Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent
    Games", NeurIPS 2022, in the form that EPyMARL has given it: whole batches, n-step
    targets, no value clipping. Constants: EPyMARL's `mappo.yaml`.
"""

from syntony.config import pytree_dataclass
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.maa2c import MAA2C

PPO_CONFIG = ActorCriticConfig(
    objective="ppo", actor_lr=3e-4, critic_lr=3e-4, entropy_coef=1e-3
)


@pytree_dataclass
class MAPPO(MAA2C):
    """Settings of MAPPO: MAA2C with a clipped objective."""

    actor_critic: ActorCriticConfig = PPO_CONFIG

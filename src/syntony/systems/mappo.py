"""MAPPO: MAA2C whose actors learn several times from each batch, never far at once.

Source: Yu et al., "The Surprising Effectiveness of PPO in Cooperative Multi-Agent
    Games", NeurIPS 2022, in the form that EPyMARL has given it: whole batches, n-step
    targets, no value clipping. Constants: EPyMARL's `mappo.yaml`.
"""

from syntony.record import record
from syntony.systems.actor_critic import Backbone
from syntony.systems.maa2c import Maa2c

BACKBONE = Backbone(objective="ppo", actor_lr=3e-4, critic_lr=3e-4, entropy_coef=1e-3)


@record
class Mappo(Maa2c):
    """Settings of MAPPO: MAA2C with a clipped objective."""

    backbone: Backbone = BACKBONE

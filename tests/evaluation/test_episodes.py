"""Episodes of a trained team, and decoded beliefs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key

from syntony.evaluation.episodes import collect_median_episode
from syntony.networks.agents import other_agents_obs
from syntony.systems.marl.actor_critic import ActorCriticConfig
from syntony.systems.marl.smpe import SMPE
from syntony.systems.marl.smpe_beliefs import BeliefConfig
from syntony.tasks.foraging.rules import Foraging

TASK = Foraging(size=5, players=2, foods=1, sight=1, coop=True, time_limit=9)
SYSTEM = SMPE(
    task=TASK,
    actor_critic=ActorCriticConfig(hidden=4),
    beliefs=BeliefConfig(latent_dim=3),
)


@pytest.mark.slow
def test_states_and_observations_of_an_episode(key: Key[Array, ""]):
    init_key, key = jax.random.split(key)
    episode = collect_median_episode(SYSTEM, SYSTEM.init(init_key), key, episodes=3)
    num_states = episode.length + 1
    assert 1 < num_states <= TASK.time_limit + 1
    assert episode.states.time.tolist() == list(range(num_states))
    np.testing.assert_array_equal(jax.vmap(TASK.observe)(episode.states), episode.obs)
    # The only food is worth 1: the return is 1 once it is eaten.
    eaten = episode.states.food_level[:, 0] == 0
    np.testing.assert_allclose(episode.cumulative_rewards, eaten, atol=1e-6)


def test_a_decoder_of_zeros_predicts_the_mean(key: Key[Array, ""]):
    """Zero in normalized units is the mean in those of the observations."""
    state = SYSTEM.init(key)
    beliefs = state.beliefs
    mean = jnp.arange(2.0 * TASK.obs_dim).reshape(2, TASK.obs_dim)
    beliefs = beliefs._replace(
        decoder=jax.tree.map(jnp.zeros_like, beliefs.decoder),
        per_agent_stats=beliefs.per_agent_stats._replace(mean=mean),
    )
    obs = jnp.ones((2, TASK.obs_dim))
    belief = SYSTEM.decode_beliefs(state._replace(beliefs=beliefs), obs)
    np.testing.assert_allclose(belief.prediction, other_agents_obs(mean))
    np.testing.assert_array_equal(belief.others, other_agents_obs(obs))
    assert ((belief.filter_weights > 0) & (belief.filter_weights < 1)).all()

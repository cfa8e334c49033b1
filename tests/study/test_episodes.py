import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Key

from syntony.networks.agents import teammates
from syntony.study.episodes import believe, typical_episode
from syntony.systems.actor_critic import Backbone
from syntony.systems.beliefs import Beliefs
from syntony.systems.smpe import Smpe
from syntony.tasks.foraging import Foraging

TASK = Foraging(size=5, players=2, foods=1, sight=1, coop=True, time_limit=9)
SYSTEM = Smpe(task=TASK, backbone=Backbone(hidden=4), beliefs=Beliefs(latent=3))


@pytest.mark.slow
def test_an_episode_is_seen_from_above_as_from_inside(key: Key[Array, ""]):
    init_key, key = jax.random.split(key)
    episode = typical_episode(SYSTEM, SYSTEM.init(init_key), key, episodes=3)
    moments = episode.steps + 1
    assert 1 < moments <= TASK.time_limit + 1
    assert episode.states.time.tolist() == list(range(moments))
    np.testing.assert_array_equal(jax.vmap(TASK.observe)(episode.states), episode.obs)
    # All food is worth 1, and only one is there: it is earned at the end or never.
    gone = episode.states.food_level[:, 0] == 0
    np.testing.assert_allclose(episode.returns, gone, atol=1e-6)


def test_who_knows_nothing_believes_the_average(key: Key[Array, ""]):
    """A decoder of zeros answers 0 in normalised units: the mean in raw ones."""
    state = SYSTEM.init(key)
    beliefs = state.beliefs
    mean = jnp.arange(2.0 * TASK.obs_size).reshape(2, TASK.obs_size)
    beliefs = beliefs._replace(
        decoder=jax.tree.map(jnp.zeros_like, beliefs.decoder),
        each=beliefs.each._replace(mean=mean),
    )
    obs = jnp.ones((2, TASK.obs_size))
    belief = believe(SYSTEM, state._replace(beliefs=beliefs), obs)
    np.testing.assert_allclose(belief.belief, teammates(mean))
    np.testing.assert_array_equal(belief.others, teammates(obs))
    assert ((belief.weights > 0) & (belief.weights < 1)).all()

"""A trained team that acts in a loop of the user's own.

    player = syntony.load("runs/first").player(greedy=True)
    obs, _ = env.reset()
    while not done:
        obs, reward, done, truncated, _ = env.step(player.act(obs))

The weights are separated from the team once, and one step is one compiled program of
flat arrays: on a CPU most of a step's time would otherwise go to the traversal of
states and modules in Python.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.stages import Compiled
from jaxtyping import Array, Float, Int, UInt32
from numpy.typing import ArrayLike

from syntony.errors import InvalidInputError
from syntony.jax_settings import standard_jax_settings
from syntony.systems.system import (
    ActsInEpisodes,
    HasBeliefs,
    HasEvaluationState,
    StateT,
    System,
)
from syntony.training.player_inputs import InputConverter, Inputs, as_numbers
from syntony.training.player_programs import (
    compile_beliefs,
    compile_step,
    freeze_team,
    initial_carry,
)

AgentArrays = ArrayLike | Sequence[ArrayLike | None]
"""One vector per agent, in the order of the agents; None for one that has finished."""
MAX_RNG_SEED = 2**32 - 1


class Beliefs(NamedTuple):
    """Beliefs of all agents; after `act_batch` with a leading environment axis."""

    mean: Float[np.ndarray, "*E N Z"]
    """μ of each agent's belief."""
    log_var: Float[np.ndarray, "*E N Z"]
    """ln σ² of each agent's belief."""
    prediction: Float[np.ndarray, "*E N F"]
    """ô_-i, what each agent infers that its teammates observe, in index order: their
    observations as `Player.act` got them, decoded from the mean."""
    filter_weights: Float[np.ndarray, "*E N F"]
    """w_i, weight of each of these features, in (0, 1)."""


class Player:
    """A trained team that acts in a loop of the user's own; made by `Run.player`.

    It keeps the hidden states, the last actions and the random key of all environments
    it acts in: one (`act`), or several side by side (`act_batch`). Actions are those
    that an evaluation of the run would take.

    Args:
        system: a system whose agents act in episodes.
        state: its state, of which only the weights are kept.
        greedy: take the most likely actions instead of sampled ones.
        rng_seed: seed of the sampled actions.

    Raises:
        InvalidInputError: the system is no team, or `rng_seed` is out of range.

    Examples:
        >>> import jax, numpy as np, syntony
        >>> task = syntony.task("Foraging-2s-8x8-3p-2f-coop")
        >>> system = syntony.MAA2C(task=task)
        >>> state = jax.jit(system.init)(jax.random.key(0))
        >>> player = syntony.Player(system, state, greedy=True)
        >>> player.act(np.zeros((task.num_agents, task.obs_dim))).shape
        (3,)
        >>> player.reset()
    """

    def __init__(
        self,
        system: System[StateT],
        state: StateT,
        *,
        greedy: bool = False,
        rng_seed: int = 0,
    ):
        if not isinstance(system, ActsInEpisodes):
            raise InvalidInputError(
                f"{type(system).__name__} is no team of agents that act in a task; "
                "expected a run of e.g. `train maa2c`"
            )
        if isinstance(system, HasEvaluationState):
            state = system.evaluation_state(state)
        self.greedy = greedy
        """Whether the most likely actions are taken."""
        self._system = system
        with standard_jax_settings():
            self._team, self._weights = freeze_team(system, state)
        self._converter = InputConverter(system.task)
        self._is_batch = False
        self._resize(1)
        self.reset(rng_seed=rng_seed)

    def reset(
        self, *, envs: ArrayLike | None = None, rng_seed: int | None = None
    ) -> None:
        """Starts a new episode: hidden states and last actions are forgotten.

        Args:
            envs: which of the E environments start a new episode, E booleans; by
                default all, and their number may then change.
            rng_seed: new seed of the sampled actions; by default they go on.

        Raises:
            InvalidInputError: `envs` has another length, or `rng_seed` is out of range.
        """
        if rng_seed is not None:
            self._key, self._num_steps = key_data(rng_seed), 0
        if envs is None:
            self._starts = np.ones_like(self._starts)
            self._observed = None
        else:
            self._restart(envs)

    def act(
        self, obs: AgentArrays, action_mask: AgentArrays | None = None
    ) -> Int[np.ndarray, " N"]:
        """Action of each agent in one environment, an index from 0.

        Args:
            obs: observation of each agent, [N, O], of any type of numbers. In a list,
                vectors may be shorter where the task pads them with zeros; None stands
                for an agent that has finished, whose action is 0.
            action_mask: available actions of each agent, [N, A]; by default all that it
                has.

        Raises:
            InvalidInputError: a shape is wrong, a number is not finite, no action of an
                agent is available, or the number of environments changes in an episode.
        """
        inputs = self._converter.convert(obs, action_mask)
        return self._act(inputs, is_batch=False)[0]

    def act_batch(
        self,
        obs: ArrayLike | Sequence[AgentArrays],
        action_mask: ArrayLike | Sequence[AgentArrays | None] | None = None,
    ) -> Int[np.ndarray, "E N"]:
        """Actions of the agents in E environments side by side.

        Args:
            obs: observations, [E, N, O], or a list with those of each environment.
            action_mask: available actions, [E, N, A], or a list; by default all.

        Raises:
            InvalidInputError: as for `act`.
        """
        inputs = self._converter.convert_batch(obs, action_mask)
        return self._act(inputs, is_batch=True)

    @property
    def beliefs(self) -> Beliefs:
        """Beliefs from the latest observations, of a team whose agents have beliefs.

        Raises:
            InvalidInputError: its agents have none, or have not observed yet.
        """
        if not isinstance(self._system, HasBeliefs):
            raise InvalidInputError(
                f"agents of {type(self._system).__name__} have no beliefs; expected "
                "those of e.g. smpe"
            )
        if self._observed is None:
            raise InvalidInputError(
                "the agents have observed nothing in this episode; expected act(obs) "
                "before beliefs"
            )
        with standard_jax_settings():
            program = compile_beliefs(self._team, self._observed.shape)
        arrays = program(self._weights, self._observed)
        return Beliefs(*(np.array(x if self._is_batch else x[0]) for x in arrays))

    def _act(self, inputs: Inputs, *, is_batch: bool) -> Int[np.ndarray, "E N"]:
        if inputs.num_envs != len(self._starts):
            if not self._starts.all():
                raise InvalidInputError(
                    f"observations are of {inputs.num_envs} environments; expected "
                    f"{len(self._starts)} as before, or reset() first"
                )
            self._resize(inputs.num_envs)
        if self._program is None:
            with standard_jax_settings():
                self._program = compile_step(self._team, inputs.num_envs, self.greedy)
        action, self._observed, self._carry = self._program(
            self._weights,
            self._carry,
            self._starts,
            inputs.obs,
            inputs.action_mask,
            self._key,
            np.uint32(self._num_steps),
        )
        self._starts = np.zeros_like(self._starts)
        self._is_batch = is_batch
        self._num_steps += 1
        # A copy: a view of JAX's memory cannot be written to.
        return np.array(action)

    def _resize(self, num_envs: int) -> None:
        # Compiled at the first step: the number of environments is known then.
        self._program: Compiled | None = None
        with standard_jax_settings():
            self._carry = initial_carry(self._system, num_envs, jax.random.key(0))
        self._starts = np.ones(num_envs, bool)
        self._observed: Array | None = None

    def _restart(self, envs: ArrayLike) -> None:
        mask = as_numbers(envs, "envs")
        # Before the first step all start, and their number is not known.
        num_envs = mask.size if self._starts.all() else len(self._starts)
        if mask.dtype.kind != "b" or mask.shape != (num_envs,):
            raise InvalidInputError(
                f"envs is {mask.dtype}{list(mask.shape)}; expected bool[{num_envs}], "
                "True where an episode starts"
            )
        if not self._starts.all():
            self._starts = self._starts | mask


@standard_jax_settings()
def key_data(rng_seed: int) -> UInt32[np.ndarray, " words"]:
    """Random key of a seed, as numbers.

    Raises:
        InvalidInputError: the seed is out of range.
    """
    if not 0 <= rng_seed <= MAX_RNG_SEED:
        raise InvalidInputError(
            f"rng_seed is {rng_seed}; expected 0 to {MAX_RNG_SEED:,}"
        )
    return np.asarray(jax.random.key_data(jax.random.key(np.uint32(rng_seed))))

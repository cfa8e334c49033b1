"""A run that exists: its settings, its states, its numbers."""

import dataclasses
import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float, Int, Shaped

from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import InvalidInputError
from syntony.systems.link.link import Link, LinkState
from syntony.systems.marl.base import MultiAgentSystem, closing_envs
from syntony.systems.system import System
from syntony.tasks.task import Task
from syntony.training import checkpoint, metrics_log
from syntony.training.checkpoint import Checkpoint
from syntony.training.compiled import abstract_train_state, evaluate_state
from syntony.training.devices import compiler_options
from syntony.training.run_config import RunConfig, run_config_from_dict
from syntony.training.run_folder import RunFolder
from syntony.training.seed_scheduler import seed_keys

EpisodeSamples = dict[str, Shaped[np.ndarray, " samples"]]
"""One number an episode, for each score."""
MAX_PARALLEL_EPISODES = 500
"""Most episodes that are lived side by side when a run is evaluated."""
MAX_MESSAGE_LENGTH = 300
"""Of a complaint about settings."""


@dataclass(frozen=True)
class Run:
    """A run folder, read on demand."""

    path: Path
    config: RunConfig

    @property
    def system(self) -> System:
        """The settings that it learned with, as a record."""
        return self.config.system

    @property
    def settings(self) -> dict[str, Any]:
        """All that `settings.json` holds."""
        return RunFolder(self.path).read_settings()

    @property
    def states(self) -> dict[int, Any]:
        """The newest state of each seed."""
        return {seed: saved.tree.state for seed, saved in self.checkpoints.items()}

    @property
    def steps(self) -> dict[int, int]:
        """How far each seed has come."""
        return {seed: saved.step for seed, saved in self.checkpoints.items()}

    @cached_property
    def checkpoints(self) -> dict[int, Checkpoint]:
        """The newest checkpoint of each seed, read once.

        Raises:
            BadInput: a seed has none that can be used.
        """
        return {seed: self._read_checkpoint(seed) for seed in self.config.all_seeds}

    def metrics(self) -> list[metrics_log.MetricsRow]:
        """Returns all that was measured, in the order of `metrics.jsonl`."""
        return metrics_log.read_rows(RunFolder(self.path).metrics_path)

    def evaluate(
        self, *, episodes: int = 1000, task: Task | None = None
    ) -> dict[int, EpisodeSamples]:
        """Returns one number an episode for each score, of each seed.

        The episodes are others than those of the evaluations during training, and
        the same at each call.

        Args:
            episodes: how many each seed lives through.
            task: where, if not in the task that it learned in; of the same shapes.

        Raises:
            BadInput: the run is of no team, or the task has other shapes.
            HostFault: the task is another library's, and failed.
        """
        system = self.system if task is None else with_task(self.system, task)
        return evaluate_states(system, self.states, episodes)

    def transmit(
        self, messages: Int[np.ndarray, "*batch"], *, seed: int | None = None
    ) -> Complex[np.ndarray, "*batch C"]:
        """Returns the codewords of messages, energy 1 a channel use, of a link.

        Args:
            messages: numbers from 0 to M − 1.
            seed: whose transmitter; by default the first.

        Raises:
            BadInput: the run is no link, or a message is none of its.
        """
        link, state = self._link_and_state(seed)
        asked = np.asarray(messages)
        if not np.issubdtype(asked.dtype, np.integer):
            raise InvalidInputError(
                f"messages are {asked.dtype}; expected whole numbers"
            )
        if asked.size and not 0 <= asked.min() <= asked.max() < link.messages:
            raise InvalidInputError(
                f"messages are {asked.min()} to {asked.max()}; "
                f"expected 0 to {link.messages - 1}"
            )
        return pairs_to_complex(link.codebook(state.transmitter))[asked]

    def receive(
        self, y: Complex[np.ndarray, "*batch C"], *, seed: int | None = None
    ) -> Float[np.ndarray, "*batch M"]:
        """Returns the probability of each message, given what was heard, of a link.

        Args:
            y: complex samples, C a block.
            seed: whose receiver; by default the first.

        Raises:
            BadInput: the run is no link, or the blocks are not of its length.
        """
        link, state = self._link_and_state(seed)
        heard = np.asarray(y)
        if heard.shape[-1:] != (link.uses,):
            raise InvalidInputError(
                f"y has the shape {heard.shape}; expected {link.uses} channel uses "
                "on the last axis"
            )
        blocks = complex_to_pairs(heard.reshape(-1, link.uses))
        probabilities = jax.nn.softmax(state.receiver(jnp.asarray(blocks)))
        return np.asarray(probabilities).reshape(*heard.shape[:-1], link.messages)

    def _link_and_state(self, seed: int | None) -> tuple[Link, LinkState]:
        if not isinstance(self.system, Link):
            raise InvalidInputError(
                f"{self.path} holds no link; expected a run of `train link`"
            )
        chosen = self.config.seed if seed is None else seed
        if chosen not in self.config.all_seeds:
            raise InvalidInputError(f"{self.path} has no seed {chosen}")
        return self.system, self.states[chosen]

    def _read_checkpoint(self, seed: int) -> Checkpoint:
        folder = RunFolder(self.path).checkpoints_dir
        saved = checkpoint.load_latest(folder, seed, abstract_train_state(self.system))
        if saved is None:
            raise InvalidInputError(f"{self.path} has no checkpoint of seed {seed} yet")
        return saved


def load(path: str | os.PathLike[str], *, system: System | None = None) -> Run:
    """Returns the run in a folder.

    Args:
        system: the system, where it is not one of Syntony's own.

    Raises:
        BadInput: the folder holds no run, or one that cannot be understood.
    """
    folder = RunFolder(Path(path))
    return Run(folder.path, load_run_config(folder, system))


def load_run_config(folder: RunFolder, system: System | None) -> RunConfig:
    """Returns the plan that a run folder holds.

    Raises:
        BadInput: as for `load`.
    """
    settings = folder.read_settings()
    try:
        return run_config_from_dict(settings, system)
    except InvalidInputError as failure:
        # It may quote what somebody wrote, of any length.
        said = textwrap.shorten(str(failure), MAX_MESSAGE_LENGTH)
        raise InvalidInputError(f"{folder.settings_path}: {said}") from None


def with_task(system: System, task: Task) -> System:
    """Returns a team that lives in another task, by what it learned in its own.

    Raises:
        BadInput: it is no team, or the other task has other shapes.
    """
    if not isinstance(system, MultiAgentSystem):
        raise InvalidInputError(f"the run is of no team; leave out the task {task.id}")
    shapes = ("num_agents", "num_actions", "obs_dim")
    old, new = ([getattr(t, name) for name in shapes] for t in (system.task, task))
    if old != new:
        words = "{} agents, {} actions and observations of {}"
        raise InvalidInputError(
            f"{task.id} has {words.format(*new)}; "
            f"expected those of {system.task.id}: {words.format(*old)}"
        )
    team: Any = system
    return dataclasses.replace(team, task=task)


def evaluate_states(
    system: System, states: Mapping[int, Any], episodes: int
) -> dict[int, EpisodeSamples]:
    """Returns one number an episode for each score, of each seed's state."""
    if episodes < 1:
        raise InvalidInputError(f"episodes is {episodes}; expected at least 1")
    batches = -(-episodes // MAX_PARALLEL_EPISODES)
    batch = -(-episodes // batches)
    state, key = next(iter(states.values())), seed_keys(0).post_training_eval
    program = partial(evaluate_state, episodes=batch)
    if system.as_jittable() is system:
        lowered = jax.jit(program).lower(system, state, key)
        program = lowered.compile(compiler_options())

    def samples(seed: int) -> EpisodeSamples:
        key = seed_keys(seed).post_training_eval
        every = [jax.random.fold_in(key, number) for number in range(batches)]
        parts = [jax.device_get(program(system, states[seed], key)) for key in every]
        return {n: np.concatenate([p[n] for p in parts])[:episodes] for n in parts[0]}

    with closing_envs(system):
        return {seed: samples(seed) for seed in states}

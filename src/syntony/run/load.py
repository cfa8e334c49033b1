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

from syntony.equations.signal import from_pairs, to_pairs
from syntony.errors import BadInput
from syntony.run import checkpoint, journal
from syntony.run.checkpoint import Saved
from syntony.run.chunk import blank, measure
from syntony.run.devices import compiler_options
from syntony.run.folder import Folder
from syntony.run.lanes import keys
from syntony.run.plan import Plan, understand
from syntony.systems.link import Link, LinkState
from syntony.systems.system import System
from syntony.systems.team import Team, closing
from syntony.tasks.task import Task

Episodes = dict[str, Shaped[np.ndarray, " samples"]]
"""One number an episode, for each score."""
BATCH = 500
"""Most episodes that are lived side by side when a run is evaluated."""
MOST_LETTERS = 300
"""Of a complaint about settings."""


@dataclass(frozen=True)
class Run:
    """A run folder, read on demand."""

    path: Path
    plan: Plan

    @property
    def system(self) -> System:
        """The settings that it learned with, as a record."""
        return self.plan.system

    @property
    def settings(self) -> dict[str, Any]:
        """All that `settings.json` holds."""
        return Folder(self.path).read_settings()

    @property
    def states(self) -> dict[int, Any]:
        """The newest state of each seed."""
        return {seed: saved.tree.state for seed, saved in self.saved.items()}

    @property
    def steps(self) -> dict[int, int]:
        """How far each seed has come."""
        return {seed: saved.step for seed, saved in self.saved.items()}

    @cached_property
    def saved(self) -> dict[int, Saved]:
        """The newest checkpoint of each seed, read once.

        Raises:
            BadInput: a seed has none that can be used.
        """
        return {seed: self._read(seed) for seed in self.plan.every_seed}

    def metrics(self) -> list[journal.Line]:
        """Returns all that was measured, in the order of `metrics.jsonl`."""
        return journal.read(Folder(self.path).metrics)

    def evaluate(
        self, *, episodes: int = 1000, task: Task | None = None
    ) -> dict[int, Episodes]:
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
        system = self.system if task is None else moved(self.system, task)
        return assess(system, self.states, episodes)

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
        link, state = self._link(seed)
        asked = np.asarray(messages)
        if not np.issubdtype(asked.dtype, np.integer):
            raise BadInput(f"messages are {asked.dtype}; expected whole numbers")
        if asked.size and not 0 <= asked.min() <= asked.max() < link.messages:
            raise BadInput(
                f"messages are {asked.min()} to {asked.max()}; "
                f"expected 0 to {link.messages - 1}"
            )
        return from_pairs(link.codebook(state.transmitter))[asked]

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
        link, state = self._link(seed)
        heard = np.asarray(y)
        if heard.shape[-1:] != (link.uses,):
            raise BadInput(
                f"y has the shape {heard.shape}; expected {link.uses} channel uses "
                "on the last axis"
            )
        blocks = to_pairs(heard.reshape(-1, link.uses))
        probabilities = jax.nn.softmax(state.receiver(jnp.asarray(blocks)))
        return np.asarray(probabilities).reshape(*heard.shape[:-1], link.messages)

    def _link(self, seed: int | None) -> tuple[Link, LinkState]:
        if not isinstance(self.system, Link):
            raise BadInput(f"{self.path} holds no link; expected a run of `train link`")
        chosen = self.plan.seed if seed is None else seed
        if chosen not in self.plan.every_seed:
            raise BadInput(f"{self.path} has no seed {chosen}")
        return self.system, self.states[chosen]

    def _read(self, seed: int) -> Saved:
        folder = Folder(self.path).checkpoints
        saved = checkpoint.newest(folder, seed, blank(self.system))
        if saved is None:
            raise BadInput(f"{self.path} has no checkpoint of seed {seed} yet")
        return saved


def load(path: str | os.PathLike[str], *, system: System | None = None) -> Run:
    """Returns the run in a folder.

    Args:
        system: the system, where it is not one of Syntony's own.

    Raises:
        BadInput: the folder holds no run, or one that cannot be understood.
    """
    folder = Folder(Path(path))
    return Run(folder.path, plan_of(folder, system))


def plan_of(folder: Folder, system: System | None) -> Plan:
    """Returns the plan that a run folder holds.

    Raises:
        BadInput: as for `load`.
    """
    settings = folder.read_settings()
    try:
        return understand(settings, system)
    except BadInput as failure:
        # It may quote what somebody wrote, of any length.
        said = textwrap.shorten(str(failure), MOST_LETTERS)
        raise BadInput(f"{folder.settings}: {said}") from None


def moved(system: System, task: Task) -> System:
    """Returns a team that lives in another task, by what it learned in its own.

    Raises:
        BadInput: it is no team, or the other task has other shapes.
    """
    if not isinstance(system, Team):
        raise BadInput(f"the run is of no team; leave out the task {task.id}")
    shapes = ("agents", "actions", "obs_size")
    old, new = ([getattr(t, name) for name in shapes] for t in (system.task, task))
    if old != new:
        words = "{} agents, {} actions and observations of {}"
        raise BadInput(
            f"{task.id} has {words.format(*new)}; "
            f"expected those of {system.task.id}: {words.format(*old)}"
        )
    team: Any = system
    return dataclasses.replace(team, task=task)


def assess(
    system: System, states: Mapping[int, Any], episodes: int
) -> dict[int, Episodes]:
    """Returns one number an episode for each score, of each seed's state."""
    if episodes < 1:
        raise BadInput(f"episodes is {episodes}; expected at least 1")
    batches = -(-episodes // BATCH)
    batch = -(-episodes // batches)
    state, key = next(iter(states.values())), keys(0).assess
    program = partial(measure, episodes=batch)
    if system.stand_in() is system:
        lowered = jax.jit(program).lower(system, state, key)
        program = lowered.compile(compiler_options())

    def samples(seed: int) -> Episodes:
        key = keys(seed).assess
        every = [jax.random.fold_in(key, number) for number in range(batches)]
        parts = [jax.device_get(program(system, states[seed], key)) for key in every]
        return {n: np.concatenate([p[n] for p in parts])[:episodes] for n in parts[0]}

    with closing(system):
        return {seed: samples(seed) for seed in states}

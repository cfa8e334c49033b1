"""Access to the settings, states and metrics of a run folder."""

import dataclasses
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, cached_property, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Complex, Float, Int, PyTree, Shaped

from syntony.channels.black_box import UserFunction
from syntony.channels.channel import AnyChannel, init_channel, output_uses
from syntony.channels.registry import channel as make_channel
from syntony.equations.signal import complex_to_pairs, pairs_to_complex
from syntony.errors import InvalidInputError, UntrustedCodeError
from syntony.jax_settings import standard_jax_settings
from syntony.plugins import without_user_code
from syntony.systems.system import (
    ActsInEpisodes,
    EvalSamples,
    StateT,
    System,
    TransmitsMessages,
    closing_black_box,
)
from syntony.tasks.task import Task
from syntony.training import checkpoint, metrics_log
from syntony.training.checkpoint import Checkpoint
from syntony.training.compiled import abstract_train_state, evaluate_state
from syntony.training.devices import compiler_options
from syntony.training.integrity import settings_digest
from syntony.training.kept_checkpoints import (
    CheckpointChoice,
    check_choice,
    load_chosen,
)
from syntony.training.player import Player
from syntony.training.run_config import RunConfig, run_config_from_dict
from syntony.training.run_folder import RunFolder, open_run_folder
from syntony.training.safe_io import JsonObject
from syntony.training.seed_scheduler import seed_keys
from syntony.training.trust import check_trust, named_code

EpisodeSamples = dict[str, Shaped[np.ndarray, " samples"]]
"""Samples of each metric, one per episode."""
MAX_PARALLEL_EPISODES = 500
"""Most episodes per batch when a run is evaluated."""
MAX_MESSAGE_LENGTH = 300
"""Most characters of an error message about settings."""


@dataclass(frozen=True)
class Run:
    """A run folder, read on demand."""

    path: Path
    """The run folder."""
    config: RunConfig
    """System, training length, seeds and evaluations."""
    checkpoint: CheckpointChoice = "last"
    """Which checkpoint of each seed is read: last, best, or that of a step."""
    seeds: Sequence[int] = ()
    """The seeds that are read, in order; by default all of the run."""
    has_other_channel: bool = False
    """Whether the link is opened with another channel than that of its training."""
    live: Mapping[int, Checkpoint] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )
    """Present states of a run in training, for its callbacks; None: they are read."""

    def __post_init__(self):
        check_choice(self.checkpoint)
        every = self.config.all_seeds
        if unknown := [seed for seed in self.seeds if seed not in every]:
            raise unknown_seed_error(self.path, unknown[0], every)
        if len(set(self.seeds)) < len(self.seeds):
            raise InvalidInputError(
                f"seeds is {[*self.seeds]}; expected different numbers"
            )
        object.__setattr__(self, "seeds", tuple(self.seeds) or every)

    @property
    def system(self) -> System:
        """The system that was trained, with its settings."""
        return self.config.system

    @property
    def settings(self) -> JsonObject:
        """Content of `settings.json`."""
        return RunFolder(self.path).read_settings()

    @property
    def states(self) -> dict[int, PyTree]:
        """State of each seed; in a callback, of each seed that has started."""
        states = {seed: saved.tree.state for seed, saved in self.checkpoints.items()}
        if not self.has_other_channel:
            return states
        system = require_link(self)
        return {
            seed: system.with_channel_state(
                state, init_channel(system.channel, seed_keys(seed).init)
            )
            for seed, state in states.items()
        }

    @property
    def steps(self) -> dict[int, int]:
        """Step of each seed's state."""
        return {seed: saved.step for seed, saved in self.checkpoints.items()}

    @cached_property
    def checkpoints(self) -> dict[int, Checkpoint]:
        """The chosen checkpoint of each seed, read once.

        Raises:
            InvalidInputError: a seed has no checkpoint that can be used, or none at
                this step.
        """
        if self.live is not None:
            return dict(self.live)
        like = abstract_train_state(self.system)
        return {seed: self._read_checkpoint(seed, like) for seed in self.seeds}

    def metrics(self) -> list[metrics_log.MetricsRow]:
        """Rows of `metrics.jsonl`, in the order of the file."""
        return metrics_log.read_rows(RunFolder(self.path).metrics_path)

    @standard_jax_settings()
    def evaluate(
        self, *, episodes: int = 1000, task: Task | None = None
    ) -> dict[int, EpisodeSamples]:
        """Evaluates the state of each seed; samples of each metric, by seed.

        The episodes are the same at each call, and differ from those of the
        evaluations during training.

        Args:
            episodes: number of episodes per seed.
            task: another task of the same shapes; by default the task of the training.

        Raises:
            InvalidInputError: the system has no task, or the task has other shapes.
            EnvironmentStepError: the environment failed.
        """
        system = self.system if task is None else with_task(self.system, task)
        return evaluate_states(system, self.states, episodes)

    @standard_jax_settings()
    def player(
        self, seed: int | None = None, *, greedy: bool = False, rng_seed: int = 0
    ) -> Player:
        """The trained team of one seed, which acts in a loop of one's own.

        Args:
            seed: seed of the team; by default the first.
            greedy: take the most likely actions instead of sampled ones.
            rng_seed: seed of the sampled actions.

        Raises:
            InvalidInputError: the run is not of a team, or has no such seed, or
                `rng_seed` is out of range.
        """
        state = self._state_of(seed)
        return Player(self.system, state, greedy=greedy, rng_seed=rng_seed)

    @standard_jax_settings()
    def transmit(
        self, messages: Int[np.ndarray, "*batch"], *, seed: int | None = None
    ) -> Complex[np.ndarray, "*batch C"]:
        """Codewords of messages, of a link; mean energy 1 per channel use.

        Args:
            messages: integers from 0 to M − 1.
            seed: seed of the transmitter; by default the first.

        Raises:
            InvalidInputError: the system is not a link, or a message is out of range.
        """
        link, state = require_link(self), self._state_of(seed)
        index = np.asarray(messages)
        if not np.issubdtype(index.dtype, np.integer):
            raise InvalidInputError(
                f"messages are {index.dtype}; expected whole numbers"
            )
        if index.size and not 0 <= index.min() <= index.max() < link.messages:
            raise InvalidInputError(
                f"messages are {index.min()} to {index.max()}; "
                f"expected 0 to {link.messages - 1}"
            )
        return pairs_to_complex(link.codewords(state))[index]

    @standard_jax_settings()
    def receive(
        self, y: Complex[np.ndarray, "*batch D"], *, seed: int | None = None
    ) -> Float[np.ndarray, "*batch M"]:
        """Posterior probability of each message, given received symbols, of a link.

        Args:
            y: received complex symbols, D per block; D is C, the number of channel
                uses, unless the channel declares another length.
            seed: seed of the receiver; by default the first.

        Raises:
            InvalidInputError: the system is not a link, or the last axis has another
                length than D.
        """
        link, state = require_link(self), self._state_of(seed)
        received, uses = np.asarray(y), output_uses(link.channel, link.uses)
        if received.shape[-1:] != (uses,):
            raise InvalidInputError(
                f"y has the shape {received.shape}; expected {uses} channel uses on "
                "the last axis"
            )
        blocks = complex_to_pairs(received.reshape(-1, uses))
        probabilities = jax.nn.softmax(link.message_logits(state, jnp.asarray(blocks)))
        return np.asarray(probabilities).reshape(*received.shape[:-1], link.messages)

    def _state_of(self, seed: int | None) -> PyTree:
        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise unknown_seed_error(self.path, seed, self.seeds)
        states = self.states
        if seed not in states:
            raise InvalidInputError(
                f"seed {seed} has not started yet; expected a seed of this evaluation"
            )
        return states[seed]

    @standard_jax_settings()
    def _read_checkpoint(self, seed: int, like: PyTree) -> Checkpoint:
        folder = RunFolder(self.path)
        digest = settings_digest(folder.read_settings())
        if self.checkpoint != "last":
            return load_chosen(folder, self.config, seed, self.checkpoint, like, digest)
        saved = checkpoint.load_latest(
            folder.checkpoints_dir, seed, like, settings_sha256=digest
        )
        if saved is None:
            raise InvalidInputError(f"{self.path} has no checkpoint of seed {seed} yet")
        return saved


@standard_jax_settings()
def load(
    path: str | os.PathLike[str],
    *,
    system: System | None = None,
    channel: AnyChannel | str | UserFunction | None = None,
    checkpoint: CheckpointChoice = "last",
    seeds: Sequence[int] = (),
    trust: bool = False,
) -> Run:
    """Opens the run in a folder.

    Nothing in the folder is executed. A run of the package's own systems, tasks and
    channels imports nothing; one that names other code is opened only if it was trained
    on this machine, or with `trust`.

    A link is opened also where its own channel cannot be imported: `transmit` and
    `receive` need none.

    Args:
        path: the run folder.
        system: the system, if `settings.json` is not enough to make it.
        channel: of a link, another channel in place of that of the training: a channel,
            its id, or a function of complex64[B, C]. The code of the other one is not
            imported.
        checkpoint: which checkpoint of each seed is read: the newest ("last"), that of
            the best evaluation ("best", of a run with `keep_best`), or that of a step.
            A multiple of `save_every` stands for the checkpoints that were kept at it.
        seeds: the seeds that are read, e.g. `[0, 2]`; by default all.
        trust: whether to import the modules, and start the programs, that the run's
            settings name, e.g. `python:my_channel:fade`. Not needed with `system`.

    Raises:
        UntrustedCodeError: the run names code, and was not trained on this machine.
        InvalidInputError: the folder contains no run, or invalid settings, or the run
            has no such seed.
    """
    folder = open_run_folder(path)
    config = load_run_config(
        folder, system, trust=trust, imports_channel=channel is None
    )
    if channel is not None:
        other = with_channel(config.system, make_channel(channel))
        config = dataclasses.replace(config, system=other)
    return Run(
        folder.path,
        config,
        checkpoint,
        tuple(seeds),
        has_other_channel=channel is not None,
    )


def load_run_config(
    folder: RunFolder,
    system: System | None,
    *,
    trust: bool = False,
    imports_channel: bool = True,
) -> RunConfig:
    """Reads the configuration of a run.

    Args:
        folder: the run folder.
        system: the system, if `settings.json` is not enough to make it.
        trust: whether to import what the settings name.
        imports_channel: whether a user's channel is imported; see
            `run_config_from_dict`.

    Raises:
        UntrustedCodeError, InvalidInputError: as for `load`.
    """
    return parse_run_config(
        folder.settings_path,
        folder.read_settings(),
        system,
        trust=trust,
        imports_channel=imports_channel,
    )


def parse_run_config(
    path: Path,
    settings: JsonObject,
    system: System | None = None,
    *,
    trust: bool = False,
    imports_channel: bool = True,
) -> RunConfig:
    """The configuration of a run, from its settings.

    Args:
        path: their file, for messages.
        settings: content of `settings.json`; it may be anyone's.
        system: as for `load_run_config`.
        trust: likewise.
        imports_channel: likewise.

    Raises:
        UntrustedCodeError, InvalidInputError: as for `load`.
    """
    # With a system nothing is imported: the settings are only compared with it.
    names_code = system is not None or _is_trusted(path.parent, settings, trust=trust)
    try:
        with nullcontext() if names_code else without_user_code():
            return run_config_from_dict(
                settings, system, imports_channel=imports_channel
            )
    except InvalidInputError as error:
        # The message may quote an untrusted file, at any length.
        message = textwrap.shorten(str(error), MAX_MESSAGE_LENGTH)
        raise InvalidInputError(f"{path}: {message}") from None


def _is_trusted(path: Path, settings: JsonObject, *, trust: bool) -> bool:
    """Whether a run's code may be imported; False also where it names none.

    A link is opened without its own channel, which is then missing.
    """
    try:
        return check_trust(path, settings, trust=trust)
    except UntrustedCodeError:
        others = {name: x for name, x in settings.items() if name != "channel"}
        if named_code(others):
            raise
        return False


def require_link(run: Run) -> TransmitsMessages:
    """The system of a run, which transmits messages.

    Raises:
        InvalidInputError: the system transmits none.
    """
    if not isinstance(run.system, TransmitsMessages):
        raise InvalidInputError(
            f"{run.path} is not a run of a link; expected a run of `train link`"
        )
    return run.system


def unknown_seed_error(
    path: Path, seed: int, seeds: Sequence[int]
) -> InvalidInputError:
    """Error for a seed that a run does not have."""
    is_range = isinstance(seeds, range) and len(seeds) > 1
    known = f"{seeds[0]} to {seeds[-1]}" if is_range else ", ".join(map(str, seeds))
    return InvalidInputError(f"{path} has no seed {seed}; expected {known}")


def with_task(system: System, task: Task) -> System:
    """Replaces the task of a team, e.g. to evaluate it in another task.

    Raises:
        InvalidInputError: the system has no task, or the new task has other shapes.
    """
    if not isinstance(system, ActsInEpisodes):
        raise InvalidInputError(
            f"the run is not of a multi-agent system; leave out the task {task.id}"
        )
    return system.with_task(task)


def with_channel(system: System, channel: AnyChannel) -> System:
    """Replaces the channel of a link.

    Raises:
        InvalidInputError: the system has no channel, or the receiver was trained with
            received blocks of another length.
    """
    if not isinstance(system, TransmitsMessages):
        raise InvalidInputError(
            f"the run is not of a link; leave out the channel {channel.id}"
        )
    trained = output_uses(system.channel, system.uses)
    if (length := output_uses(channel, system.uses)) != trained:
        raise InvalidInputError(
            f"{channel.id} has received blocks of {length} symbols; expected {trained},"
            " as in the training"
        )
    return system.with_channel(channel)


@standard_jax_settings()
def evaluate_states(
    system: System[StateT], states: Mapping[int, StateT], episodes: int
) -> dict[int, EpisodeSamples]:
    """Samples of each evaluation metric, one per episode, by seed.

    Args:
        system: the system.
        states: the state of each seed.
        episodes: number of episodes per seed.
    """
    samples = make_evaluation(system, episodes)
    with closing_black_box(system):
        return {seed: samples(state, seed) for seed, state in states.items()}


@cache
def jitted_evaluation() -> Callable[..., EvalSamples]:
    """`evaluate_state`, compiled once for all systems of the same shapes.

    Systems of other SNRs, e.g., have the same program.
    """
    return jax.jit(
        evaluate_state, static_argnames="episodes", compiler_options=compiler_options()
    )


def make_evaluation(
    system: System[StateT], episodes: int
) -> Callable[[StateT, int], EpisodeSamples]:
    """Function from a state and a seed to the samples of each evaluation metric.

    The episodes depend on the seed alone, and differ from those of the training.

    Args:
        system: the system.
        episodes: number of episodes.

    Raises:
        InvalidInputError: `episodes` is less than 1.
    """
    if episodes < 1:
        raise InvalidInputError(f"episodes is {episodes}; expected at least 1")
    num_batches = -(-episodes // MAX_PARALLEL_EPISODES)
    batch_size = -(-episodes // num_batches)
    evaluate = jitted_evaluation() if system.jittable else evaluate_state
    program = partial(evaluate, episodes=batch_size)

    def samples(state: StateT, seed: int) -> EpisodeSamples:
        key = seed_keys(seed).post_training_eval
        keys = [jax.random.fold_in(key, index) for index in range(num_batches)]
        parts = [jax.device_get(program(system, state, key)) for key in keys]
        return {n: np.concatenate([p[n] for p in parts])[:episodes] for n in parts[0]}

    return samples

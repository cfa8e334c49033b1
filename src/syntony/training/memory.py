"""Memory and disk that a run will take, compared with what the machine has.

Estimates are lower bounds: they follow from shapes alone, and no run that fits is
refused. What XLA needs beyond them is known once a program is compiled.
"""

import math
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import jax

from syntony.errors import InvalidInputError
from syntony.systems.system import ActsInEpisodes, HasParallelEnvs, System
from syntony.training.available_memory import available_memory
from syntony.training.checkpoint import MAX_CHECKPOINTS, array_shapes
from syntony.training.compiled import CompiledPrograms, TrainState, abstract_train_state
from syntony.training.devices import worker_devices
from syntony.training.run_config import RunConfig
from syntony.training.smaller_settings import MemoryPart, smaller_settings

FLOAT_BYTES = 4
STEP_SETTINGS = ("num_envs", "batch_size")
"""Settings on which the memory of a training step depends, in most systems."""
UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


class InsufficientMemoryError(InvalidInputError):
    """The run takes more memory than there is; nothing is allocated yet."""


def check_memory(config: RunConfig) -> None:
    """Raises InsufficientMemoryError where a run takes more memory than there is.

    Args:
        config: the run. Its initialization is traced, which the training does as well;
            JAX keeps the trace.
    """
    available = available_memory()
    if available is None:
        return
    needed, parts = needed_memory(config)
    if needed <= available:
        return
    largest = max(parts, key=lambda part: part.num_bytes)
    raise InsufficientMemoryError(
        f"the run takes {format_bytes(needed)} of memory, with {largest.name} of "
        f"{format_bytes(largest.num_bytes)} {format_shape(largest.shape)}; available: "
        f"{format_bytes(available)}"
        + smaller_settings(
            config, largest, available / needed, lambda x: needed_memory(x)[0]
        )
    )


def check_disk(config: RunConfig, folder: Path, num_stored: int) -> None:
    """Raises InsufficientMemoryError where checkpoints take more than the disk has.

    Args:
        config: the run.
        folder: the run folder, which need not exist yet.
        num_stored: bytes of the checkpoints that it has already.
    """
    free_now, (needed, parts) = _free_bytes(folder), needed_disk(config)
    if free_now is None or needed <= (free := free_now + num_stored):
        return
    largest = max(parts, key=lambda part: part.num_bytes)
    raise InsufficientMemoryError(
        f"the checkpoints take {format_bytes(needed)}, with {largest.name} of "
        f"{format_bytes(largest.num_bytes)}; free on the disk of {folder}: "
        f"{format_bytes(free)}"
        + smaller_settings(config, largest, free / needed, lambda x: needed_disk(x)[0])
        + ("" if config.save_every is None else "; or a larger --save-every")
    )


def check_programs(config: RunConfig, programs: Iterable[CompiledPrograms]) -> None:
    """Raises InsufficientMemoryError where compiled programs take too much memory.

    Args:
        config: the run.
        programs: its programs for each device, of which nothing has run yet.
    """
    available = available_memory()
    states = sum(part.num_bytes for part in state_parts(config.system))
    workers = worker_devices(len(config.all_seeds))
    num_idle = max(0, _seeds_per_device(config) - len(workers))
    for compiled in programs:
        steps = (program_bytes(compiled.train_chunk), "a training step", STEP_SETTINGS)
        evaluation = (
            program_bytes(compiled.evaluate),
            "an evaluation",
            ("eval_episodes",),
        )
        one, name, settings = max(steps, evaluation)
        # Each seed in training has a backup of its state, as each idle one has a state.
        num_states = num_idle + _workers_per_device(workers)
        needed = one * _workers_per_device(workers) + states * num_states
        if available is not None and needed > available:
            part = MemoryPart(name, one, (), settings)
            raise InsufficientMemoryError(
                f"the run takes {format_bytes(needed)} of memory, with {name} of "
                f"{format_bytes(one)}; available: {format_bytes(available)}"
                + smaller_settings(config, part, available / needed)
            )


def program_bytes(program: Callable[..., object]) -> int:
    """Bytes of a compiled program's inputs, outputs and scratch; 0 if unknown."""
    analyze = getattr(program, "memory_analysis", None)
    stats = analyze() if analyze else None
    if stats is None:
        return 0
    return (
        stats.argument_size_in_bytes
        + stats.output_size_in_bytes
        + stats.temp_size_in_bytes
        - stats.alias_size_in_bytes
    )


def needed_memory(config: RunConfig) -> tuple[int, list[MemoryPart]]:
    """Bytes that a run has in memory at least, on one device, and their parts.

    The state of every seed is kept, and a chunk makes a new one beside the old one.
    """
    states, episodes = state_parts(config.system), episode_parts(config)
    workers = _workers_per_device(worker_devices(len(config.all_seeds)))
    num_states = _seeds_per_device(config) + workers
    total = num_states * sum(part.num_bytes for part in states)
    total += workers * sum(part.num_bytes for part in episodes)
    return total, states + episodes


def needed_disk(config: RunConfig) -> tuple[int, list[MemoryPart]]:
    """Bytes of the checkpoints that a run keeps, and their parts."""
    parts = state_parts(config.system)
    per_seed = MAX_CHECKPOINTS + config.keep_best + num_kept_by_step(config)
    # One more while it is written: the one that it replaces is deleted after it.
    count = per_seed * len(config.all_seeds) + 1
    return count * sum(part.num_bytes for part in parts), parts


def describe_kept(config: RunConfig) -> str:
    """Number and size of the checkpoints by step; empty without any."""
    count = num_kept_by_step(config) * len(config.all_seeds)
    if not count:
        return ""
    size = sum(part.num_bytes for part in state_parts(config.system))
    return (
        f"checkpoints by step: {count:,} of {format_bytes(size)}, "
        f"{format_bytes(count * size)} in all"
    )


def num_kept_by_step(config: RunConfig) -> int:
    """Number of checkpoints by step of each seed, up to the end of the training."""
    return 0 if config.save_every is None else config.steps // config.save_every


def state_parts(system: System) -> list[MemoryPart]:
    """The arrays of a system's training state."""
    like: TrainState = abstract_train_state(system)
    return [
        MemoryPart(
            name.removeprefix("state/"),
            math.prod(array.shape) * array.dtype.itemsize,
            array.shape,
        )
        for name, array in array_shapes(like).items()
    ]


def episode_parts(config: RunConfig) -> list[MemoryPart]:
    """The observations of the episodes that a team collects before it learns.

    Outside of compiled code, those of an evaluation are kept as well.
    """
    system = config.system
    if not (isinstance(system, ActsInEpisodes) and isinstance(system, HasParallelEnvs)):
        return []
    task, episodes, names = system.task, system.num_envs, ("num_envs",)
    if not system.jittable and config.eval_episodes > episodes:
        episodes, names = config.eval_episodes, ("eval_episodes",)
    shape = (task.time_limit + 1, episodes, task.num_agents, task.obs_dim)
    num_bytes = FLOAT_BYTES * math.prod(shape)
    return [MemoryPart("the observations of episodes", num_bytes, shape, names)]


def _free_bytes(folder: Path) -> int | None:
    """Bytes free on the disk of a folder that need not exist yet; None if unknown."""
    try:
        parents = (folder, *folder.absolute().parents)
        usage = shutil.disk_usage(next(path for path in parents if path.exists()))
    except OSError:
        return None
    # Of a file system that is no disk, e.g. /proc.
    return usage.free if usage.total > 0 else None


def _workers_per_device(workers: Sequence[object]) -> int:
    # On a CPU all workers share one device; GPUs have one each.
    return len(workers) if jax.default_backend() == "cpu" else 1


def _seeds_per_device(config: RunConfig) -> int:
    num_seeds = len(config.all_seeds)
    if jax.default_backend() == "cpu":
        return num_seeds
    return -(-num_seeds // len(jax.local_devices()))


def format_bytes(num_bytes: int) -> str:
    """Size with its unit, e.g. `32.2 GB`."""
    power = min(int(math.log10(max(num_bytes, 1)) // 3), len(UNITS) - 1)
    return f"{num_bytes / 1000**power:.{min(power, 1)}f} {UNITS[power]}"


def format_shape(shape: Sequence[int]) -> str:
    """Axes of an array, e.g. `(5,000 × 201)`."""
    return f"({' × '.join(f'{axis:,}' for axis in shape)})"

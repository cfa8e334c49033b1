"""Checkpoints that a run keeps: their disk space, and how one of them is chosen.

Beside the newest ones, from which a run is resumed, a run may keep checkpoints by step
(`save_every`) and that of each seed's best evaluation (`keep_best`).
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import jax
from jaxtyping import PyTree

from syntony.errors import InvalidInputError
from syntony.systems.system import HasBlackBox, System
from syntony.training import checkpoint, metrics_log
from syntony.training.checkpoint import Checkpoint
from syntony.training.compiled import abstract_train_state, evaluate_state
from syntony.training.metrics_log import MetricsRow
from syntony.training.primary_metrics import PRIMARY_METRICS, best_row
from syntony.training.run_config import RunConfig
from syntony.training.run_folder import RunFolder

CheckpointChoice = int | str
"""Checkpoint of each seed: "last", the newest; "best", that of the best evaluation; or
the one of a step."""
MAX_LISTED_STEPS = 20
"""Most steps that an error message lists."""


def check_choice(choice: object) -> None:
    """Raises InvalidInputError if this is no `CheckpointChoice`."""
    is_step = type(choice) is int and choice >= 0
    if not is_step and choice not in ("last", "best"):
        raise InvalidInputError(
            f"checkpoint is {choice!r}; expected best, last or a step"
        )


def check_best_metric(system: System) -> None:
    """Raises InvalidInputError if no metric of the system ranks its checkpoints."""
    jittable = system.as_jittable() if isinstance(system, HasBlackBox) else system
    state, key = abstract_train_state(jittable).state, jax.eval_shape(jax.random.key, 0)
    evaluate = partial(evaluate_state, jittable, episodes=1)
    metrics = jax.eval_shape(evaluate, state, key)
    if not metrics.keys() & set(PRIMARY_METRICS):
        raise InvalidInputError(
            f"keep_best needs {' or '.join(PRIMARY_METRICS)}; the system evaluates "
            f"{', '.join(sorted(metrics))}"
        )


def best_rows(folder: RunFolder, seeds: Iterable[int]) -> dict[int, MetricsRow]:
    """Row of the best evaluation of each seed, of those whose checkpoint exists.

    Seeds without any are left out.
    """
    rows = metrics_log.read_rows(folder.metrics_path)
    found: dict[int, MetricsRow] = {}
    for seed in seeds:
        paths = checkpoint.checkpoint_paths(folder.checkpoints_dir, seed)
        steps = set(map(checkpoint.checkpoint_step, paths))
        stored = [row for row in rows if row["seed"] == seed and row["step"] in steps]
        if (best := best_row(stored)) is not None:
            found[seed] = best
    return found


def load_chosen(
    folder: RunFolder,
    config: RunConfig,
    seed: int,
    choice: CheckpointChoice,
    like: PyTree,
    settings_sha256: bytes,
) -> Checkpoint:
    """Loads a seed's checkpoint that is not chosen as the newest.

    Args:
        folder: the run folder.
        config: its configuration.
        seed: the seed.
        choice: that of the best evaluation, or of a step.
        like: as for `load_latest`.
        settings_sha256: digest of the run's settings.

    Raises:
        InvalidInputError: there is none, or it is damaged.
    """
    for _ in range(checkpoint.MAX_READ_ATTEMPTS):
        path = (
            find_by_step(folder, config, seed, choice)
            if isinstance(choice, int)
            else find_best(folder, config, seed)
        )
        try:
            return checkpoint.load_checkpoint(
                path, like, settings_sha256=settings_sha256
            )
        except checkpoint.CheckpointNotFoundError:
            # A running process has a better one, or has deleted an old one.
            continue
    raise InvalidInputError(f"{folder.path} replaces its checkpoints; try again")


def find_best(folder: RunFolder, config: RunConfig, seed: int) -> Path:
    """Path of the checkpoint of a seed's best evaluation.

    Raises:
        InvalidInputError: the run does not keep it, or has none yet.
    """
    if not config.keep_best:
        raise InvalidInputError(
            f"{folder.path} does not keep its best checkpoint: it was trained without "
            f"--keep-best; {_describe_choices(folder, config)}"
        )
    best = best_rows(folder, [seed]).get(seed)
    if best is None:
        raise InvalidInputError(f"{folder.path} has no evaluation of seed {seed} yet")
    return _paths_by_step(folder, seed)[best["step"]]


def find_by_step(folder: RunFolder, config: RunConfig, seed: int, step: int) -> Path:
    """Path of the checkpoint of a seed at a step.

    An iteration may train many steps at once, so that the seeds reach a multiple of
    `save_every` at different steps. The multiple stands for the checkpoints of all
    seeds that were kept at it, and so does the exact step of any of them.

    Raises:
        InvalidInputError: there is none.
    """
    by_step = {other: _paths_by_step(folder, other) for other in config.all_seeds}
    exact = [paths[step] for paths in by_step.values() if step in paths]
    kept_at = {step, *map(checkpoint.kept_step, exact)} - {None}
    if step in by_step[seed]:
        return by_step[seed][step]
    for path in by_step[seed].values():
        if checkpoint.kept_step(path) in kept_at:
            return path
    raise InvalidInputError(
        f"{folder.path} has no checkpoint of seed {seed} at step {step:,}; "
        f"{_describe_choices(folder, config)}"
    )


def _paths_by_step(folder: RunFolder, seed: int) -> dict[int, Path]:
    paths = checkpoint.checkpoint_paths(folder.checkpoints_dir, seed)
    return {checkpoint.checkpoint_step(path): path for path in paths}


def _describe_choices(folder: RunFolder, config: RunConfig) -> str:
    """The checkpoints of a run, as `--checkpoint` takes them."""
    steps: set[int] = set()
    for seed in config.all_seeds:
        for step, path in _paths_by_step(folder, seed).items():
            kept_at = checkpoint.kept_step(path)
            steps.add(step if kept_at is None else kept_at)
    words = ["best", "last"] if config.keep_best else ["last"]
    listed = [f"{step:,}".replace(",", "_") for step in sorted(steps)]
    if len(listed) > MAX_LISTED_STEPS:
        listed = [*listed[: MAX_LISTED_STEPS - 1], "…", listed[-1]]
    return f"expected one of {', '.join([*words, *listed])}"

"""Start of a training from the weights of another run: fine-tuning and curricula.

Only weights, their target networks and the statistics that normalize are taken.
Optimizer states, counters, random keys and replay buffers are those of a new run.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from syntony.errors import InvalidInputError, unknown_name_error
from syntony.systems.registry import system_name
from syntony.systems.system import StartsFromWeights, System
from syntony.training import checkpoint
from syntony.training.compiled import TrainState, abstract_train_state, jitted_init
from syntony.training.devices import fast_compile_options
from syntony.training.integrity import array_digest
from syntony.training.run import Run, load
from syntony.training.run_config import RunConfig
from syntony.training.safe_io import JsonObject
from syntony.training.seed_scheduler import seed_keys

STARTED_FROM = "started_from"
"""Entry of `settings.json`: the run whose weights the training started from."""
STATS_SUFFIX = "_stats"
"""End of the names of those parts that are statistics, which normalize."""
Weights = Mapping[str, PyTree]
"""Weights by part, as `StartsFromWeights.weights` returns them; or their shapes."""


class StartWeights(NamedTuple):
    """The run whose weights a training starts from."""

    run: Run
    part: str | None = None
    """The part that is taken, e.g. `receiver`; None: all."""

    @property
    def request(self) -> JsonObject:
        """Entry of `settings.json`: where the weights come from."""
        checkpoint, seeds = self.run.checkpoint, [*self.run.seeds]
        request = {"path": str(self.run.path), "checkpoint": checkpoint}
        return request | {"part": self.part, "from_seeds": seeds}


def make_start(run: Run | str | Path | None, part: str | None) -> StartWeights | None:
    """The start of a training; None if it starts from new weights.

    Args:
        run: the other run, or its folder.
        part: the part of the weights that is taken; None: all.

    Raises:
        InvalidInputError: there is no such run, or a part of no run.
    """
    if run is None:
        if part is not None:
            raise InvalidInputError(
                f"start_part is {part!r}, and start_from is missing; expected both"
            )
        return None
    return StartWeights(run if isinstance(run, Run) else load(run), part)


def initial_states(
    config: RunConfig, start: StartWeights
) -> tuple[dict[int, TrainState], JsonObject]:
    """Initial training state of each seed, with the weights of another run.

    Seed i starts from seed i of the other run if it has that, else from its first.

    Args:
        config: the configuration of the new run.
        start: the other run.

    Returns:
        The states by seed, and a description of their weights for `settings.json`:
        for each seed the other run's seed and step, and the SHA-256 of the weights.

    Raises:
        InvalidInputError: a system cannot start from weights, or they do not fit.
    """
    system, source = config.system, start.run.system
    _require_weights(system, "this run")
    _require_weights(source, str(start.run.path))
    assert isinstance(system, StartsFromWeights)
    assert isinstance(source, StartsFromWeights)
    # Before anything is compiled or read.
    take_weights(_weight_shapes(system), _weight_shapes(source), start)
    initialize = _compile_init(system)
    states: dict[int, TrainState] = {}
    seeds: JsonObject = {}
    for seed in config.all_seeds:
        from_seed = seed if seed in start.run.seeds else start.run.seeds[0]
        fresh = initialize(system, seed_keys(seed).init)
        weights = take_weights(
            system.weights(fresh.state),
            source.weights(start.run.states[from_seed]),
            start,
        )
        states[seed] = fresh._replace(state=system.with_weights(fresh.state, weights))
        seeds[str(seed)] = {
            "seed": from_seed,
            "step": start.run.steps[from_seed],
            "sha256": weights_digest(system.weights(states[seed].state)),
        }
    return states, {STARTED_FROM: start.request | {"seeds": seeds}}


def _require_weights(system: System, name: str) -> None:
    if not isinstance(system, StartsFromWeights):
        raise InvalidInputError(
            f"{system_name(system)}, the system of {name}, cannot start from weights; "
            "expected one with the methods weights and with_weights"
        )


def _weight_shapes(system: StartsFromWeights) -> Weights:
    return jax.eval_shape(system.weights, abstract_train_state(system).state)


def _compile_init(system: System) -> Callable[..., TrainState]:
    if not system.jittable:
        return jitted_init
    lowered = jitted_init.lower(system, seed_keys(0).init)
    return lowered.compile(fast_compile_options())


def take_weights(new: Weights, other: Weights, start: StartWeights) -> Weights:
    """The new weights, with those parts replaced that are taken from another run.

    Args:
        new: weights of the new run.
        other: weights of the other run.
        start: the other run, and the part that is taken.

    Raises:
        InvalidInputError: there is no such part, or a part has other names, shapes or
            types.
    """
    path, parts = start.run.path, [*new]
    if start.part is not None:
        if start.part not in _networks(new):
            raise unknown_name_error("part", start.part, _networks(new))
        # A network is of no use with other statistics of its inputs.
        parts = [start.part, *(name for name in new if name.endswith(STATS_SUFFIX))]
    if missing := [part for part in parts if part not in other]:
        raise InvalidInputError(
            f"{path} has no weights of {', '.join(missing)}; it has {', '.join(other)}"
            f"; expected a run with {', '.join(parts)}{_hint(new, start)}"
        )
    taken = {part: _fitted(part, new, other[part], start) for part in parts}
    return {**new, **taken}


def _fitted(part: str, new: Weights, other: PyTree, start: StartWeights) -> PyTree:
    """A part of another run in the structure of the new run's.

    Raises:
        InvalidInputError: its arrays have other names, shapes or types.
    """
    ours, theirs = checkpoint.named_leaves(new[part]), checkpoint.named_leaves(other)
    for name in dict.fromkeys([*ours, *theirs]):
        here, there = (_describe(leaves.get(name)) for leaves in (ours, theirs))
        if here != there:
            leaf = f"{part}/{name}".rstrip("/")
            raise InvalidInputError(
                f"the weights of {start.run.path} do not fit: {leaf} is {there} "
                f"there and {here} here; expected the same networks and sizes"
                f"{_hint(new, start)}"
            )
    structure = jax.tree.structure(new[part])
    return jax.tree.unflatten(structure, [theirs[name] for name in ours])


def _describe(leaf: checkpoint.Leaf | None) -> str:
    return "absent" if leaf is None else f"{leaf.dtype}{tuple(leaf.shape)}"


def _hint(new: Weights, start: StartWeights) -> str:
    if start.part is not None:
        return ""
    return f", or one part alone: {', '.join(_networks(new))}"


def _networks(weights: Weights) -> list[str]:
    """Parts that can be taken alone."""
    return [part for part in weights if not part.endswith(STATS_SUFFIX)]


def weights_digest(weights: Weights) -> str:
    """SHA-256 of all weights, in hexadecimal digits."""
    digest = array_digest(checkpoint.named_arrays(dict(weights)))
    return np.asarray(digest).tobytes().hex()


def check_same_start(settings: JsonObject, start: StartWeights | None) -> None:
    """Raises InvalidInputError if a stored run started from other weights.

    Args:
        settings: content of its `settings.json`.
        start: what is asked for now.
    """
    stored = settings.get(STARTED_FROM)
    known = stored if isinstance(stored, dict) else {}
    asked = {} if start is None else start.request
    if asked != {name: value for name, value in known.items() if name != "seeds"}:
        then, now = (
            f"from {x['path']}" if "path" in x else "anew" for x in (known, asked)
        )
        how = " with other flags" if then == now else ""
        raise InvalidInputError(
            f"the folder holds a run that started {then}, and this one starts {now}"
            f"{how}; try another --out"
        )

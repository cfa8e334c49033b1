"""Reference of a link over any channel: a classical code with a trained receiver.

Where the channel's maximum-likelihood detector is not known, a receiver like the link's
own is trained for a classical code over the same channel. It is a run of its own in the
folder `reference` of the run, and is trained once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from syntony.channels.black_box import TRIED_BLOCKS
from syntony.errors import InvalidInputError
from syntony.systems.link.codes import classical_starts
from syntony.systems.link.fixed_transmitters import fixed_code
from syntony.systems.system import HasFixedTransmitters, StateT, System
from syntony.training.devices import compiler_options
from syntony.training.loop import train
from syntony.training.run import Run, require_link
from syntony.training.run_config import resolve_steps
from syntony.training.run_folder import RunFolder

REFERENCE_ITERATIONS = 1000
"""Iterations in which the receiver of a reference is trained."""
SELECTION_ITERATIONS = 200
"""Iterations of each code, after which the best one is chosen."""
SELECTION_BLOCKS = 10_000
"""Blocks from which the error rate of each code is then measured."""
EVALUATION_BLOCKS = 1_000
"""Blocks of each of the two evaluations of the training of a reference."""
AUTO, NONE = "auto", "none"
"""References by choice: of the best code that fits, and no reference."""
NotifyFn = Callable[[str], None]


def train_reference(run: Run, name: str, notify: NotifyFn) -> Run | None:
    """Trains the receiver of a reference, or loads it if that has been done.

    Args:
        run: run of a link.
        name: name of a fixed transmitter, auto, or none.
        notify: called with a line before anything is sent.

    Returns:
        The run of the reference; None for none, and for auto where the system cannot be
        trained with a fixed transmitter, or has one.

    Raises:
        InvalidInputError: there is no such transmitter of this size.
    """
    link = run.system
    if name == NONE:
        return None
    if not isinstance(link, HasFixedTransmitters) or link.has_fixed_transmitter:
        if name == AUTO:
            return None
        raise InvalidInputError(
            f"{run.path} has a transmitter that cannot be replaced; "
            "expected --reference none"
        )
    folder = RunFolder(run.path / "reference" / name.replace("/", "_"))
    if folder.contains_run():
        name = _stored_transmitter(folder)
    else:
        notify(_announcement(link, name))
        name = choose_transmitter(link) if name == AUTO else name
    return train(
        link.with_fixed_transmitter(name),
        steps=REFERENCE_ITERATIONS,
        eval_every=REFERENCE_ITERATIONS,
        eval_episodes=EVALUATION_BLOCKS,
        out=folder.path,
        quiet=True,
    )


def _announcement(link: HasFixedTransmitters, name: str) -> str:
    names = _fitting_names(link) if name == AUTO else []
    first = _short_training(link, names[0] if names else name)
    selection = first.receiver_blocks(SELECTION_ITERATIONS) + SELECTION_BLOCKS
    # A black box gets the first evaluation twice, to see whether its answers differ.
    evaluations = 3 if link.channel.is_black_box else 2
    training = first.receiver_blocks(REFERENCE_ITERATIONS) + TRIED_BLOCKS
    training += evaluations * EVALUATION_BLOCKS
    blocks = len(names) * selection + training
    return (
        f"reference: trains a receiver for a classical code over {link.channel.id}, "
        f"which sends {blocks:,} blocks, and more for its error rates; "
        "--reference none leaves it out"
    )


def _fitting_names(link: HasFixedTransmitters) -> list[str]:
    return [name for name, _ in classical_starts(link.messages, link.uses)]


def _stored_transmitter(folder: RunFolder) -> str:
    """Name of the transmitter in the settings of a reference."""
    settings = folder.read_settings().get("settings")
    name = settings.get("transmitter") if isinstance(settings, dict) else None
    if not isinstance(name, str):
        raise InvalidInputError(f"{folder.settings_path}: transmitter is missing")
    return name


def reference_name(reference: Run) -> str:
    """Name of a reference in tables and legends."""
    link = require_link(reference)
    transmitter = _stored_transmitter(RunFolder(reference.path))
    code = fixed_code(transmitter, link.messages, link.uses)
    return f"{code.name}, trained receiver"


def choose_transmitter(link: HasFixedTransmitters[StateT]) -> str:
    """Name of the classical code that has the lowest error rate after a short training.

    Of equal error rates the lowest loss counts.

    Args:
        link: link over the channel, of the size of the codes.
    """
    names = _fitting_names(link)
    links = [_short_training(link, name) for name in names]
    # One program for all: their codebooks are in their states.
    train_receiver = _compile_selection(links[0])
    scores = [train_receiver(other.init(jax.random.key(0))) for other in links]
    return names[scores.index(min(scores))]


def _short_training(
    link: HasFixedTransmitters[StateT], name: str
) -> HasFixedTransmitters[StateT]:
    """The link whose schedule is that of the whole training of a reference."""
    fixed = link.with_fixed_transmitter(name)
    fixed.check()
    resolved: System[StateT] = resolve_steps(fixed, REFERENCE_ITERATIONS)
    assert isinstance(resolved, HasFixedTransmitters)
    return resolved


def _compile_selection(
    link: HasFixedTransmitters[StateT],
) -> Callable[[StateT], tuple[float, float]]:
    """Function from an initial state to error rate and loss after a short training."""

    def step(state: StateT, _: None) -> tuple[StateT, Array]:
        state, metrics = link.step(state)
        return state, metrics["train/receiver_loss"]

    def error_rate(state: StateT) -> Float[Array, ""]:
        samples = link.evaluate(state, jax.random.key(1), SELECTION_BLOCKS)
        return jnp.mean(samples["eval/bler"].astype(float))

    def on_host(state: StateT) -> tuple[float, float]:
        loss = jnp.inf
        for _ in range(SELECTION_ITERATIONS):
            state, loss = step(state, None)
        return float(error_rate(state)), float(loss)

    def scan(state: StateT) -> tuple[Float[Array, ""], Float[Array, ""]]:
        state, losses = jax.lax.scan(step, state, length=SELECTION_ITERATIONS)
        return error_rate(state), losses[-1]

    if not link.jittable:
        return on_host
    program = jax.jit(scan, compiler_options=compiler_options())

    def on_device(state: StateT) -> tuple[float, float]:
        rate, loss = program(state)
        return float(rate), float(loss)

    return on_device

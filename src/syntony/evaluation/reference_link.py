"""Reference of a link over any channel: a classical code with a trained receiver.

Where the channel's maximum-likelihood detector is not known, a receiver like the link's
own is trained for a classical code over the same channel. It is a run of its own in the
folder `reference` of the run, and is trained once.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from syntony.errors import InvalidInputError
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
        eval_episodes=1000,
        out=folder.path,
        quiet=True,
    )


def _announcement(link: HasFixedTransmitters, name: str) -> str:
    names = link.fixed_transmitters if name == AUTO else []
    first = _short_training(link, names[0] if names else name)
    blocks = len(names) * first.receiver_blocks(SELECTION_ITERATIONS)
    blocks += first.receiver_blocks(REFERENCE_ITERATIONS)
    return (
        f"reference: trains a receiver for a classical code over {link.channel.id}, "
        f"which sends {blocks:,} blocks, and more for its error rates; "
        "--reference none leaves it out"
    )


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
    """Name of the classical code whose receiver has the lowest loss after a while.

    Args:
        link: link over the channel, of the size of the codes.
    """
    names = link.fixed_transmitters
    links = [_short_training(link, name) for name in names]
    # One program for all: their codebooks are in their states.
    train_receiver = _compile_selection(links[0])
    key = jax.random.key(0)
    losses = [train_receiver(other.init(key)) for other in links]
    return names[int(np.argmin(losses))]


def _short_training(
    link: HasFixedTransmitters[StateT], name: str
) -> HasFixedTransmitters[StateT]:
    """The link whose schedule is that of the whole training of a reference."""
    fixed = link.with_fixed_transmitter(name)
    resolved: System[StateT] = resolve_steps(fixed, REFERENCE_ITERATIONS)
    assert isinstance(resolved, HasFixedTransmitters)
    return resolved


def _compile_selection(
    link: HasFixedTransmitters[StateT],
) -> Callable[[StateT], float]:
    """Function from an initial state to the loss at the end of a short training."""
    num_last = SELECTION_ITERATIONS // 4

    def step(state: StateT, _: None) -> tuple[StateT, Array]:
        state, metrics = link.step(state)
        return state, metrics["train/receiver_loss"]

    def mean_loss(losses: Float[Array, " iterations"]) -> float:
        return float(jnp.mean(losses[-num_last:]))

    def on_host(state: StateT) -> float:
        losses: list[Array] = []
        for _ in range(SELECTION_ITERATIONS):
            state, loss = step(state, None)
            losses.append(loss)
        return mean_loss(jnp.stack(losses))

    def scan(state: StateT) -> Float[Array, " iterations"]:
        return jax.lax.scan(step, state, length=SELECTION_ITERATIONS)[1]

    if not link.jittable:
        return on_host
    program = jax.jit(scan, compiler_options=compiler_options())
    return lambda state: mean_loss(program(state))

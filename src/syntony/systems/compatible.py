"""Which settings of a link go together; each alone is checked where it is stated."""

import math
from typing import Any

from syntony.errors import BadInput


def check_together(link: Any) -> None:
    """Raises BadInput where settings of a link exclude one another."""
    if link.gradient == "backprop" and not link.channel.differentiable:
        raise BadInput(
            f"gradient is 'backprop', but {link.channel.id} has no gradient; "
            "expected 'policy' or 'spsa'"
        )
    if link.gradient != "policy" and link.feedback.delay:
        raise BadInput(
            f"feedback is late, and gradient is {link.gradient!r}; "
            "expected 'policy', which keeps what it has sent"
        )
    _check_training_gain(link)
    _check_batch(link)


def _check_training_gain(link: Any) -> None:
    gain, noiseless = link.training_gain_db, link.channel.snr_db is None
    if not math.isfinite(gain) or (noiseless and gain):
        want = "0, as it has no noise of ours" if noiseless else "a number of dB"
        raise BadInput(
            f"training_gain_db is {gain} over {link.channel.id}; expected {want}"
        )
    try:
        link.practised.check()
    except BadInput as error:
        raise BadInput(f"training_gain_db is {gain}, so that {error}") from error


def _check_batch(link: Any) -> None:
    schedule, exploration = link.schedule, link.exploration
    batch = schedule.batch
    explores = link.gradient == "policy" or link.receiver_exploration
    paired = link.gradient == "spsa" or (explores and exploration.antithetic)
    if paired and batch % 2:
        raise BadInput(
            f"batch is {batch}; expected an even number, as blocks are sent in pairs"
        )
    frame = 2 * link.uses * (2 if exploration.antithetic else 1)
    orthogonal = explores and exploration.directions == "orthogonal"
    if orthogonal and batch % frame:
        near = max(frame, round(batch / frame) * frame)
        raise BadInput(
            f"batch is {batch}; expected a multiple of {frame}, as orthogonal "
            f"directions come {frame} at a time, e.g. {near}"
        )
    if link.feedback.delay and max(schedule.transmitter_steps, schedule.growth) > 1:
        raise BadInput(
            "feedback is late, and an iteration sends more than one batch; "
            "expected transmitter_steps and growth of 1"
        )

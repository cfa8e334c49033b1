"""Which settings of a link go together; each alone is checked where it is stated."""

import math
from typing import Any

from syntony.errors import InvalidInputError


def check_compatibility(link: Any) -> None:
    """Raises BadInput where settings of a link exclude one another."""
    if link.gradient == "backprop" and not link.channel.differentiable:
        raise InvalidInputError(
            f"gradient is 'backprop', but {link.channel.id} has no gradient; "
            "expected 'policy' or 'spsa'"
        )
    if link.gradient != "policy" and link.feedback.delay_iterations:
        raise InvalidInputError(
            f"feedback is late, and gradient is {link.gradient!r}; "
            "expected 'policy', which keeps what it has sent"
        )
    _check_training_snr(link)
    _check_batch_size(link)


def _check_training_snr(link: Any) -> None:
    gain, noiseless = link.training_snr_offset_db, link.channel.snr_db is None
    if not math.isfinite(gain) or (noiseless and gain):
        want = "0, as it has no noise of ours" if noiseless else "a number of dB"
        raise InvalidInputError(
            f"training_snr_offset_db is {gain} over {link.channel.id}; expected {want}"
        )
    try:
        link.training_channel.check()
    except InvalidInputError as error:
        raise InvalidInputError(
            f"training_snr_offset_db is {gain}, so that {error}"
        ) from error


def _check_batch_size(link: Any) -> None:
    schedule, exploration = link.schedule, link.perturbation
    batch = schedule.batch_size
    explores = link.gradient == "policy" or link.perturb_receiver_batches
    paired = link.gradient == "spsa" or (explores and exploration.antithetic)
    if paired and batch % 2:
        raise InvalidInputError(
            f"batch_size is {batch}; expected an even number, as blocks are sent in pairs"
        )
    frame = 2 * link.uses * (2 if exploration.antithetic else 1)
    orthogonal = explores and exploration.perturbation_directions == "orthogonal"
    if orthogonal and batch % frame:
        near = max(frame, round(batch / frame) * frame)
        raise InvalidInputError(
            f"batch_size is {batch}; expected a multiple of {frame}, as orthogonal "
            f"directions come {frame} at a time, e.g. {near}"
        )
    if (
        link.feedback.delay_iterations
        and max(schedule.transmitter_steps, schedule.final_batch_multiplier) > 1
    ):
        raise InvalidInputError(
            "feedback is late, and an iteration sends more than one batch; "
            "expected transmitter_steps and final_batch_multiplier of 1"
        )

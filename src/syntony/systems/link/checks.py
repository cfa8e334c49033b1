"""Checks of a link: settings that exclude each other."""

import math
from typing import TYPE_CHECKING

from syntony.channels.snr import finite_snr_db
from syntony.errors import InvalidInputError, unknown_name_error
from syntony.networks.modems import receiver_spec
from syntony.networks.user_network import check_network
from syntony.systems.link import design
from syntony.systems.link.codes import CLASSICAL_TRANSMITTERS, classical_code
from syntony.systems.link.fixed_transmitters import check_transmitter
from syntony.systems.link.receiver import RECEIVERS

if TYPE_CHECKING:
    from syntony.systems.link.link import Link


def check_link(link: "Link") -> None:
    """Raises InvalidInputError if a setting of a link excludes another one."""
    _check_networks(link)
    _check_initial_codebook(link)
    _check_gradient(link)
    _check_training_snr(link)
    _check_batch_size(link)


def _check_networks(link: "Link") -> None:
    sizes = link.messages, link.uses, link.hidden
    check_transmitter(*sizes[:2], link.transmitter_spec, link.power_constraint)
    check_network(
        "receiver", receiver_spec(link.receiver, *sizes), ("auto", *RECEIVERS)
    )


def _check_initial_codebook(link: "Link") -> None:
    if link.initial_codebook in (design.AUTO, design.NETWORK):
        return
    if not link.can_start_from_codebook:
        raise InvalidInputError(
            f"initial_codebook is {link.initial_codebook!r}, transmitter is "
            f"{link.transmitter!r} and hidden is {link.hidden}; expected "
            f"{design.NETWORK!r}, or transmitter 'mlp' with {link.messages} or more "
            "hidden units"
        )
    names = (design.AUTO, design.NETWORK, *CLASSICAL_TRANSMITTERS)
    if link.initial_codebook not in names:
        raise unknown_name_error("initial_codebook", link.initial_codebook, names)
    classical_code(link.initial_codebook, link.messages, link.uses)


def _check_gradient(link: "Link") -> None:
    if link.gradient == "backprop" and not link.channel.differentiable:
        raise InvalidInputError(
            f"gradient is 'backprop', but {link.channel.id} has no gradient; "
            "expected 'policy' or 'spsa'"
        )
    if not link.feedback.delay_iterations:
        return
    if link.gradient != "policy":
        raise InvalidInputError(
            f"feedback is delayed, and gradient is {link.gradient!r}; "
            "expected 'policy', which keeps pending batches"
        )
    schedule = link.schedule
    if max(schedule.transmitter_steps, schedule.final_batch_multiplier) > 1:
        raise InvalidInputError(
            "feedback is delayed, and an iteration sends more than one batch; "
            "expected transmitter_steps and final_batch_multiplier of 1"
        )


def _check_training_snr(link: "Link") -> None:
    offset, noiseless = link.training_snr_offset_db, finite_snr_db(link.channel) is None
    if not math.isfinite(offset) or (noiseless and offset):
        expected = "a number of dB"
        if noiseless:
            expected = (
                "0, as its SNR cannot be set; where a preset has set it: "
                "--training-snr-offset-db 0"
            )
        raise InvalidInputError(
            f"training_snr_offset_db is {offset} over {link.channel.id}; "
            f"expected {expected}"
        )
    try:
        link.training_channel.check()
    except InvalidInputError as error:
        raise InvalidInputError(
            f"training_snr_offset_db is {offset}, so that {error}"
        ) from error


def _check_batch_size(link: "Link") -> None:
    batch_size, perturbation = link.schedule.batch_size, link.perturbation
    perturbs = link.gradient == "policy" or link.perturb_receiver_batches
    in_pairs = perturbs and perturbation.antithetic
    if (link.gradient == "spsa" or in_pairs) and batch_size % 2:
        raise InvalidInputError(
            f"batch_size is {batch_size}; expected an even number, as blocks are "
            "sent in pairs"
        )

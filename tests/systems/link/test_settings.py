"""Settings of a link that are invalid, alone or together."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from syntony.channels.awgn import AWGN
from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.feedback import Feedback
from syntony.errors import InvalidInputError
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

TINY = Link(messages=16, uses=2, schedule=TrainingSchedule(batch_size=256))
BLACK_BOX = BlackBoxChannel(function=lambda x: np.exp(0.3j) * x)

INVALID: list[tuple[dict[str, Any], str]] = [
    ({"messages": 1}, "messages is 1; expected 2 to 65536"),
    ({"messages": 2**17}, "messages is 131072; expected 2 to 65536"),
    ({"uses": 0}, "uses is 0; expected 1 to 65536"),
    ({"hidden": 0}, "hidden is 0; expected 1 to 65536"),
    (
        {"channel_estimator_hidden": 0},
        "channel_estimator_hidden is 0; expected at least 1",
    ),
    ({"max_amplitude": 0.0}, "max_amplitude is 0.0; expected above 0"),
    (
        {"schedule": TrainingSchedule(batch_size=1)},
        "batch_size is 1; expected at least 2",
    ),
    (
        {"schedule": TrainingSchedule(batch_size=33)},
        "batch_size is 33; expected an even number",
    ),
    (
        {
            "feedback": Feedback(delay_iterations=1),
            "schedule": TrainingSchedule(final_batch_multiplier=2),
        },
        "feedback is delayed, and an iteration sends more than one batch",
    ),
    (
        {"initial_codebook": "qpks"},
        "unknown initial_codebook 'qpks'; did you mean 'qpsk'?",
    ),
    (
        {"initial_codebook": "qpsk", "hidden": 3},
        "initial_codebook is 'qpsk', transmitter is 'mlp' and hidden is 3; expected",
    ),
    ({"gradient": "polcy"}, "unknown gradient 'polcy'; did you mean 'policy'?"),
    (
        {"power_constraint": "avg"},
        "unknown power_constraint 'avg'; did you mean 'average'?",
    ),
    (
        {"perturbation": PerturbationConfig(perturbation_variance=1.0)},
        "perturbation_variance is 1.0; expected",
    ),
    (
        {"perturbation": PerturbationConfig(perturbation_variance=0.0)},
        "perturbation_variance is 0.0; expected",
    ),
    (
        {"gradient": "spsa", "feedback": Feedback(delay_iterations=1)},
        "feedback is delayed, and gradient is 'spsa'",
    ),
    (
        {"channel": BLACK_BOX, "training_snr_offset_db": 3.0},
        "training_snr_offset_db is 3.0 over python:<lambda>; expected 0, as its SNR",
    ),
    (
        {"channel": AWGN(snr_db=float("inf")), "training_snr_offset_db": 3.0},
        "training_snr_offset_db is 3.0 over awgn?snr_db=inf; expected 0, as its SNR",
    ),
    (
        {"training_snr_offset_db": float("inf")},
        "training_snr_offset_db is inf over awgn; expected a number",
    ),
    (
        {"schedule": TrainingSchedule(receiver_lr_multiplier=0.0)},
        "receiver_lr_multiplier is 0.0; expected above",
    ),
]


@pytest.mark.parametrize(
    ("settings", "message"), INVALID, ids=[message for _, message in INVALID]
)
def test_invalid_settings_are_rejected_in_one_line(settings, message):
    link = dataclasses.replace(TINY, **settings)
    with pytest.raises(InvalidInputError) as error:
        link.check()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)

"""Settings of a link that make no sense, alone or together."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from syntony.channels.black_box import BlackBoxChannel
from syntony.channels.feedback import Feedback
from syntony.errors import InvalidInputError
from syntony.systems.link.gradient_estimators import PerturbationConfig
from syntony.systems.link.link import Link
from syntony.systems.link.schedule import TrainingSchedule

TINY = Link(messages=16, uses=2, schedule=TrainingSchedule(batch_size=256))
OPAQUE = BlackBoxChannel(function=lambda x: np.exp(0.3j) * x)

BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": 1}, "messages is 1; expected 2 to 65,536"),
    ({"messages": 2**17}, "messages is 131072; expected 2 to 65,536"),
    ({"uses": 0}, "uses is 0; expected 1 to 65,536"),
    ({"hidden": 0}, "hidden is 0; expected 1 to 65,536"),
    ({"estimator": 0}, "estimator is 0; expected at least 1"),
    ({"peak": 0.0}, "peak is 0.0; expected above 0"),
    ({"schedule": TrainingSchedule(batch_size=1)}, "batch is 1; expected at least 2"),
    (
        {"schedule": TrainingSchedule(batch_size=33)},
        "batch is 33; expected an even number",
    ),
    (
        {
            "feedback": Feedback(delay_iterations=1),
            "schedule": TrainingSchedule(final_batch_multiplier=2),
        },
        "feedback is late, and an iteration sends more than one batch",
    ),
    (
        {
            "exploration": PerturbationConfig(perturbation_directions="orthogonal"),
            "schedule": TrainingSchedule(batch_size=260),
        },
        "batch is 260; expected a multiple of 8, as orthogonal directions come 8 at a "
        "time, e.g. 256",
    ),
    ({"gradient": "polcy"}, "unknown gradient 'polcy'; did you mean 'policy'?"),
    ({"power": "avg"}, "unknown power 'avg'; did you mean 'average'?"),
    (
        {"exploration": PerturbationConfig(perturbation_variance=1.0)},
        "variance is 1.0; expected",
    ),
    (
        {"exploration": PerturbationConfig(perturbation_variance=0.0)},
        "variance is 0.0; expected",
    ),
    (
        {"gradient": "spsa", "feedback": Feedback(delay_iterations=1)},
        "feedback is late, and",
    ),
    (
        {"channel": OPAQUE, "training_gain_db": 3.0},
        "training_gain_db is 3.0 over python:<lambda>; expected 0, as it has no noise",
    ),
    (
        {"training_gain_db": float("inf")},
        "training_gain_db is inf over awgn; expected a number",
    ),
    (
        {"schedule": TrainingSchedule(receiver_lr_multiplier=0.0)},
        "receiver_rate is 0.0; expected above",
    ),
]


@pytest.mark.parametrize(("constants", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_settings_are_refused_in_one_line(constants, words):
    link = dataclasses.replace(TINY, **constants)
    with pytest.raises(InvalidInputError) as caught:
        link.check()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)

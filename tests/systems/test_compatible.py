"""Settings of a link that make no sense, alone or together."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from syntony.channels.feedback import Feedback
from syntony.channels.opaque import Opaque
from syntony.errors import BadInput
from syntony.systems.estimators import Exploration
from syntony.systems.link import Link
from syntony.systems.schedule import Schedule

TINY = Link(messages=16, uses=2, schedule=Schedule(batch=256))
OPAQUE = Opaque(function=lambda x: np.exp(0.3j) * x)

BAD: list[tuple[dict[str, Any], str]] = [
    ({"messages": 1}, "messages is 1; expected 2 to 65,536"),
    ({"messages": 2**17}, "messages is 131072; expected 2 to 65,536"),
    ({"uses": 0}, "uses is 0; expected 1 to 65,536"),
    ({"hidden": 0}, "hidden is 0; expected 1 to 65,536"),
    ({"estimator": 0}, "estimator is 0; expected at least 1"),
    ({"peak": 0.0}, "peak is 0.0; expected above 0"),
    ({"schedule": Schedule(batch=1)}, "batch is 1; expected at least 2"),
    ({"schedule": Schedule(batch=33)}, "batch is 33; expected an even number"),
    (
        {"feedback": Feedback(delay=1), "schedule": Schedule(growth=2)},
        "feedback is late, and an iteration sends more than one batch",
    ),
    (
        {
            "exploration": Exploration(directions="orthogonal"),
            "schedule": Schedule(batch=260),
        },
        "batch is 260; expected a multiple of 8, as orthogonal directions come 8 at a "
        "time, e.g. 256",
    ),
    ({"gradient": "polcy"}, "unknown gradient 'polcy'; did you mean 'policy'?"),
    ({"power": "avg"}, "unknown power 'avg'; did you mean 'average'?"),
    ({"exploration": Exploration(variance=1.0)}, "variance is 1.0; expected"),
    ({"exploration": Exploration(variance=0.0)}, "variance is 0.0; expected"),
    ({"gradient": "spsa", "feedback": Feedback(delay=1)}, "feedback is late, and"),
    (
        {"channel": OPAQUE, "training_gain_db": 3.0},
        "training_gain_db is 3.0 over python:<lambda>; expected 0, as it has no noise",
    ),
    (
        {"training_gain_db": float("inf")},
        "training_gain_db is inf over awgn; expected a number",
    ),
    ({"schedule": Schedule(receiver_rate=0.0)}, "receiver_rate is 0.0; expected above"),
]


@pytest.mark.parametrize(("constants", "words"), BAD, ids=[words for _, words in BAD])
def test_bad_settings_are_refused_in_one_line(constants, words):
    link = dataclasses.replace(TINY, **constants)
    with pytest.raises(BadInput) as caught:
        link.check()
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)

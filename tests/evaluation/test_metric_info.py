"""Titles and descriptions of metrics."""

import pytest

from syntony.evaluation import metric_info
from syntony.training.primary_metrics import PRIMARY_METRICS


@pytest.mark.parametrize(
    ("metric", "title"),
    [
        ("eval/return_mean", "return"),
        ("eval/bler", "block error rate"),
        ("train/return_mean", "return during training"),
        ("train/exploration_bonus", "exploration bonus"),
        ("train/filter_weight_mean", "filter weight"),
        ("train/kl_loss", "KL loss"),
    ],
)
def test_display_names(metric: str, title: str):
    assert metric_info.metric_display_name(metric) == title


def test_meanings_have_the_unit():
    assert metric_info.metric_meaning("train/kl_loss").endswith(" Unit: nats.")
    assert metric_info.metric_meaning("eval/bler") == (
        "Share of blocks that are decoded to a wrong message."
    )
    assert metric_info.metric_meaning("eval/of_a_user") == ""
    assert set(PRIMARY_METRICS) <= metric_info.METRICS.keys()

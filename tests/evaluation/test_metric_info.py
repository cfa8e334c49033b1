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


def test_every_titled_metric_has_a_description():
    described = metric_info.METRIC_DESCRIPTIONS.keys()
    assert metric_info.METRIC_TITLES.keys() <= described
    assert set(PRIMARY_METRICS) <= described

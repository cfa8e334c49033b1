"""Names and arguments of the equations that other code relies on."""

import importlib
import inspect

import jax.numpy as jnp
import numpy as np
import pytest

SNR_AND_SIZE = ["snr_db", "messages", "uses"]

CONTRACT: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "belief": {
        "reconstruction_loss": (["w_target", "others", "w", "prediction"], []),
        "norm_loss": (["w"], []),
        "kl_loss": (["mean", "log_var"], []),
        "elbo": (["log_likelihood", "kl"], []),
        "filtered_state": (["own", "others", "w"], []),
        "encodings_loss": (
            ["filtered_critic", "reconstruction", "norm", "kl"],
            ["lambda_rec", "lambda_norm", "lambda_kl"],
        ),
    },
    "returns": {
        "n_step_targets": (
            ["rewards", "values", "next_values", "terminated", "truncated"],
            ["gamma", "n"],
        ),
        "critic_loss": (["target", "value"], []),
    },
    "score": {
        "actor_loss": (["log_prob", "advantage", "entropy"], ["entropy_coef"]),
        "score_surrogate": (["log_prob", "payoff"], []),
    },
    "novelty": {
        "simhash": (["z", "projection"], []),
        "bonus": (["counts"], []),
    },
    "signal": {
        "cross_entropy": (["logits", "message"], []),
        "perturb": (["x", "noise", "variance"], []),
        "explore_log_prob": (["sent", "x", "variance"], []),
        "complex_noise": (["key", "shape", "variance"], []),
    },
    "limits": {
        "capacity": (SNR_AND_SIZE, []),
        "shannon59": (SNR_AND_SIZE, []),
        "shannon59_peak": (SNR_AND_SIZE, []),
        "metaconverse": (SNR_AND_SIZE, []),
        "normal_approximation": (SNR_AND_SIZE, []),
        "qpsk_bler": (SNR_AND_SIZE, []),
        "union_bound": (["codebook", "snr_db"], []),
        "rayleigh_outage": (["snr_db", "rate"], []),
    },
}
"""Positional and keyword-only arguments of each function of each module."""

FUNCTIONS = [(module, function) for module in CONTRACT for function in CONTRACT[module]]


@pytest.mark.parametrize(("module", "name"), FUNCTIONS)
def test_arguments(module: str, name: str):
    function = getattr(importlib.import_module(f"syntony.equations.{module}"), name)
    parameters = inspect.signature(function).parameters.values()
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    keyword_only = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
    assert (positional, keyword_only) == CONTRACT[module][name]
    assert len(parameters) == len(positional) + len(keyword_only)
    assert all(p.default is p.empty for p in parameters)


def test_losses_reduce_the_last_axis_only():
    belief = importlib.import_module("syntony.equations.belief")
    x = jnp.ones((4, 3, 7))
    assert belief.reconstruction_loss(x, x, x, x).shape == (4, 3)
    assert belief.norm_loss(x).shape == (4, 3)
    assert belief.kl_loss(x, x).shape == (4, 3)


def test_explore_log_prob_contains_its_constant():
    """ln π(x | x) at σ² = ½ for C = 3 symbols of zero: −3 ln(π / 2)."""
    signal = importlib.import_module("syntony.equations.signal")
    zero = jnp.zeros((1, 3, 2))
    got = signal.explore_log_prob(zero, zero, 0.5)
    np.testing.assert_allclose(got, [-3 * np.log(np.pi / 2)], rtol=1e-6)


def test_limits_return_floats_for_numbers():
    limits = importlib.import_module("syntony.equations.limits")
    codebook = np.array([[1.0], [-1.0]], complex)
    assert isinstance(limits.shannon59(3.0, 16, 2), float)
    assert isinstance(limits.union_bound(codebook, 3.0), float)
    assert isinstance(limits.rayleigh_outage(3.0, 2.0), float)

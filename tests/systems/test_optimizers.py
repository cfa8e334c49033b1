"""Optimizers by name, against independent steps in NumPy."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from syntony.errors import InvalidInputError
from syntony.systems.optimizers import (
    OPTIMIZERS,
    apply_gradients,
    make_optimizer,
    validate_optimizer,
)

LEARNING_RATE = 0.1
RNG = np.random.default_rng(0)
PARAMS = RNG.normal(size=(3, 2))
GRADS = RNG.normal(size=(4, 3, 2))
"""Of four steps."""
FLOAT32: Any = {"rtol": 1e-4, "atol": 1e-5}
"""Adam's 1 − 0.999ᵗ has five digits in float32."""


def sgd_in_numpy(params, grads):
    for g in grads:
        params = params - LEARNING_RATE * g
    return params


def adam_in_numpy(params, grads):
    """Kingma & Ba (2015), algorithm 1, with its constants."""
    m = v = np.zeros_like(params)
    for t, g in enumerate(grads, start=1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        params = params - LEARNING_RATE * m_hat / (np.sqrt(v_hat) + 1e-8)
    return params


def rmsprop_in_numpy(params, grads):
    """PyTorch's form: v ← 0.99 v + 0.01 g², then g / (√v + 10⁻⁸)."""
    v = np.zeros_like(params)
    for g in grads:
        v = 0.99 * v + 0.01 * g**2
        params = params - LEARNING_RATE * g / (np.sqrt(v) + 1e-8)
    return params


RULES_IN_NUMPY = {
    "adam": adam_in_numpy,
    "sgd": sgd_in_numpy,
    "rmsprop": rmsprop_in_numpy,
}


def params_after(optimizer, grads) -> Any:
    params: Any = jnp.asarray(PARAMS, jnp.float32)
    opt_state = optimizer.init(params)
    for grad in jnp.asarray(grads, jnp.float32):
        updates, opt_state = optimizer.update(grad, opt_state, params)
        params = optax.apply_updates(params, updates)
    return params


def test_every_rule_has_a_reference():
    assert RULES_IN_NUMPY.keys() == OPTIMIZERS.keys()


@pytest.mark.parametrize("name", RULES_IN_NUMPY)
def test_steps_equal_those_in_numpy(name):
    got = params_after(make_optimizer(name, LEARNING_RATE), GRADS)
    want = RULES_IN_NUMPY[name](PARAMS, GRADS)
    np.testing.assert_allclose(got, want, **FLOAT32)


@pytest.mark.parametrize("name", RULES_IN_NUMPY)
def test_gradients_are_clipped_at_their_global_norm(name):
    norms = np.linalg.norm(GRADS.reshape(4, -1), axis=1)
    limit = float(np.median(norms))
    scale = np.minimum(1.0, limit / norms)[:, None, None]
    assert 0 < np.sum(scale < 1.0) < 4
    got = params_after(make_optimizer(name, LEARNING_RATE, max_grad_norm=limit), GRADS)
    want = RULES_IN_NUMPY[name](PARAMS, scale * GRADS)
    np.testing.assert_allclose(got, want, **FLOAT32)


@pytest.mark.parametrize("name", RULES_IN_NUMPY)
def test_learning_rate_and_norm_may_be_traced(name):
    @jax.jit
    def traced(learning_rate, max_grad_norm):
        optimizer = make_optimizer(name, learning_rate, max_grad_norm=max_grad_norm)
        return params_after(optimizer, GRADS)

    want = params_after(make_optimizer(name, LEARNING_RATE, max_grad_norm=1.0), GRADS)
    np.testing.assert_allclose(traced(LEARNING_RATE, 1.0), want, rtol=1e-6)


def test_apply_gradients_is_one_step():
    optimizer = make_optimizer("adam", LEARNING_RATE)
    params = {"weight": jnp.asarray(PARAMS, jnp.float32)}
    grads = {"weight": jnp.asarray(GRADS[0], jnp.float32)}
    updated, opt_state = apply_gradients(
        optimizer, grads, optimizer.init(params), params
    )
    want = params_after(optimizer, GRADS[:1])
    np.testing.assert_array_equal(updated["weight"], want)
    assert int(optax.tree.get(opt_state, "count")) == 1


USER_MODULE = """
import optax

def momentum(learning_rate):
    return optax.sgd(learning_rate, momentum=0.9)

def of_nothing():
    return optax.sgd(1.0)

def number(learning_rate):
    return 3

CONSTANT = 3
"""


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Name of a new module in the current folder."""
    name = f"user_optimizers_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(USER_MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_users_own_optimizer(user_module):
    name = f"python:{user_module}:momentum"
    validate_optimizer(name)
    got = params_after(make_optimizer(name, LEARNING_RATE), GRADS)
    params, velocity = PARAMS, np.zeros_like(PARAMS)
    for g in GRADS:
        velocity = 0.9 * velocity + g
        params = params - LEARNING_RATE * velocity
    np.testing.assert_allclose(got, params, **FLOAT32)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("momentun", "unknown function of MODULE 'momentun'; did you mean 'momentum'?"),
        ("CONSTANT", "python:MODULE:CONSTANT is of type int; expected a function"),
        ("number", "optimizer python:MODULE:number returned int; expected an optax."),
        ("of_nothing", "optimizer python:MODULE:of_nothing raised TypeError: "),
    ],
)
def test_users_optimizers_that_fail(user_module, function, message):
    with pytest.raises(InvalidInputError) as error:
        validate_optimizer(f"python:{user_module}:{function}")
    assert str(error.value).startswith(message.replace("MODULE", user_module))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adan", "unknown optimizer 'adan'; did you mean 'adam'?"),
        ("lion", "unknown optimizer 'lion'; valid: adam, python:MODULE:FUNCTION, "),
        ("python:optax", "'python:optax' is incomplete; expected python:MODULE:N"),
        ("python::adam", "'python::adam' is incomplete; expected python:MODULE:N"),
        ("python:no_such_module:f", "there is no module 'no_such_module'"),
        ("python:optax:adamv", "unknown function of optax 'adamv'; did you mean 'adam"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(InvalidInputError) as error:
        validate_optimizer(name)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_known_names_are_valid(name):
    validate_optimizer(name)


def test_functions_of_optax_are_optimizers_too():
    validate_optimizer("python:optax:lion")

"""Optimizers by name: Optax's rules, or a user's own function.

Examples:
    >>> import jax.numpy as jnp
    >>> params, grads = jnp.array([1.0]), jnp.array([10.0])
    >>> optimizer = make_optimizer("sgd", 0.1, max_grad_norm=1.0)
    >>> opt_state = optimizer.init(params)
    >>> updates, opt_state = optimizer.update(grads, opt_state, params)
    >>> optax.apply_updates(params, updates)
    Array([0.9], dtype=float32)
"""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import equinox as eqx
import optax
from jaxtyping import Array, Float

from syntony.errors import (
    USER_CODE_EXCEPTIONS,
    InvalidInputError,
    summarize_exception,
    unknown_name_error,
)
from syntony.plugins import PREFIX, import_user_object
from syntony.pytrees import PyTree

Params = TypeVar("Params", bound=PyTree)
LearningRate = float | Float[Array, ""]
OptimizerRule = Callable[[LearningRate], optax.GradientTransformation]

OPTIMIZERS: dict[str, OptimizerRule] = {
    "adam": optax.adam,
    "sgd": optax.sgd,
    # PyTorch's form and constants: g / (√v + 10⁻⁸).
    "rmsprop": partial(optax.rmsprop, decay=0.99, eps=1e-8, eps_in_sqrt=False),
}

USER_FORM = f"{PREFIX}MODULE:FUNCTION"


def make_optimizer(
    name: str,
    learning_rate: LearningRate,
    *,
    max_grad_norm: LearningRate | None = None,
    adam_eps: float = 1e-8,
) -> optax.GradientTransformation:
    """Optimizer with this rule and learning rate.

    Args:
        name: "adam", "sgd", "rmsprop" (PyTorch's form), or `python:MODULE:FUNCTION`, a
            user's function of the learning rate that returns an
            `optax.GradientTransformation`.
        learning_rate: step size; it may be traced.
        max_grad_norm: gradients are first scaled down to this global norm; None: they
            are not.
        adam_eps: ε that Adam adds to its denominator.

    Raises:
        InvalidInputError: there is no such rule, or the user's function fails.
    """
    if name == "adam":
        rule = optax.adam(learning_rate, eps=adam_eps)
    else:
        optimizer = _user_optimizer if name.startswith(PREFIX) else _optax_optimizer
        rule = optimizer(name, learning_rate)
    if max_grad_norm is None:
        return rule
    return optax.chain(optax.clip_by_global_norm(max_grad_norm), rule)


def validate_optimizer(name: str) -> None:
    """Checks that `make_optimizer` knows a name; a user's function is called once.

    Raises:
        InvalidInputError: it does not; the message has the nearest valid name.
    """
    make_optimizer(name, 1e-3)


def _optax_optimizer(
    name: str, learning_rate: LearningRate
) -> optax.GradientTransformation:
    if name not in OPTIMIZERS:
        raise unknown_name_error("optimizer", name, [*OPTIMIZERS, USER_FORM])
    return OPTIMIZERS[name](learning_rate)


def _user_optimizer(
    name: str, learning_rate: LearningRate
) -> optax.GradientTransformation:
    """Result of a user's `python:MODULE:FUNCTION`."""
    function = import_user_object(name, "function", callable)
    try:
        optimizer = function(learning_rate)
    except USER_CODE_EXCEPTIONS as error:
        raise InvalidInputError(
            f"optimizer {name} raised {summarize_exception(error)}; expected a "
            "function of the learning rate"
        ) from error
    if not isinstance(optimizer, optax.GradientTransformation):
        raise InvalidInputError(
            f"optimizer {name} returned {type(optimizer).__name__}; expected an "
            "optax.GradientTransformation"
        )
    return optimizer


def init_opt_state(
    optimizer: optax.GradientTransformation, params: PyTree
) -> optax.OptState:
    """Optimizer state of new parameters."""
    return optimizer.init(params)


def apply_gradients(
    optimizer: optax.GradientTransformation,
    grads: Params,
    opt_state: optax.OptState,
    params: Params,
) -> tuple[Params, optax.OptState]:
    """Parameters and optimizer state after one optimizer step."""
    updates, opt_state = optimizer.update(grads, opt_state, params)
    return eqx.apply_updates(params, updates), opt_state


def update_target(
    params: Params, target_params: Params, step_size: LearningRate
) -> Params:
    """Parameters of a target network: step_size · params + (1 − step_size) · target.

    Args:
        params: parameters of the network.
        target_params: parameters of its target network before the update.
        step_size: τ of Polyak averaging; 1 copies the network, 0 changes nothing.
    """
    return optax.incremental_update(params, target_params, step_size)

"""Functions of user networks that do not fit."""

# ruff: noqa: ARG001 - the arguments are those of an interface.

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


def too_wide(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    return eqx.nn.Linear(in_size, out_size + 1, key=key)


def no_module(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    return lambda x: x


def other_input(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    return eqx.nn.Linear(in_size + 3, out_size, key=key)


def few_arguments(in_size: int, out_size: int):
    return eqx.nn.Linear(in_size, out_size, key=jax.random.key(0))


class Counts(eqx.Module):
    """A module with an array that cannot be trained."""

    counts: Array

    def __call__(self, x: Float[Array, " in"]) -> Float[Array, " out"]:
        return x[: len(self.counts)] * self.counts


def whole_numbers(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    return Counts(jnp.arange(out_size))


class Growing(eqx.Module):
    """A recurrent module whose hidden state grows."""

    out: eqx.nn.Linear

    def initial_hidden(self) -> Float[Array, " H"]:
        return jnp.zeros(2)

    def __call__(self, x: Array, h: Array) -> tuple[Array, Array]:
        return self.out(x), jnp.concatenate([h, h])


def growing(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    return Growing(eqx.nn.Linear(in_size, out_size, key=key))


def with_lambda(in_size: int, out_size: int, *, hidden: int, key: Key[Array, ""]):
    """An MLP that differs from call to call in a function."""
    return eqx.nn.MLP(
        in_size, out_size, hidden, 1, activation=lambda x: jnp.tanh(x), key=key
    )

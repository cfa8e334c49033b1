"""Gradient descent: optax behind one method, with settings that can be traced."""

from abc import ABC, abstractmethod
from typing import TypeVar

import equinox as eqx
import optax
from jaxtyping import PyTree

from syntony.config import pytree_dataclass

Params = TypeVar("Params", bound=PyTree)


class Optimizer(ABC):
    """What all optimisers do; each brings its own rule."""

    def init(self, params: PyTree) -> PyTree:
        return self._gradient_transformation().init(params)

    def apply_gradients(
        self, grad: Params, opt_state: PyTree, params: Params
    ) -> tuple[Params, PyTree]:
        update, opt_state = self._gradient_transformation().update(
            grad, opt_state, params
        )
        return eqx.apply_updates(params, update), opt_state

    @abstractmethod
    def _gradient_transformation(self) -> optax.GradientTransformation: ...


@pytree_dataclass
class Adam(Optimizer):
    """Adam on gradients of bounded norm, with PyTorch's constants."""

    learning_rate: float
    max_grad_norm: float
    """Gradients are scaled down to this global norm."""

    def _gradient_transformation(self) -> optax.GradientTransformation:
        clip = optax.clip_by_global_norm(self.max_grad_norm)
        return optax.chain(clip, optax.adam(self.learning_rate))


@pytree_dataclass
class SGD(Optimizer):
    """Plain gradient descent, on gradients of bounded norm."""

    learning_rate: float
    max_grad_norm: float
    """Gradients are scaled down to this global norm."""

    def _gradient_transformation(self) -> optax.GradientTransformation:
        clip = optax.clip_by_global_norm(self.max_grad_norm)
        return optax.chain(clip, optax.sgd(self.learning_rate))


@pytree_dataclass
class RMSProp(Optimizer):
    """RMSprop with PyTorch's form and constants: g / (√v + 10⁻⁸)."""

    learning_rate: float

    def _gradient_transformation(self) -> optax.GradientTransformation:
        return optax.rmsprop(
            self.learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False
        )

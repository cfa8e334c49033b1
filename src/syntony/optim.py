"""Gradient descent: optax behind one method, with settings that can be traced."""

from abc import ABC, abstractmethod
from typing import TypeVar

import equinox as eqx
import optax
from jaxtyping import PyTree

from syntony.record import record

Model = TypeVar("Model", bound=PyTree)


class Descent(ABC):
    """What all optimisers do; each brings its own rule."""

    def init(self, model: PyTree) -> PyTree:
        return self._transform().init(model)

    def descend(
        self, grad: Model, memory: PyTree, model: Model
    ) -> tuple[Model, PyTree]:
        update, memory = self._transform().update(grad, memory, model)
        return eqx.apply_updates(model, update), memory

    @abstractmethod
    def _transform(self) -> optax.GradientTransformation: ...


@record
class Adam(Descent):
    """Adam on gradients of bounded norm, with PyTorch's constants."""

    learning_rate: float
    max_norm: float
    """Gradients are scaled down to this global norm."""

    def _transform(self) -> optax.GradientTransformation:
        clip = optax.clip_by_global_norm(self.max_norm)
        return optax.chain(clip, optax.adam(self.learning_rate))


@record
class Sgd(Descent):
    """Plain gradient descent, on gradients of bounded norm."""

    learning_rate: float
    max_norm: float
    """Gradients are scaled down to this global norm."""

    def _transform(self) -> optax.GradientTransformation:
        clip = optax.clip_by_global_norm(self.max_norm)
        return optax.chain(clip, optax.sgd(self.learning_rate))


@record
class RmsProp(Descent):
    """RMSprop with PyTorch's form and constants: g / (√v + 10⁻⁸)."""

    learning_rate: float

    def _transform(self) -> optax.GradientTransformation:
        return optax.rmsprop(
            self.learning_rate, decay=0.99, eps=1e-8, eps_in_sqrt=False
        )

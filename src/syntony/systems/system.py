"""The protocol that every learner follows."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

Metrics = dict[str, Float[Array, ""]]
EvalSamples = dict[str, Shaped[Array, " samples"]]
"""One number an episode of each score, or whether something happened in it."""


@runtime_checkable
class System(Protocol):
    """A record of settings with pure methods; all that changes lives in its state."""

    def as_jittable(self) -> "System":
        """Returns a system of the same shapes whose methods may be compiled.

        That is the system itself, unless it crosses a black box.
        """
        ...

    def check(self) -> None:
        """Raises `BadInput` where a setting makes no sense; called before all else."""
        ...

    def init(self, key: Key[Array, ""]) -> Any:
        """Returns the state of a run that is about to start.

        The state is one pytree of arrays with everything a resumed run needs: saving
        it is saving the run.
        """
        ...

    def step(self, state: Any) -> tuple[Any, Metrics]:
        """Learns once; returns the next state and what was measured on the way."""
        ...

    def num_steps(self, state: Any) -> Int[Array, ""]:
        """Returns what `--steps` counts: environment steps, or iterations of a link."""
        ...

    def is_done(self, state: Any) -> Bool[Array, ""]:
        """Returns whether nothing more is to be learned, whatever `--steps` says."""
        ...

    def evaluate(self, state: Any, key: Key[Array, ""], episodes: int) -> EvalSamples:
        """Returns one number an episode for each score, e.g. `eval/return_mean`.

        A score is named after its mean, which is what a run reports, with an interval.
        """
        ...

    def params(self, state: Any) -> PyTree[Float[Array, "..."]]:
        """Returns the learned parameters alone, as exported to `model.npz`."""
        ...

"""Protocol of all systems: multi-agent reinforcement learning, and links."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, Key, PyTree, Shaped

Metrics = dict[str, Float[Array, ""]]
EvalSamples = dict[str, Shaped[Array, " samples"]]
"""Metric to one value for each episode (or block) of an evaluation."""


@runtime_checkable
class System(Protocol):
    """Settings with pure methods; everything that training changes is in a state."""

    def as_jittable(self) -> "System":
        """System of the same shapes whose methods can be compiled.

        It is the system itself, unless that steps an external environment or a
        black-box channel.
        """
        ...

    def check(self) -> None:
        """Raises `InvalidInputError` where a setting is invalid; called first."""
        ...

    def init(self, key: Key[Array, ""]) -> Any:
        """Initial state; the key is consumed.

        The state is one pytree of arrays with everything that a resumed run needs:
        saving it is saving the run.
        """
        ...

    def step(self, state: Any) -> tuple[Any, Metrics]:
        """State and metrics after one training step."""
        ...

    def num_steps(self, state: Any) -> Int[Array, ""]:
        """Counter that `--steps` limits: environment steps, or iterations of a link."""
        ...

    def is_done(self, state: Any) -> Bool[Array, ""]:
        """Whether training has ended, whatever `--steps` says."""
        ...

    def evaluate(self, state: Any, key: Key[Array, ""], episodes: int) -> EvalSamples:
        """One value for each episode of every metric, e.g. `eval/return_mean`.

        A metric is named after the mean of its values, which is what a run reports,
        with a confidence interval.
        """
        ...

    def params(self, state: Any) -> PyTree[Float[Array, "..."]]:
        """Learned parameters by name, as exported to `model.npz`."""
        ...

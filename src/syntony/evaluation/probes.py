"""What can be read out of beliefs by the simplest readers: lines through them.

All are fitted on some samples and judged on others.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

L2_PENALTY = 1e-3
"""Weight of ‖W‖² against a mean over samples, whose features have unit variance."""


class PrincipalComponents(NamedTuple):
    """Samples along the directions in which they vary most."""

    projections: Float[np.ndarray, "S K"]
    explained_variance_ratio: Float[np.ndarray, " K"]
    """Of the whole variance."""


def principal_components(
    z: Float[np.ndarray, "S Z"], num_components: int = 2
) -> PrincipalComponents:
    """Returns the projections on the directions of largest variance.

    A direction's sign is free; its largest entry is made positive.

    Source: Pearson (1901).
    """
    centred = z - z.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    kept = directions[:num_components]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1)
    whole = np.sum(lengths**2)
    shares = lengths[:num_components] ** 2 / (whole if whole > 0.0 else 1.0)
    return PrincipalComponents(
        centred @ (kept * np.where(largest < 0.0, -1.0, 1.0)).T, shares
    )


def logistic_probe(
    x_train: Float[np.ndarray, "S Z"],
    labels: Int[np.ndarray, " S"],
    x_test: Float[np.ndarray, "Q Z"],
) -> Int[np.ndarray, " Q"]:
    """Returns the class that a multinomial logistic regression gives each sample.

        minimise −mean ln softmax(W z + b)_class + penalty ‖W‖²

    Source: Alain & Bengio (2016), "Understanding intermediate layers using linear
        classifier probes".
    """
    x, x_asked = _standardize(x_train, x_test)
    count, size = int(labels.max()) + 1, x.shape[1]
    is_class = np.eye(count)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(count, size + 1)
        logits = x @ weights[:, :-1].T + weights[:, -1]
        value = -np.mean(np.sum(is_class * log_softmax(logits, axis=1), axis=1))
        error = (softmax(logits, axis=1) - is_class) / len(x)
        slope = error.T @ x + 2.0 * L2_PENALTY * weights[:, :-1]
        gradient = np.concatenate([slope, error.sum(axis=0)[:, None]], axis=1)
        return value + L2_PENALTY * np.sum(weights[:, :-1] ** 2), gradient.ravel()

    found = minimize(loss, np.zeros(count * (size + 1)), jac=True, method="L-BFGS-B")
    weights = found.x.reshape(count, size + 1)
    return np.argmax(x_asked @ weights[:, :-1].T + weights[:, -1], axis=1)


def ridge_probe(
    x_train: Float[np.ndarray, "S Z"],
    targets: Float[np.ndarray, "S F"],
    x_test: Float[np.ndarray, "Q Z"],
) -> Float[np.ndarray, "Q F"]:
    """Returns what a ridge regression makes of each sample.

        minimise mean ‖v − W z − b‖² + penalty ‖W‖²

    Source: Hoerl & Kennard (1970).
    """
    x, x_asked = _standardize(x_train, x_test)
    mean = targets.mean(axis=0)
    inner = x.T @ x / len(x) + L2_PENALTY * np.eye(x.shape[1])
    weights = np.linalg.solve(inner, x.T @ (targets - mean) / len(x))
    return x_asked @ weights + mean


def r2_score(
    targets: Float[np.ndarray, "Q F"], predictions: Float[np.ndarray, "Q F"]
) -> float:
    """Returns R² = 1 − Σ (v − v̂)² / Σ (v − v̄)², over all features together.

    1 is all of it, 0 no more than the mean says, below 0 worse. Of what never varies
    there is nothing to explain: NaN.
    """
    varied = np.sum((targets - targets.mean(axis=0)) ** 2)
    missed = np.sum((targets - predictions) ** 2)
    return float(1.0 - missed / varied) if varied > 0.0 else float("nan")


def _standardize(
    x_train: Float[np.ndarray, "S Z"], x_test: Float[np.ndarray, "Q Z"]
) -> tuple[Float[np.ndarray, "S Z"], Float[np.ndarray, "Q Z"]]:
    """Returns both in units of the spread of what is known."""
    mean, spread = x_train.mean(axis=0), x_train.std(axis=0)
    # What never varies says nothing.
    unit = np.where(spread > 1e-9, spread, np.inf)
    return (x_train - mean) / unit, (x_test - mean) / unit

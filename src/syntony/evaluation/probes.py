"""Linear probes of beliefs: PCA, logistic regression and ridge regression.

Probes are fitted on training samples and evaluated on test samples.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

L2_PENALTY = 1e-3
"""Weight of ‖W‖² in the loss, a mean over samples of features with unit variance."""


class PrincipalComponents(NamedTuple):
    """Principal components of samples."""

    projections: Float[np.ndarray, "B K"]
    explained_variance_ratio: Float[np.ndarray, " K"]
    """Fraction of the total variance along each component."""


def principal_components(
    z: Float[np.ndarray, "B Z"], num_components: int = 2
) -> PrincipalComponents:
    """Projections of samples on the directions of largest variance.

    The sign of a direction is chosen so that its largest entry is positive.

    Args:
        z: samples.
        num_components: K.

    Source: Pearson (1901).
    """
    centered = z - z.mean(axis=0)
    _, singular_values, directions = np.linalg.svd(centered, full_matrices=False)
    kept = directions[:num_components]
    largest = np.take_along_axis(kept, np.abs(kept).argmax(axis=1)[:, None], axis=1)
    total = np.sum(singular_values**2)
    ratio = singular_values[:num_components] ** 2 / (total if total > 0.0 else 1.0)
    return PrincipalComponents(
        centered @ (kept * np.where(largest < 0.0, -1.0, 1.0)).T, ratio
    )


def logistic_probe(
    x_train: Float[np.ndarray, "B Z"],
    labels: Int[np.ndarray, " B"],
    x_test: Float[np.ndarray, "Q Z"],
) -> Int[np.ndarray, " Q"]:
    """Classes predicted by a multinomial logistic regression.

        minimize −mean ln softmax(W z + b)_class + penalty ‖W‖²

    Args:
        x_train: training samples.
        labels: class of each training sample, from 0.
        x_test: samples to classify.

    Source: Alain & Bengio (2016), "Understanding intermediate layers using linear
        classifier probes".
    """
    x, x_query = _standardize(x_train, x_test)
    num_classes, size = int(labels.max()) + 1, x.shape[1]
    one_hot = np.eye(num_classes)[labels]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(num_classes, size + 1)
        logits = x @ weights[:, :-1].T + weights[:, -1]
        value = -np.mean(np.sum(one_hot * log_softmax(logits, axis=1), axis=1))
        error = (softmax(logits, axis=1) - one_hot) / len(x)
        d_weights = error.T @ x + 2.0 * L2_PENALTY * weights[:, :-1]
        gradient = np.concatenate([d_weights, error.sum(axis=0)[:, None]], axis=1)
        return value + L2_PENALTY * np.sum(weights[:, :-1] ** 2), gradient.ravel()

    initial = np.zeros(num_classes * (size + 1))
    result = minimize(loss, initial, jac=True, method="L-BFGS-B")
    weights = result.x.reshape(num_classes, size + 1)
    return np.argmax(x_query @ weights[:, :-1].T + weights[:, -1], axis=1)


def ridge_probe(
    x_train: Float[np.ndarray, "B Z"],
    targets: Float[np.ndarray, "B F"],
    x_test: Float[np.ndarray, "Q Z"],
) -> Float[np.ndarray, "Q F"]:
    """Predictions of a ridge regression.

        minimize mean ‖v − W z − b‖² + penalty ‖W‖²

    Args:
        x_train: training samples.
        targets: v of each training sample.
        x_test: samples to predict.

    Source: Hoerl & Kennard (1970).
    """
    x, x_query = _standardize(x_train, x_test)
    mean = targets.mean(axis=0)
    covariance = x.T @ x / len(x) + L2_PENALTY * np.eye(x.shape[1])
    weights = np.linalg.solve(covariance, x.T @ (targets - mean) / len(x))
    return x_query @ weights + mean


def r2_score(
    targets: Float[np.ndarray, "Q F"], predictions: Float[np.ndarray, "Q F"]
) -> float:
    """Coefficient of determination R² = 1 − Σ (v − v̂)² / Σ (v − v̄)², of all features.

    1 is a perfect prediction, 0 as good as the mean. NaN for constant targets.

    Args:
        targets: v.
        predictions: v̂.
    """
    total = np.sum((targets - targets.mean(axis=0)) ** 2)
    residual = np.sum((targets - predictions) ** 2)
    return float(1.0 - residual / total) if total > 0.0 else float("nan")


def _standardize(
    x_train: Float[np.ndarray, "B Z"], x_test: Float[np.ndarray, "Q Z"]
) -> tuple[Float[np.ndarray, "B Z"], Float[np.ndarray, "Q Z"]]:
    """Both samples, normalized by the mean and standard deviation of the first."""
    mean, std = x_train.mean(axis=0), x_train.std(axis=0)
    # Constant features carry no information: they become 0.
    unit = np.where(std > 1e-9, std, np.inf)
    return (x_train - mean) / unit, (x_test - mean) / unit

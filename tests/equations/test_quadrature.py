"""Gauss-Legendre quadrature against integrals in closed form."""

import numpy as np

from syntony.equations.quadrature import gauss_legendre


def test_integrals_of_a_polynomial_and_of_an_exponential():
    low, high = np.array([[0.0], [-1.0]]), np.array([[2.0], [3.0]])
    x, weight = gauss_legendre(low, high, 20)
    assert x.shape == weight.shape == (2, 1, 20)
    cubic = np.sum(weight * x**3, axis=-1)
    np.testing.assert_allclose(cubic, (high**4 - low**4) / 4, rtol=1e-12)
    exponential = np.sum(weight * np.exp(x), axis=-1)
    np.testing.assert_allclose(exponential, np.exp(high) - np.exp(low), rtol=1e-12)

"""The compiled loops over a tile of rows that all separable losses share: see `protocol.SeparableLoss`."""

from __future__ import annotations

from ..compiled.jit import struct
from ..compiled.linking import borrows
from .default_methods import with_default_methods


def separable(cls):
    """Make a compiled struct of a class that defines the value and the derivative of a loss for one score.

    A smooth loss also defines the curvature.  The class receives the loops over a tile, and the default methods of
    `default_methods`.
    """
    for method in (coupled, losses_and_residuals, curvatures, curvature_block):
        setattr(cls, method.__name__, method)
    if not hasattr(cls, "curvature"):
        cls.curvature = no_curvature
    with_default_methods(cls)
    return struct(cls)


def coupled(self):
    return False


def no_curvature(self, y, z):
    """The curvature of a loss that is piecewise linear."""
    return 0.0


@borrows
def losses_and_residuals(self, y, s, Z, totals):
    for k in range(Z.shape[0]):
        total = 0.0
        for i in range(Z.shape[1]):
            z = Z[k, i]
            total += s[i] * self.value(y[k, i], z)
            Z[k, i] = s[i] * self.derivative(y[k, i], z)
        totals[k] += total


@borrows
def curvatures(self, y, s, Z):
    for k in range(Z.shape[0]):
        for i in range(Z.shape[1]):
            Z[k, i] = self.curvature(y[k, i], Z[k, i])


@borrows
def curvature_block(self, s, Z, k, l, c):
    for i in range(Z.shape[1]):
        c[i] = s[i] * Z[k, i]

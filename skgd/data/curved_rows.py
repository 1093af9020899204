"""Hessians of losses with flat rows, updated by the rows whose curvature has changed.

Rows whose loss is zero have no curvature, so few rows contribute to the Hessian of such a loss.  From one step to the next most
of them stay the same.  Then it is cheaper to add the rows that gained curvature and to subtract those that lost it.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from ..coordinates import Coordinates
from .table import Table


class CurvedRows:
    """The last Hessian of each column of scores, and the curvatures of the rows that it was made from.

    Parameters
    ----------
    first : list of at most one Sum
        The first Hessian of any column, from which the Hessians of other columns start.  Where a fit starts, they are mostly
        the same.
    """

    def __init__(self, first: list[Sum] | None = None) -> None:
        self._first: list[Sum] = [] if first is None else first
        self._columns: dict[int, Sum] = {}

    def for_outputs(self) -> CurvedRows:
        """The Hessians of other columns of scores of the same rows."""
        return CurvedRows(self._first)

    def hessian(self, table: Table, loss: Any, coordinates: Coordinates, theta: np.ndarray) -> np.ndarray:
        """The Hessian (K, D, D) of the summed loss at theta (D, K).  One pass, and the products of the changed rows."""
        curvatures = table.row_curvatures(loss, *coordinates.raw(theta))
        for k, c in enumerate(curvatures):
            if k not in self._columns:
                self._columns[k] = copy(self._first[0]) if self._first else Sum(table, coordinates, c)
            self._columns[k].change(table, coordinates, c)
            if not self._first:
                self._first.append(copy(self._columns[k]))
        return np.array([self._columns[k].hessian for k in range(len(curvatures))])


class Sum:
    """The Hessian (D, D) of one column of scores, a sum over rows with the curvatures c (n,)."""

    def __init__(self, table: Table, coordinates: Coordinates, c: np.ndarray) -> None:
        self.hessian, self.c, self.changes = table.gram(c, *coordinates), c, 0

    def change(self, table: Table, coordinates: Coordinates, c: np.ndarray) -> None:
        """Change the curvatures to c (n,).

        The Hessian is summed anew once as many rows have changed as have curvature.  So rounding errors do not accumulate.
        """
        changed = int(np.count_nonzero(c != self.c))
        self.changes += changed
        if 0 < changed and self.changes >= np.count_nonzero(c):
            self.hessian, self.changes = table.gram(c, *coordinates), 0
        elif changed:
            self.hessian = self.hessian + table.gram(c - self.c, *coordinates)
        self.c = c

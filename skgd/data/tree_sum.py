"""Sums over partitions in a fixed binary tree: their bits do not depend on who adds what, or when."""

from __future__ import annotations

from typing import Any

PartialSums = tuple[Any, ...]  # sums over the rows of some partitions: numbers and arrays that are added entry by entry
Node = tuple[int, int]  # (level, k): the sum of the 2**level partitions from number k * 2**level on


class TreeSum:
    """The sum of what partitions 0, 1, 2, ... contribute, as far as it is known.

    The contributions are the leaves of a binary tree, and each inner node is the sum of its two children.  `nodes` holds the
    nodes whose sibling has not come yet.  Every addition has the same two terms whoever makes it, so the total has the same
    bits for any number of workers and any order of arrival.  A worker adds up its own partitions and sends its `nodes`, which
    are few if the numbers of its partitions are consecutive.  The rounding error grows with the height of the tree only, the
    logarithm of the number of partitions (Higham, 2002, section 4.2).

    Attributes
    ----------
    nodes : dict of Node to PartialSums or None
        None is the sum of partitions without rows.
    """

    def __init__(self) -> None:
        self.nodes: dict[Node, PartialSums | None] = {}

    def add(self, sums: PartialSums | None, number: int, level: int = 0) -> None:
        """Add the sums of one partition, or of a whole node above level 0; None if there are no rows."""
        while (level, number ^ 1) in self.nodes:
            sums = _sum(self.nodes.pop((level, number ^ 1)), sums)
            level, number = level + 1, number >> 1
        self.nodes[level, number] = sums

    def merge(self, nodes: dict[Node, PartialSums | None]) -> None:
        """Add the nodes of another tree sum over other partitions of the same numbering."""
        for (level, number), sums in nodes.items():
            self.add(sums, number, level)

    def total(self) -> PartialSums | None:
        """The sum over all partitions, once the numbers 0, 1, 2, ... have come without a gap; None if none has rows."""
        total = None
        for _, sums in sorted(self.nodes.items(), key=lambda item: -item[0][0]):  # higher nodes stand for lower numbers
            total = _sum(total, sums)
        return total


def _sum(one: PartialSums | None, other: PartialSums | None) -> PartialSums | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(a + b for a, b in zip(one, other, strict=True))

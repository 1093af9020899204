"""Sums over partitions in a fixed binary tree, so that their bits depend neither on the workers nor on the order of arrival."""

from __future__ import annotations

from typing import Any

PartialSums = tuple[Any, ...]  # sums over the rows of some partitions; the numbers and arrays are added entry by entry
Node = tuple[int, int]  # (level, k) stands for the sum of the 2**level partitions from number k * 2**level on


class TreeSum:
    """The sum over partitions 0, 1, 2, ..., while not all of them have arrived.

    The sums over single partitions are the leaves of a binary tree, and each inner node is the sum of its two children.
    `nodes` holds the nodes whose sibling has not arrived yet.  Every addition has the same two terms on any worker, so the
    total has the same bits for any number of workers and any order of arrival.  A worker adds up its own partitions and sends
    its `nodes`, which are few if the numbers of its partitions are consecutive.  The rounding error grows only with the height
    of the tree, the logarithm of the number of partitions (Higham, 2002, section 4.2).

    Attributes
    ----------
    nodes : dict of Node to PartialSums or None
        The value of each node; None is the sum of partitions without rows.
    """

    def __init__(self) -> None:
        self.nodes: dict[Node, PartialSums | None] = {}

    def add(self, sums: PartialSums | None, number: int, level: int = 0) -> None:
        """Add the sums of one partition, or of a node at a higher level; `sums` is None if it has no rows."""
        while (level, number ^ 1) in self.nodes:
            sums = _sum(self.nodes.pop((level, number ^ 1)), sums)
            level, number = level + 1, number >> 1
        self.nodes[level, number] = sums

    def merge(self, nodes: dict[Node, PartialSums | None]) -> None:
        """Add the nodes of another tree sum, over other partitions with the same numbering."""
        for (level, number), sums in nodes.items():
            self.add(sums, number, level)

    def total(self) -> PartialSums | None:
        """The sum over all partitions, after all numbers 0, 1, 2, ... have arrived; None if no partition has rows."""
        total = None
        for _, sums in sorted(self.nodes.items(), key=lambda item: -item[0][0]):  # higher nodes stand for lower numbers
            total = _sum(total, sums)
        return total


def _sum(one: PartialSums | None, other: PartialSums | None) -> PartialSums | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(a + b for a, b in zip(one, other, strict=True))

"""A sum whose bits do not depend on who adds what, or when: records are added in a fixed binary tree over their numbers."""

from __future__ import annotations

from typing import Any

PartialSums = tuple[Any, ...]
Node = tuple[int, int]  # level, and number in it: the records from number * 2**level on, 2**level of them


class TreeSum:
    """Records, or what is known of their sum: each node of the tree whose sibling has not come yet.

    A worker adds the records of its parts, and sends `nodes`: few, where their numbers follow one another.  As each sum in the
    tree has the same two terms whoever computes it, the total has the same bits.  Its rounding grows with the tree's
    height only (Higham, 2002, section 4.2).
    """

    def __init__(self) -> None:
        self.nodes: dict[Node, PartialSums | None] = {}

    def add(self, record: PartialSums | None, number: int, level: int = 0) -> None:
        """Add a record, or a whole node; None is a record without rows, which counts as zero."""
        while (level, number ^ 1) in self.nodes:
            record = _sum(self.nodes.pop((level, number ^ 1)), record)
            level, number = level + 1, number >> 1
        self.nodes[level, number] = record

    def merge(self, nodes: dict[Node, PartialSums | None]) -> None:
        """Add what another one has."""
        for (level, number), record in nodes.items():
            self.add(record, number, level)

    def total(self) -> PartialSums | None:
        """The sum of all records, whose numbers are 0, 1, ... without a gap; None if none has rows."""
        total = None
        for _, record in sorted(self.nodes.items(), key=lambda item: -item[0][0]):  # the largest come first in number, too
            total = _sum(total, record)
        return total


def _sum(one: PartialSums | None, other: PartialSums | None) -> PartialSums | None:
    if one is None or other is None:
        return other if one is None else one
    return tuple(a + b for a, b in zip(one, other, strict=True))

"""Majority, medium and minority classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Groups:
    """Class ids by training count, largest first: the partition that every grouped figure uses.

    As in CM (Hong et al., ICLR 2026, Fig. 2): the first third of the sorted classes is the majority, the second the
    medium group, the rest the minority (C = 10: 3/3/4; C = 100: 33/33/34; C = 2: 1/0/1, no medium group).
    """

    majority: tuple[int, ...]
    medium: tuple[int, ...]
    minority: tuple[int, ...]

    @classmethod
    def from_counts(cls, class_counts: Sequence[int]) -> Groups:
        """Sort classes by count, descending, ties by class id, and cut into thirds."""
        order = sorted(range(len(class_counts)), key=lambda c: (-class_counts[c], c))
        third = len(order) // 3
        # Two classes have no third; the smaller one is still a minority.
        first, second = (1, 1) if len(order) == 2 else (third, 2 * third)
        groups = cls(tuple(order[:first]), tuple(order[first:second]), tuple(order[second:]))
        assert sorted(c for _, ids in groups for c in ids) == list(range(len(class_counts)))
        return groups

    def __iter__(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """(name, class ids) of each group that has classes."""
        for name in ("majority", "medium", "minority"):
            if ids := getattr(self, name):
                yield name, ids

    def as_dict(self) -> dict[str, list[int]]:
        return {name: list(ids) for name, ids in self}

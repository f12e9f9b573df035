"""Means and their relative changes, for all classes, groups and single classes, with standard errors.

In what belongs to several classes each class weighs the same, whatever number of images it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.groups import Groups

Numbers = NDArray[np.float64]
Figures = dict[str, float | int | None]
"""value, se (None where a class has one image only), n: images."""


def scopes(groups: Groups) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(name, class ids) of all classes, of each group, and of each class by its id."""
    everything = tuple(sorted(c for _, ids in groups for c in ids))
    yield "overall", everything
    yield from groups
    yield from ((str(c), (c,)) for c in everything)


def means(values: Numbers, labels: NDArray[np.int64], groups: Groups) -> dict[str, Figures]:
    """The mean of values (n,) in each scope. A class without values is left out, and so is a scope of such classes."""
    found: dict[str, Figures] = {}
    for name, ids in scopes(groups):
        if parts := _parts(ids, labels):
            found[name] = {
                "value": float(np.mean([values[part].mean() for part in parts])),
                "se": _error([values[part] for part in parts]),
                "n": sum(map(len, parts)),
            }
    return found


def changes(before: Numbers, after: Numbers, labels: NDArray[np.int64], groups: Groups) -> dict[str, Figures]:
    """(mean after - mean before) / mean before in each scope, of values (n,) of the same images.

    The errors are those of the paired values, to first order (delta method for a ratio of means).
    """
    found: dict[str, Figures] = {}
    for name, ids in scopes(groups):
        if parts := _parts(ids, labels):
            mean = float(np.mean([before[part].mean() for part in parts]))
            ratio = float(np.mean([after[part].mean() for part in parts])) / mean
            error = _error([after[part] - ratio * before[part] for part in parts])
            found[name] = {
                "value": ratio - 1,
                "se": None if error is None else error / mean,
                "n": sum(map(len, parts)),
            }
    return found


def jackknife(without: Sequence[float | None]) -> float | None:
    """Standard error of a figure, from what it is without each of as many equal parts (Efron, 1982, chapter 3); None
    where it is not known without one of them."""
    known = [value for value in without if value is not None]
    return float(np.std(known) * math.sqrt(len(known) - 1)) if len(known) == len(without) else None


def _parts(ids: tuple[int, ...], labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Where the values of each class are, of those that have any."""
    return [index for c in ids if len(index := np.flatnonzero(labels == c))]


def _error(parts: list[Numbers]) -> float | None:
    """Standard error of the mean over the parts of their means."""
    if min(map(len, parts)) < 2:
        return None
    return math.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) / len(parts)

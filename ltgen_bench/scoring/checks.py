"""Can these images be scored? Asked before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ltgen_bench.data.groups import Groups
from ltgen_bench.data.images import Images, describe_shape
from ltgen_bench.errors import UsageError
from ltgen_bench.scoring.metrics.inception_score import SPLITS
from ltgen_bench.scoring.metrics.precision_recall import KS

_LEAST = max(SPLITS, max(KS) + 1)  # images of a group


def least_per_class(groups: Groups) -> int:
    """How many images of each class scoring needs."""
    return max(2, *(-(-_LEAST // len(ids)) for _, ids in groups))


def counts_of(images: Images) -> dict[int, int]:
    """Images of each class that has any."""
    return {int(c): int(n) for c, n in zip(*np.unique(images.labels, return_counts=True), strict=True)}


def check_enough(what: str, counts: Mapping[int, int], groups: Groups) -> None:
    """Raises UsageError when so many images of each class are too few to score. what: "generated" or "real"."""
    more = "give more of them" if what == "generated" else "give more of each class, or another reference"
    for name, ids in groups:
        found = {c: counts.get(c, 0) for c in ids}
        if (n := sum(found.values())) < (needed := max(_LEAST, 2 * len(ids))):
            raise UsageError(
                f"{n} {what} images of the {name} classes are too few; scoring needs {needed} in this group; {more}"
            )
        if found[fewest := min(ids, key=lambda c: found[c])] < 2:
            raise UsageError(f"{found[fewest]} {what} images of class {fewest}; scoring needs 2 of each; {more}")


def check(generated: Images, reference: Images, groups: Groups, *, equal: bool = True, cut: bool = True) -> None:
    """Raises UsageError, in one sentence, when the generated images cannot be scored against the reference.

    equal: whether there must be as many of each class; not where a run drew the class of each image. cut: whether the
    reference is cut to its smallest class.
    """
    classes = sorted(c for _, ids in groups for c in ids)
    shape, expected = generated.pixels.shape[1:], reference.pixels.shape[1:]
    if shape != expected:
        ours, theirs = describe_shape(shape), describe_shape(expected)
        raise UsageError(f"generated images are {ours}, those of the dataset {theirs}")
    for what, images in (("generated", generated), ("real", reference)):
        if extra := sorted(set(np.unique(images.labels).tolist()) - set(classes)):
            raise UsageError(f"{what} images have class {extra[0]}; the dataset has classes 0 to {classes[-1]}")
        counts = dict.fromkeys(classes, 0) | counts_of(images)
        least, most = min(counts, key=lambda c: counts[c]), max(counts, key=lambda c: counts[c])
        if counts[least] == 0:
            raise UsageError(f"no {what} images of class {least}; every class is scored, with as many images each")
        if what == "generated" and equal and counts[least] < counts[most]:
            raise UsageError(
                f"{counts[least]} generated images of class {least} and {counts[most]} of class {most}; "
                "every class must have as many"
            )
        whole = what == "real" and not cut
        check_enough(what, counts if whole else dict.fromkeys(classes, counts[least]), groups)

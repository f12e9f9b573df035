"""Snapshots of a training: runs of fewer steps, each of which the next one goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from ltgen_bench.errors import UsageError


def lengths(snapshots: Sequence[int], steps: int) -> list[int]:
    """The steps of all runs, shortest first, for snapshots of one of so many steps.

    Raises UsageError for a snapshot that is not before its end, or is there twice.
    """
    for snapshot in snapshots:
        if snapshot < 1:
            raise UsageError(f"--snapshots {snapshot}: give numbers of steps, from 1 on")
        if snapshot >= steps:
            raise UsageError(
                f"--snapshots {snapshot}: the training ends at step {steps} (train.steps), which is scored in any "
                "case; give earlier steps, or more of them with --set train.steps=N"
            )
        if snapshots.count(snapshot) > 1:
            raise UsageError(f"--snapshots: {snapshot} is there twice; keep one of them")
    return [*sorted(snapshots), steps]

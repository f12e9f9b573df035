"""What a training step costs beside the baseline's, as the trainings were timed."""

from __future__ import annotations

from ltgen_bench.leaderboard.rows import Row


def relative_cost(row: Row, base: Row) -> float | None:
    """Seconds per image of the one over those of the other; None where nothing is comparable.

    Comparable are trainings of one table (same network and batch) on the same device, both compiled or neither: all of
    the row beside all of the base on the device that most of the row's were timed on. The fastest seed of each: what
    else runs on a machine makes a training slower, never faster.
    """
    mine, its = _by_device(row), _by_device(base)
    shared = sorted(mine.keys() & its.keys(), key=lambda device: (-len(mine[device]), device))
    if not shared:
        return None
    return min(mine[shared[0]]) / min(its[shared[0]])


def _by_device(row: Row) -> dict[str, list[float]]:
    """Seconds per image, by device and whether the training was compiled; not of trainings that changed it."""
    found: dict[str, list[float]] = {}
    for record in row.records:
        rate = record.training.get("images_per_s")
        if rate and len(record.devices) == 1:
            found.setdefault(record.devices[0], []).append(1 / rate)
    return found

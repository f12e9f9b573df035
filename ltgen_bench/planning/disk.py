"""Whether there is a place for what runs write, before they start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.planning.training_time import rough_parameters
from ltgen_bench.runs.job import Job

CHECKPOINTS = 3
"""At once on disk: the newest, the one before it, and the one that is being written."""
STATE = 4
"""Sizes of the network in a checkpoint: weights, their average and two moments of Adam. The last one stays."""
FEATURES = 10_000
"""Bytes of one image's features that are kept beside the runs, about."""


def check_writable(runs: Path) -> None:
    """Make the runs folder. Raises UsageError when nothing can be written there."""
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=runs):
            pass
    except OSError as error:
        raise UsageError(f"--runs {runs} cannot be written: {error.strerror}; name another folder") from None


def bytes_to_write(jobs: Sequence[Job]) -> int:
    """About what these jobs write, one after another: networks, states and images stay, further checkpoints of one
    run at a time."""
    kept, passing = dict[Path, int](), 0
    for job in jobs:
        data, network = job.run.dataset, 4 * rough_parameters(job.run.net)
        pixels = job.eval.sample.images * data.size**2 * data.channels
        folder, samples = job.run_folder, job.run_folder.samples(job.eval.sample)
        kept[folder.model] = 0 if folder.model.exists() else (1 + STATE) * network
        kept[samples] = 0 if samples.exists() else pixels
        kept[folder.result(job.eval.eval_id)] = job.eval.sample.images * FEATURES
        # Besides the state that stays; then the images once more, in parts.
        passing = max(passing, (CHECKPOINTS - 1) * STATE * network, pixels)
    return sum(kept.values()) + passing


def room_warning(jobs: Sequence[Job], runs: Path) -> str | None:
    """What to tell the user when the disk will hardly hold what these runs write. It costs no work to find out late:
    a full disk stops the runs, and the same command goes on."""
    needed, free = bytes_to_write(jobs), shutil.disk_usage(runs).free
    if needed <= free:
        return None
    return (
        f"these runs write about {_size(needed)}, and there are {_size(free)} free for {runs}: they stop when the disk "
        "is full, and the same command goes on when there is room; --runs names another folder, and checkpoint.pt of "
        "runs that are done, of which only longer ones and experiments have a use, may be deleted"
    )


def _size(n: int) -> str:
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n / 1000:.0f} kB"

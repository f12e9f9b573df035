"""How far a worker is, in a small file for `status` and for drivers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ltgen_bench.storage.atomic_files import write_json

EVERY = 0.5
"""Seconds between writes, at least."""


@dataclass
class ProgressFile:
    path: Path
    job: str = ""  # what tells it apart from others of its dataset, method and seed
    _stage: _Stage | None = None
    _written: float = 0.0

    def report(self, stage: str, done: float, total: float, **figures: float) -> None:
        """Say how far a stage is: at its start, at its end, and from time to time between."""
        now = time.time()
        if self._stage is None or stage != self._stage.name:
            self._stage = _Stage(stage, now, done)
        elif now - self._written < EVERY and done < total:
            return
        self._written = now
        rate = self._stage.rate(now, done)
        value: dict[str, Any] = {"stage": stage, "done": round(done, 1), "total": total, "time": now}
        if self.job:
            value["job"] = self.job
        value["seconds_left"] = (total - done) / rate if rate else None
        if stage == "sampling" and rate:
            figures["images_per_s"] = rate
        # NaN (no figure yet) is not JSON.
        write_json(self.path, value | {k: v for k, v in figures.items() if v == v})


@dataclass(frozen=True)
class _Stage:
    name: str
    since: float
    done: float  # when it began: a resumed stage begins in its middle

    def rate(self, now: float, done: float) -> float:
        """Per second; 0 while it is not known."""
        seconds = now - self.since
        return (done - self.done) / seconds if seconds > 0 else 0.0

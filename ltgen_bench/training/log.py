"""The training log: averages over some steps, a line of JSON each."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ltgen_bench.errors import RunFailed
from ltgen_bench.storage import lock
from ltgen_bench.training.method import Step
from ltgen_bench.training.trainer import Trainer

LOG_EVERY = 50
"""Steps averaged into one line of train.jsonl."""


@dataclass
class _Sent:
    """The figures of some steps, on their way from the device."""

    step: int  # the last one
    seconds: float  # what they took
    steps: list[tuple[int, tuple[str, ...]]]  # index and names of the figures of each
    values: Tensor  # of all of them, one after another, on the CPU
    arrived: torch.cuda.Event | None

    def is_there(self) -> bool:
        return self.arrived is None or bool(self.arrived.query())  # type: ignore[no-untyped-call]


@dataclass
class Log:
    """Averages what happened over LOG_EVERY steps into a line of train.jsonl.

    The device is read once per line, while it works on the next steps: the line is written when its figures are there.
    """

    path: Path
    trainer: Trainer
    say: Callable[[str], None]
    alarmed: dict[str, int] = field(default_factory=dict)  # steps on which each safeguard acted
    seconds: float = 0.0  # spent training, over all attempts
    loss: float = math.nan  # of the last line
    rate: float = math.nan  # images per second, of the last line
    _rows: list[tuple[int, tuple[str, ...], Tensor]] = field(default_factory=list)
    _sent: _Sent | None = None
    _since: float = field(default_factory=time.perf_counter)

    def add(self, loss: Tensor, terms: dict[str, Tensor], step: Step) -> None:
        trainer = self.trainer
        scalars = {"loss": loss} | terms | step.logged | {f"alarm:{k}": v for k, v in step.alarms.items()}
        # One-hot groups (B, G): sums and counts of a group in one product, without asking the device for indices.
        groups = trainer.one_hot_group[step.y]
        sums = torch.stack([*step.images.values(), torch.ones_like(loss).expand(len(groups))]) @ groups
        names = (*scalars, *(f"sum:{k}/{g}" for k in (*step.images, "n") for g in trainer.group_names))
        self._rows.append((step.index, names, torch.cat([torch.stack([*scalars.values()]).detach(), sums.flatten()])))
        if len(self._rows) == LOG_EVERY:
            self._send()
        if self._sent and self._sent.is_there():
            self._write()

    def flush(self) -> None:
        """Write what there is, waiting for the device. Raises RunFailed, naming the step, if a loss was not finite."""
        self._send()
        self._write()

    def _send(self) -> None:
        """Start the one transfer of a line. Nothing waits for it."""
        self._write()
        if not self._rows:
            return
        values, arrived = torch.cat([row for *_, row in self._rows]), None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)  # to pinned memory
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        now = time.perf_counter()
        steps = [(index, names) for index, names, _ in self._rows]
        self._sent = _Sent(self.trainer.step, now - self._since, steps, values, arrived)
        self._since = now
        self._rows.clear()

    def _write(self) -> None:
        """Write the line that was sent last, if it is not written yet."""
        if (sent := self._sent) is None:
            return
        self._sent = None
        if sent.arrived is not None:
            sent.arrived.synchronize()
        values = sent.values.tolist()
        batch = self.trainer.spec.train.batch
        totals: dict[str, list[float]] = {}
        for index, names in sent.steps:
            step, values = dict(zip(names, values, strict=False)), values[len(names) :]
            for name in ("loss", "grad_norm"):
                if not math.isfinite(step[name]):
                    raise RunFailed(f"{name} became {step[name]} at step {index + 1}; the last good checkpoint is kept")
            for name, value in step.items():
                totals.setdefault(name, []).append(value)
        self.loss, self.rate = _mean(totals["loss"]), len(sent.steps) * batch / sent.seconds
        self.seconds += sent.seconds
        line: dict[str, Any] = {
            "step": sent.step,
            "images": sent.step * batch,
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.rate, 1),
        }
        for name, numbers in totals.items():
            kind, _, label = name.rpartition(":")
            if kind == "alarm":
                self._raise_alarm(sent.step, label, [v for v in numbers if v > 0])
            elif kind == "sum":
                n = sum(totals[f"sum:n/{label.rpartition('/')[2]}"])
                if not label.startswith("n/"):
                    line[label] = sum(numbers) / n if n else None
            else:
                line[name] = _mean(numbers)
        if not self.trainer.team.leads:
            return
        lock.check(self.path)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _raise_alarm(self, step: int, name: str, shares: list[float]) -> None:
        if shares:
            if name not in self.alarmed:
                self.say(
                    f"step {step}: {name} acted, on {max(shares):.1%} of a batch at most; "
                    "how often it does is in train.jsonl and in the result"
                )
            self.alarmed[name] = self.alarmed.get(name, 0) + len(shares)

    def rewind(self) -> None:
        """Drop the lines of steps that are about to be trained again."""
        if self.path.exists() and self.trainer.team.leads:
            lines = self.path.read_text().splitlines()
            kept = [line for line in lines if _step_of(line) <= self.trainer.step]
            lock.check(self.path)
            self.path.write_text("".join(f"{line}\n" for line in kept))


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, from a crash

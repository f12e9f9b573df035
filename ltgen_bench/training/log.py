"""The training log: averages over some steps, given to sinks such as train.jsonl."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from ltgen_bench.errors import RunFailed
from ltgen_bench.storage import lock
from ltgen_bench.storage.atomic_files import atomic_write
from ltgen_bench.training.method import Step
from ltgen_bench.training.trainer import Trainer

TRAIN_LOG = "train.jsonl"
LOG_EVERY = 50
"""Steps averaged into one line of the log."""


@dataclass(frozen=True)
class Line:
    """How some steps of training went.

    figures: the mean of each scalar over the steps, and as `name/group` that of each figure of images over the group's
    images; None where there were none.
    """

    step: int  # how many are done, these included
    images: int  # how many were seen so far
    seconds: float  # spent training so far, over all attempts
    images_per_s: float
    figures: dict[str, float | None]


Sink = Callable[[Line], None]


class JsonLines:
    """train.jsonl: an object a line, for `pandas.read_json(path, lines=True)`."""

    def __init__(self, path: Path, step: int) -> None:
        """Go on after that many steps: the lines of later ones, which are about to be trained again, are dropped."""
        self.path = path
        if path.exists():
            kept = lines_until(path, step)
            with atomic_write(path) as file:
                file.write(kept.encode())

    def write(self, line: Line) -> None:
        head = {"step": line.step, "images": line.images}
        speed = {"seconds": round(line.seconds, 3), "images_per_s": round(line.images_per_s, 1)}
        lock.check(self.path)
        with self.path.open("a") as file:
            file.write(json.dumps(head | speed | line.figures) + "\n")


def lines_until(path: Path, step: int) -> str:
    """The lines of a log up to that step; none of one that is not there."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "".join(f"{line}\n" for line in lines if _step_of(line) <= step)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, from a crash


@dataclass(frozen=True)
class _Figures:
    """The figures of a step: their names, and their values in one tensor on the device.

    values: of the scalars; of the alarms; of each figure of images its sum over each group of classes; and how many
    images of each group there were.
    """

    index: int
    scalars: tuple[str, ...]
    alarms: tuple[str, ...]
    images: tuple[str, ...]
    values: Tensor


@dataclass
class _Sent:
    """The figures of some steps, on their way from the device."""

    step: int  # how many are done
    seconds: float  # what these took
    steps: list[_Figures]
    values: Tensor  # of all of them, one after another, on the CPU
    arrived: torch.cuda.Event | None

    def is_there(self) -> bool:
        return self.arrived is None or bool(self.arrived.query())  # type: ignore[no-untyped-call]


class Log:
    """Averages what happened over LOG_EVERY steps into a line, and gives it to the sinks.

    The device is read once per line, while it works on the next steps: the line is written when its figures are there.

    alarmed: on how many steps each safeguard acted; seconds: spent training, over all attempts; loss, rate: the mean
    loss and the images per second of the last line.
    """

    def __init__(self, trainer: Trainer, say: Callable[[str], None], sinks: Sequence[Sink]) -> None:
        self.trainer, self.say, self.sinks = trainer, say, sinks
        self.alarmed: dict[str, int] = {}
        self.seconds = 0.0
        self.loss = self.rate = math.nan
        group_of = {c: i for i, (_, classes) in enumerate(trainer.task.groups) for c in classes}
        self._group_names = [name for name, _ in trainer.task.groups]
        ids = torch.tensor([group_of[c] for c in sorted(group_of)])
        one_hot = nn.functional.one_hot(ids, len(self._group_names))
        self._one_hot_group = one_hot.float().to(trainer.device)  # (C, G)
        self._steps: list[_Figures] = []
        self._sent: _Sent | None = None
        self._since = time.perf_counter()

    def add(self, loss: Tensor, terms: dict[str, Tensor], step: Step) -> None:
        """The outcome of a step; writes a line when one is due. Raises RunFailed as `flush`."""
        scalars = {"loss": loss} | terms | step.logged
        # One-hot groups (B, G): sums and counts of a group in one product, without asking the device for indices.
        groups = self._one_hot_group[step.y]
        sums = torch.stack([*step.images.values(), torch.ones_like(loss).expand(len(groups))]) @ groups
        figures = torch.stack([*scalars.values(), *step.alarms.values()]).detach()
        values = torch.cat([figures, sums.flatten()])
        self._steps.append(_Figures(step.index, tuple(scalars), tuple(step.alarms), tuple(step.images), values))
        if len(self._steps) == LOG_EVERY:
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
        if not self._steps:
            return
        values, arrived = torch.cat([step.values for step in self._steps]), None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)  # to pinned memory
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        now = time.perf_counter()
        self._sent = _Sent(self.trainer.step, now - self._since, self._steps, values, arrived)
        self._since = now
        self._steps = []

    def _write(self) -> None:
        """Write the line that was sent last, if it is not written yet."""
        if (sent := self._sent) is None:
            return
        self._sent = None
        if sent.arrived is not None:
            sent.arrived.synchronize()
        values = iter(sent.values.tolist())
        parts: dict[str, list[tuple[float, float]]] = {}  # of each figure, in each step: sum, and of how many
        alarms: dict[str, list[float]] = {}
        for step in sent.steps:
            for name, value in zip(step.scalars, values, strict=False):
                if name in ("loss", "grad_norm") and not math.isfinite(value):
                    reason = f"{name} became {value} at step {step.index + 1}"
                    raise RunFailed(f"{reason}; the last good checkpoint is kept")
                parts.setdefault(name, []).append((value, 1))
            for name, value in zip(step.alarms, values, strict=False):
                alarms.setdefault(name, []).append(value)
            for name, part in self._by_group(step, values):
                parts.setdefault(name, []).append(part)
        self.seconds += sent.seconds
        batch = self.trainer.spec.train.batch
        figures = {name: _mean(found) for name, found in parts.items()}
        line = Line(sent.step, sent.step * batch, self.seconds, len(sent.steps) * batch / sent.seconds, figures)
        self.loss, self.rate = sum(loss for loss, _ in parts["loss"]) / len(sent.steps), line.images_per_s
        for name, shares in alarms.items():
            self._raise_alarm(line.step, name, [share for share in shares if share > 0])
        for sink in self.sinks:
            sink(line)

    def _by_group(self, step: _Figures, values: Iterator[float]) -> Iterator[tuple[str, tuple[float, float]]]:
        """(`name/group`, (sum, number of images)) of what a step noted of each image."""
        rows = [list(islice(values, len(self._group_names))) for _ in (*step.images, "counts")]
        for name, sums in zip(step.images, rows, strict=False):
            for group, total, count in zip(self._group_names, sums, rows[-1], strict=True):
                yield f"{name}/{group}", (total, count)

    def _raise_alarm(self, step: int, name: str, shares: list[float]) -> None:
        if shares:
            if name not in self.alarmed:
                self.say(
                    f"step {step}: {name} acted, on {max(shares):.1%} of a batch at most; "
                    "how often it does is in train.jsonl and in the result"
                )
            self.alarmed[name] = self.alarmed.get(name, 0) + len(shares)


def _mean(parts: list[tuple[float, float]]) -> float | None:
    total, count = sum(part for part, _ in parts), sum(n for _, n in parts)
    return total / count if count else None

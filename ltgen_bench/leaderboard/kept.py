"""What is kept beside the record of a run, for pictures: a few images of a head and a tail class, and its losses.

A few kB for each run, as git keeps them for ever: a PNG of at most 32 pixels an image and 256 colours, and a CSV of at
most 60 lines. They are no part of a result: a record without them is whole.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import io
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.images import Images
from ltgen_bench.data.resize import scaled
from ltgen_bench.errors import UsageError
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import DatasetSpec, EvalSpec, RunSpec
from ltgen_bench.storage.atomic_files import atomic_write

IMAGES = 5
"""Of each of the two classes: the first ones, which start from the same noise in all runs of a seed."""
LARGEST = 32
"""Pixels of an image."""
LINES = 60
"""Of a curve: each is the mean of a stretch of training."""
GROUPS = ("majority", "medium", "minority")

Strip = NDArray[np.uint8]
"""Images (2 * IMAGES, size, size, 1 or 3): of the class with the most training images, then of that with the fewest."""
Curve = dict[str, list[float]]
"""{"step": ..., and the mean denoising loss of each group of classes, before any weights}."""


def record_path(folder: Path, record: Record) -> Path:
    """Of a published record."""
    run = record.run
    return folder / "results" / run.dataset.name / run.method / f"{record.run_id}-{record.eval_id}.json"


def keep(run_folder: RunFolder, record: Record, folder: Path) -> None:
    """Write what is not there yet beside a published record; nothing of what the run lacks, or what is damaged."""
    path, loss = _strip_file(folder, record), _loss_file(folder, record)
    with contextlib.suppress(UsageError):
        if not path.exists() and (strip := strip_of(run_folder, record)) is not None:
            _write(path, _png(strip))
    if not loss.exists() and (curve := curve_of(run_folder)):
        _write(loss, _csv(curve))


@dataclasses.dataclass(frozen=True)
class Kept:
    """Where it is looked for: in a leaderboards folder, and for results that are not published in a folder of runs.

    problems: what is wrong with files that are left out.
    """

    folder: Path
    runs: Path | None = None
    problems: list[str] = dataclasses.field(default_factory=list)

    def has_strip(self, record: Record) -> bool:
        """Whether there is something to read."""
        return _strip_file(self.folder, record).exists() or self._samples(record) is not None

    def _samples(self, record: Record) -> Path | None:
        if self.runs is None or not isinstance(record.eval, EvalSpec):
            return None
        path = RunFolder.of(self.runs, record.run).samples(record.eval.sample)
        return path if path.exists() else None

    def strip(self, record: Record) -> Strip | None:
        path = _strip_file(self.folder, record)
        try:
            if path.exists():
                return _read_strip(path)
            return strip_of(RunFolder.of(self.runs, record.run), record) if self.runs else None
        except UsageError as error:
            self.problems.append(str(error))
            return None

    def curve(self, record: Record) -> Curve:
        """Empty where there is none."""
        path = _loss_file(self.folder, record)
        try:
            if path.exists():
                return _read_curve(path)
            return curve_of(RunFolder.of(self.runs, record.run)) if self.runs else {}
        except UsageError as error:
            self.problems.append(str(error))
            return {}


def head_and_tail(data: DatasetSpec) -> tuple[int, int]:
    """The class with the most training images and the one with the fewest; of several the first, and the last."""
    counts = data.class_counts
    return counts.index(max(counts)), len(counts) - 1 - counts[::-1].index(min(counts))


def strip_of(run_folder: RunFolder, record: Record) -> Strip | None:
    """From the samples of a run; None where it has none, or too few. Raises UsageError for a damaged file."""
    if not isinstance(record.run, RunSpec) or not isinstance(record.eval, EvalSpec):
        return None
    path = run_folder.samples(record.eval.sample)
    if not path.exists():
        return None
    images = Images.load(path)
    chosen = [np.flatnonzero(images.labels == c)[:IMAGES] for c in head_and_tail(record.run.dataset)]
    if any(len(index) < IMAGES for index in chosen):
        return None
    few = images[np.concatenate(chosen)]
    return scaled(few, min(few.pixels.shape[1], LARGEST)).pixels


def curve_of(run_folder: RunFolder) -> Curve:
    """From the log of a training, LINES stretches at most; empty where it says nothing of groups."""
    found: list[tuple[float, list[float]]] = []
    try:
        for text in run_folder.train_log.read_text(errors="replace").splitlines():
            try:
                line = json.loads(text)
                found.append((line["step"], [float(line.get(f"denoise/{g}") or math.nan) for g in GROUPS]))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # half a line, from a crash
    except OSError:
        return {}
    length = math.ceil(len(found) / LINES) if found else 1
    stretches = [found[start : start + length] for start in range(0, len(found), length)]
    curve: Curve = {"step": [stretch[-1][0] for stretch in stretches]}
    for place, group in enumerate(GROUPS):
        means = [_mean([losses[place] for _, losses in stretch]) for stretch in stretches]
        if means and all(map(math.isfinite, means)):
            curve[group] = [float(f"{mean:.5g}") for mean in means]
    return curve if len(curve) > 1 else {}


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return sum(known) / len(known) if known else math.nan


def _strip_file(folder: Path, record: Record) -> Path:
    return record_path(folder, record).with_suffix(".png")


def _loss_file(folder: Path, record: Record) -> Path:
    return record_path(folder, record).with_name(f"{record.run_id}-loss.csv")


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


def _png(strip: Strip) -> bytes:
    """Two rows."""
    from PIL import Image

    rows = [np.concatenate(list(row), axis=1) for row in np.split(strip, 2)]
    image = Image.fromarray(np.concatenate(rows).squeeze())
    if image.mode == "RGB":
        image = image.quantize(256, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _read_strip(path: Path) -> Strip:
    """Raises UsageError."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise UsageError(f"{path} is no picture: {error}") from error
    size = pixels.shape[0] // 2
    if size < 1 or pixels.shape[:2] != (2 * size, IMAGES * size) or size > LARGEST:
        raise UsageError(f"{path} does not hold two rows of {IMAGES} square images of at most {LARGEST} pixels")
    rows = pixels.reshape(2, size, IMAGES, size, -1).swapaxes(1, 2)
    return rows.reshape(2 * IMAGES, size, size, -1)


def _csv(curve: Curve) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(curve)
    writer.writerows(zip(*curve.values(), strict=True))
    return text.getvalue().encode()


def _read_curve(path: Path) -> Curve:
    """Raises UsageError."""
    try:
        header, *lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
        numbers = [[float(cell) for cell in line] for line in lines]
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path} is no table of losses: {error}") from error
    columns = list(zip(*numbers, strict=False))
    whole = all(len(line) == len(header) for line in lines) and all(map(math.isfinite, itertools.chain(*numbers)))
    if header[:1] != ["step"] or not set(header[1:]) <= set(GROUPS) or not numbers or not whole:
        raise UsageError(
            f"{path} is no table of losses: a step and a number for some of {', '.join(GROUPS)} in each line"
        )
    return {name: list(column) for name, column in zip(header, columns, strict=True)}

"""Records that fill every picture, in a leaderboards folder with images and losses beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ltgen_bench.data.images import Images
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.specs import EvalSpec, RunSpec

MakeRecord = Callable[..., Record]


def with_classes(record: Record, factor: float = 1.0) -> Record:
    """With a distance for each class."""
    record.scores["class-FD64-efflite0@96"] = {  # type: ignore[index]
        str(c): {"value": factor * (10.0 + c), "n_real": 174, "n_gen": 50} for c in range(10)
    }
    return record


def records_of(make_record: MakeRecord) -> list[Record]:
    """Three methods with two or three seeds, other hyper-parameters, a sweep of omega and one of steps."""
    found = []
    for place, (method, fd) in enumerate((("ddpm", 12.0), ("cm", 9.0), ("cm+cbdm", 7.0))):
        for seed in range(3 if method != "cm+cbdm" else 2):
            moved = fd + 0.3 * seed + 0.1 * (seed * place % 2)
            found.append(with_classes(make_record(method, moved, seed=seed), moved))
    found.append(with_classes(make_record("cm", 8.0, params={"w_div": 1.0})))
    found += [make_record(m, fd, sample={"omega": 0.5}) for m, fd in (("ddpm", 11.0), ("cm", 8.5))]
    found += [make_record(m, fd, train={"steps": 400}) for m, fd in (("ddpm", 20.0), ("cm", 18.0))]
    return found


def fill(run_folder: RunFolder, record: Record, *, size: int = 8, channels: int = 1) -> None:
    """The files of a finished run: its result, samples and log."""
    assert isinstance(record.eval, EvalSpec)
    assert isinstance(record.run, RunSpec)
    run_folder.create(record.run)
    record.write(run_folder.result(record.eval_id))
    draws = np.random.default_rng(record.run.seed)
    labels = np.arange(10, dtype=np.int64).repeat(6)
    pixels = draws.integers(0, 256, (60, size, size, channels), np.uint8)
    Images(pixels, labels).save(run_folder.samples(record.eval.sample))
    lines = [_line(step, record) for step in range(50, record.run.train.steps + 1, 5)]
    run_folder.train_log.write_text("\n".join([*lines, '{"step": 1'[:-1]]) + "\n")


def _line(step: int, record: Record) -> str:
    loss = 1 / step + 0.01 * record.run.seed
    groups = {f"denoise/{group}": loss * (1 + place) for place, group in enumerate(("majority", "medium", "minority"))}
    return json.dumps({"step": step, "loss": loss} | groups)


def publish_all(records: list[Record], folder: Path, cli: Callable[..., Any]) -> Path:
    """Through the commands; the leaderboards folder."""
    runs, boards = folder / "runs", folder / "boards"
    for record in records:
        fill(RunFolder.of(runs, record.run), record)
    got = cli("publish", *{record.run_id for record in records}, "--runs", runs, "--folder", boards)
    assert got.code == 0, got.err
    return boards

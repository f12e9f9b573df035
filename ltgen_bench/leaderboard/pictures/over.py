"""Scores over something: the images of a class, guidance, training steps; and losses over training."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.captions import title as title_of
from ltgen_bench.leaderboard.cells import class_flags, class_metric, class_names
from ltgen_bench.leaderboard.kept import GROUPS, Curve, Kept
from ltgen_bench.leaderboard.notes import flag_notes
from ltgen_bench.leaderboard.pictures import style
from ltgen_bench.leaderboard.pictures.lines import draw_lines
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.leaderboard.rows import Row
from ltgen_bench.leaderboard.statistics import Column, figures_of, short_name
from ltgen_bench.leaderboard.sweeps import Sweep
from ltgen_bench.spec.specs import RunSpec

NAMED, NAME = 12, 12
"""So many classes, with so many letters, are named: there is room for them."""


def per_class(name: str, title: str, board: Board, order: Sequence[str]) -> Picture | None:
    """None where records have no figures by class, or all classes are of one size. order: see `style.places`."""
    metric = class_metric(board)
    counts = board.records[0].run.dataset.class_counts
    if metric is None or len(set(counts)) < 2:
        return None
    classes = sorted(range(len(counts)), key=lambda c: (-counts[c], c))
    names = dict(zip(map(id, board.all_rows), style.named(board.all_rows), strict=True))
    lines = {
        names[id(row)]: {
            "x": [counts[c] for c in classes],
            "y": [statistics.fmean(figures_of(r, metric, str(c))["value"] for r in row.records) for c in classes],
        }
        for row in board.all_rows
        if all(figures_of(r, metric, str(c)) for r in row.records for c in classes)
    }
    if not lines:
        return None
    below = [board.title, "means over seeds", "lower is better", *flag_notes(class_flags(board.all_rows, metric))]
    shown = _shown(board, f"{title}: each class", " · ".join(below), order)
    axes = {"x": "training images of the class", "y": short_name(board.records[0], metric), "falling": True}
    shown |= axes | {"log": ["x"], "panels": [{"title": "", "lines": lines}]}
    names_of = class_names(board)
    if len(set(counts)) == len(counts) <= NAMED and names_of and max(map(len, names_of.values())) <= NAME:
        shown |= {"x": "training images of the class, and its name"}
        shown["named"] = [[counts[c], known] for c, known in names_of.items()]
    return Picture(name, f"{title}: distance of each class against its number of training images", shown, draw_lines)


def over_setting(name: str, title: str, sweep: Sweep, board: Board, order: Sequence[str]) -> Picture | None:
    """Over guidance, or over training steps; board: the one that the sweep stands below. order: see `style.places`."""
    what, label = {"sample.omega": ("guidance", "omega"), "train.steps": ("training steps", "steps")}[sweep.setting]
    record = board.records[0]
    rows = sorted(map(_whole, sweep.rows.values()), key=lambda row: _rank(board, row))
    shown_names = [f"{each} (n {_seeds(row)})" for each, row in zip(style.named(rows), rows, strict=True)]
    names = {row.name: each for row, each in zip(rows, shown_names, strict=True)}
    panels: list[dict[str, Any]] = []
    for group in ("overall", "majority", "minority"):
        column = Column(sweep.distance, group)
        lines = {
            names[row_name]: _over(found, column)
            for row_name, found in sweep.rows.items()
            if any(row.values(column) for row in found.values())
        }
        if lines:
            panels.append({"title": group, "lines": lines})
    if not panels:
        return None
    notes = ["mean over n seeds", "band: their standard deviation", "lower is better"]
    shown = {
        "title": f"{title}: over {what}",
        "below": " · ".join([title_of(record, but=label), *notes]) + style.marks_said(rows),
        **{"x": label, "y": short_name(record, sweep.distance), "falling": False},
        "baseline": names.get(board.baseline.name) if board.baseline else None,
        "ranked": style.places(rows, shown_names, order),
        **{"log": ["x"] if sweep.setting == "train.steps" else [], "panels": panels},
    }
    return Picture(name, f"{title}: distance over {what}, by method", shown, draw_lines)


def _whole(found: Mapping[float, Row]) -> Row:
    """All records of a line, for its name and marks."""
    first, *_ = found.values()
    return Row(
        first.name,
        tuple(record for row in found.values() for record in row.records),
        frozenset().union(*(row.own for row in found.values())),
    )


def _seeds(row: Row) -> int:
    return len(set(row.seeds))


def _rank(board: Board, row: Row) -> int:
    """In the order of the board; others last."""
    names = [each.name for each in board.all_rows]
    return names.index(row.name) if row.name in names else len(names)


def _over(found: Mapping[float, Row], column: Column) -> dict[str, list[float]]:
    """Of one configuration, by ascending value of the setting."""
    values = {value: row.values(column) for value, row in sorted(found.items()) if row.values(column)}
    return {
        "x": list(values),
        "y": [statistics.fmean(each) for each in values.values()],
        "spread": [statistics.stdev(each) if len(each) > 1 else 0.0 for each in values.values()],
    }


CURVES = 5
"""Seeds that a curve is the mean of, at most."""


def loss_curves(name: str, title: str, board: Board, kept: Kept, order: Sequence[str]) -> Picture | None:
    """None where no losses are kept. order: see `style.places`."""
    curves = {
        shown: [curve for record in row.records[:CURVES] if (curve := kept.curve(record))]
        for row, shown in zip(board.all_rows, style.named(board.all_rows), strict=True)
    }
    panels: list[dict[str, Any]] = []
    run = board.records[0].run
    begin = run.train.warmup if isinstance(run, RunSpec) and run.train.warmup < run.train.steps / 2 else 0
    for group in GROUPS:
        lines = {shown: line for shown, found in curves.items() if (line := _mean_curve(found, group, begin))}
        if lines:
            panels.append({"title": group, "lines": lines})
    if not panels:
        return None
    numbers = sorted({len(found) for found in curves.values() if found})
    seeds = " to ".join(map(str, numbers[:: max(1, len(numbers) - 1)]))
    below = f"{board.title} · means over {seeds} seeds and stretches of training, before any weights"
    below += f" · from the end of the warm-up, step {begin:,}, on" * bool(begin)
    shown = _shown(board, f"{title}: denoising loss by group", below, order)
    shown |= {"x": "step", "y": "loss", "falling": False, "log": ["y"], "panels": panels}
    return Picture(name, f"{title}: loss of each group over training, by method", shown, draw_lines)


def _mean_curve(found: Sequence[Curve], group: str, begin: int) -> dict[str, list[float]] | None:
    """Over the seeds, at the steps of the first from `begin` on that lie within all. Logs are written by the clock, so
    that between its own steps a seed is a straight line."""
    seeds = [sorted(zip(curve["step"], curve[group], strict=True)) for curve in found if group in curve]
    if not seeds:
        return None
    first, last = max(begin, *(seed[0][0] for seed in seeds)), min(seed[-1][0] for seed in seeds)
    steps = [step for step, _ in seeds[0] if first <= step <= last]
    if not steps:
        return None
    losses = [np.interp(steps, [step for step, _ in seed], [loss for _, loss in seed]) for seed in seeds]
    return {"x": steps, "y": [float(loss) for loss in np.mean(losses, axis=0)]}


def _shown(board: Board, title: str, below: str, order: Sequence[str]) -> dict[str, Any]:
    rows, names = board.all_rows, style.named(board.all_rows)
    return {
        "title": title,
        "below": below + style.marks_said(rows),
        "baseline": style.baseline_name(board, rows, names),
        "ranked": style.places(rows, names, order),
    }

"""Scores of the same configurations over one setting: guidance, or training steps."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.leaderboard.board import Board, ranked_by
from ltgen_bench.leaderboard.rows import Row, run_of
from ltgen_bench.leaderboard.statistics import Column
from ltgen_bench.leaderboard.tables import settings
from ltgen_bench.spec.presets import PRESETS, RECIPES


@dataclass(frozen=True)
class Sweep:
    """Boards that differ in one setting alone, by its value. distance: what can be ranked at every value."""

    setting: str  # "sample.omega", "train.steps"
    boards: Mapping[float, Board]  # ascending
    distance: str

    @property
    def values(self) -> tuple[float, ...]:
        return tuple(self.boards)

    @functools.cached_property
    def rows(self) -> dict[str, dict[float, Row]]:
        """{name: {value: row}} of those with several values, each of the seeds that all of its values have.

        First those that reach the smallest distance in the minority.
        """
        by_name: dict[str, dict[float, Row]] = defaultdict(dict)
        for value, board in self.boards.items():
            for row in board.all_rows:
                by_name[row.name][value] = row
        found = {name: _of_common_seeds(rows) for name, rows in by_name.items() if len(rows) > 1}
        column = Column(self.distance, "minority")

        def least(name: str) -> tuple[float, str]:
            means = [mean for row in found[name].values() if (mean := row.mean(column)) is not None]
            return min(means, default=float("inf")), name

        return {name: found[name] for name in sorted(found, key=least) if found[name]}

    def best(self, name: str) -> float | None:
        """The value with the smallest distance overall; None for who lacks it at one of the values.

        The same grid and the same score for all: the least of a longer grid is smaller by chance alone.
        """
        column = Column(self.distance, "overall")
        means = {value: row.mean(column) for value, row in self.rows[name].items()}
        if means.keys() != self.boards.keys() or None in means.values():
            return None
        return min(means, key=lambda value: (means[value], value))


def _of_common_seeds(rows: Mapping[float, Row]) -> dict[float, Row]:
    """The same rows with the seeds that all of them have; empty where there is none."""
    common = set[int].intersection(*(set(row.seeds) for row in rows.values()))
    if not common:
        return {}
    return {
        value: dataclasses.replace(row, records=tuple(r for r in row.records if r.run.seed in common))
        for value, row in rows.items()
    }


@dataclass(frozen=True)
class Section:
    """What a page shows together: one board, at the omega that is fixed for all; those at others; and both sweeps."""

    board: Board
    others: tuple[Board, ...] = ()
    omega: Sweep | None = None
    steps: Sweep | None = None


def sections(boards: Sequence[Board]) -> list[Section]:
    """Boards of a page as sections, in the order of the boards."""
    found = []
    for family in _alike(boards, ("sample", "omega")):
        fixed = _at_fixed_omega(family)
        others = tuple(dataclasses.replace(board, unfinished=()) for board in family if board is not fixed)  # said once
        found.append(Section(fixed, others, _sweep("sample.omega", family) if others else None))
    steps = {
        id(max(family, key=_steps)): _sweep("train.steps", family)
        for family in _alike(boards, ("train", "steps"))
        if len(family) > 1
    }
    return [dataclasses.replace(section, steps=steps.get(id(section.board))) for section in found]


def _sweep(setting: str, boards: Iterable[Board]) -> Sweep:
    value = _omega if setting == "sample.omega" else _steps
    by_value = {value(board): board for board in boards}
    distance = ranked_by([record for board in by_value.values() for record in board.records])
    return Sweep(setting, dict(sorted(by_value.items())), distance)


def _omega(board: Board) -> float:
    return run_of(board.records[0])[1].sample.omega


def _steps(board: Board) -> int:
    return run_of(board.records[0])[0].train.steps


def _alike(boards: Iterable[Board], but: tuple[str, str]) -> list[list[Board]]:
    """Boards whose settings are equal but for this one, in their order."""
    section, name = but
    families: dict[str, list[Board]] = defaultdict(list)
    for board in boards:
        same: dict[str, Any] = settings(board.records[0])
        same[section] = {k: v for k, v in same[section].items() if k != name}
        families[json.dumps(same, sort_keys=True)].append(board)
    return list(families.values())


def _at_fixed_omega(family: Sequence[Board]) -> Board:
    """At the omega that most rows have; of several, that of the preset that most of them were started from."""
    presets = Counter(run_of(record)[0].preset for board in family for record in board.records)
    known = PRESETS | RECIPES
    usual = [known[name].sample.omega for name, _ in presets.most_common() if name in known]

    def order(board: Board) -> tuple[int, bool, float]:
        omega = _omega(board)
        return -len(board.all_rows), omega not in usual[:1], omega

    return min(family, key=order)

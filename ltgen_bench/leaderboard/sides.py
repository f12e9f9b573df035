"""What the two names of a comparison stand for: a run, a method, or a folder of records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.leaderboard.beside import OF_RUNS, Beside, beside
from ltgen_bench.leaderboard.folder import published
from ltgen_bench.leaderboard.rows import Key
from ltgen_bench.runs.record import Record, read_records


@dataclass(frozen=True)
class Side:
    """records: what the name stands for; others: what lies in the same place, to measure the seed noise with; own: of
    both, those that are not published."""

    name: str
    records: Sequence[Record]
    others: Sequence[Record] = ()
    own: frozenset[Key] = frozenset()


def sides(names: Sequence[str], runs: Path, boards: Path) -> tuple[list[Side], list[str]]:
    """What each name stands for, and what is wrong with the files that were left out. Raises UsageError.

    A folder is one of runs, of leaderboards, of a run, or any other that holds result files. A method or run is looked
    for among the runs and the published results: the start of a run's id, a method as "cm+cbdm" (at its defaults), or a
    row as tables call it, "cm (cm.w_div=1.0)".
    """
    found, problems = [], []
    here = None if all(map(_is_folder, names)) else beside(published(boards)[0], runs)
    for name in names:
        if here is None or _is_folder(name):
            records, wrong = records_of(Path(name))
            problems += wrong
            if not records:
                raise UsageError(f"no results in the folder {name}")
            found.append(Side(name, records))
        else:
            found.append(Side(name, _named(name, here, f"{runs} or {boards}"), here.records, here.own))
    return found, list(dict.fromkeys(problems + (here.problems if here else [])))


def _is_folder(name: str) -> bool:
    return bool(name) and Path(name).is_dir()


def records_of(folder: Path) -> tuple[list[Record], list[str]]:
    """The results in a folder of any kind, and what is wrong with the files that are left out."""
    for pattern in ("results/**/*.json", OF_RUNS, "result-*.json"):
        if next(folder.glob(pattern), None) is not None:
            return read_records(folder, pattern)
    return read_records(folder, "**/*.json")


def _named(name: str, here: Beside, where: str) -> list[Record]:
    records = here.records
    if not records and not here.unfinished:
        raise UsageError(
            f"{name}: there are no results in {where}; --runs is a folder of runs, --folder one that holds results/"
        )
    if found := [record for record in records if record.run.label == name]:
        return found
    methods = set(name.split("+"))
    of_methods = [record for record in records if {m.name for m in record.run.methods} == methods]
    if found := [record for record in of_methods if not any(m.changed for m in record.run.methods)]:
        return found
    if of_methods:
        labels = sorted({record.run.label for record in of_methods})
        raise UsageError(f"{name} has no result at its defaults; name one of: {', '.join(labels)}")
    ids = {record.run_id for record in records if record.run_id.startswith(name)} if name else set()
    if len(ids) > 1:
        raise UsageError(f"{name!r} fits {len(ids)} runs: {', '.join(sorted(ids)[:5])}; give more of the id")
    if ids:
        return [record for record in records if record.run_id in ids]
    for one in here.unfinished:
        if name and (one.run.label == name or one.run.run_id.startswith(name)):
            raise UsageError(f"{name} has no result: seed {one.run.seed} of {one.run.label}, {one.why}")
    raise unknown("run or method", name, {record.run.label for record in records}, f"the results of {where}")

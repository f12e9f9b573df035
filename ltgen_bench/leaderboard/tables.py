"""Which results may share a table, and what tells the tables of a page apart."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ltgen_bench.leaderboard.captions import given_title, title
from ltgen_bench.leaderboard.rows import run_of
from ltgen_bench.leaderboard.versions import outdated
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.spec.specs import ExternalSpec, RunSpec


@dataclass(frozen=True)
class Table:
    """Comparable results, and a title that no other table beside it has."""

    title: str
    records: tuple[Record, ...]


def tables(records: Iterable[Record]) -> list[Table]:
    """The tables of a page, the largest evaluations first, as they say most."""
    found: dict[str, list[Record]] = defaultdict(list)
    known: dict[tuple[str, str], str] = {}  # of the seeds of a configuration the settings are the same
    for record in records:
        run = record.run
        alike = run.config_id if isinstance(run, RunSpec) else record.run_id, record.eval_id
        if alike not in known:
            known[alike] = json.dumps(settings(record), sort_keys=True)
        found[known[alike]].append(record)

    def order(key: str) -> tuple[int, int, str]:
        run = found[key][0].run
        if isinstance(run, ExternalSpec):
            return -run.images, 0, key
        run, score = run_of(found[key][0])
        return -score.sample.images, -run.train.steps, key

    ordered = [found[key] for key in sorted(found, key=order)]
    return [Table(title, tuple(records)) for title, records in zip(_titles(ordered), ordered, strict=True)]


def _titles(tables: Sequence[Sequence[Record]]) -> list[str]:
    """A title for each, with what else differs where two would be called the same."""
    titles = []
    for records in tables:
        text = given_title(records) if isinstance(records[0].run, ExternalSpec) else title(records[0])
        titles.append(", ".join([text, *outdated(records[0])]))
    for text in {text for text in titles if titles.count(text) > 1}:
        places = [i for i, other in enumerate(titles) if other == text]
        told = _told_apart([dict(flat(settings(tables[i][0]))) for i in places])
        for i, differences in zip(places, told, strict=True):
            titles[i] = ", ".join([text, *differences])
    return titles


def _told_apart(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Of each table, the values of the fewest settings that tell all of them apart; names before hashes."""
    names = sorted({name for each in settings for name in each}, key=lambda name: (name.endswith("sha256"), name))
    told: list[list[str]] = [[] for _ in settings]
    for name in names:
        longer = [[*words, f"{name} {short_value(each.get(name))}"] for words, each in zip(told, settings, strict=True)]
        if len(set(map(tuple, longer))) > len(set(map(tuple, told))):
            told = longer
    return told


def short_value(value: object) -> str:
    if value is None:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)[:12]


def settings(record: Record) -> dict[str, Any]:
    """What must be equal for two rows to share a table: everything but the method and the seed."""
    return run_settings(record.run) | eval_settings(record)


def run_settings(run: RunSpec | ExternalSpec) -> dict[str, Any]:
    """The same of the training alone."""
    return {k: v for k, v in to_json(run).items() if k not in ("preset", "methods", "seed", "name", "sha256")}


def eval_settings(record: Record) -> dict[str, Any]:
    """How it was scored; of metrics from outside the package their versions, as the rest is how they are shown."""
    return to_json(record.eval) | {"metrics": {metric.name: metric.version for metric in record.eval.metrics}}


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names as `--set` has them, and values: ("train.steps", 500)."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, ",".join(map(str, value)) if isinstance(value, list) else value

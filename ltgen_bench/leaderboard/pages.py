"""Leaderboards: markdown as a pure function of result records. Unlike results never share a table."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

import tabulate as tabulate_module
from tabulate import tabulate

from ltgen_bench.leaderboard.captions import caption, given_caption, given_title, run_of, title
from ltgen_bench.leaderboard.notes import notes_below
from ltgen_bench.leaderboard.rows import Row, best_rows, difference, is_plain, make_rows, ordered
from ltgen_bench.leaderboard.statistics import COLUMNS
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.spec.specs import ExternalSpec, RunSpec

# Whether wcwidth happens to be installed must not change a page.
tabulate_module.WIDE_CHARS_MODE = False


def build(records: Iterable[Record]) -> dict[str, str]:
    """{dataset: markdown page} of all records; the same records give the same text."""
    pages: dict[str, list[Record]] = defaultdict(list)
    for record in ordered(records):
        pages[record.run.dataset.name].append(record)
    return {dataset: _page(dataset, found) for dataset, found in sorted(pages.items())}


def _page(dataset: str, records: Sequence[Record]) -> str:
    runs = _tables(r for r in records if isinstance(r.run, RunSpec))
    given = _tables(r for r in records if isinstance(r.run, ExternalSpec))
    parts = [f"# {dataset}\n"]
    if len(runs) > 1:
        parts.append("Results that differ in data, training or evaluation are in tables of their own.\n")
    parts += map(_section, runs)
    if given:
        parts += [f"## Images made elsewhere\n\n{_GIVEN_NOTE}\n", *map(_given_section, given)]
    return "\n".join(parts)


_GIVEN_NOTE = (
    "How these images were made, and from which training data, is not known to the suite: not comparable with the "
    "tables of its own runs."
)


def _tables(records: Iterable[Record]) -> list[list[Record]]:
    """The records that may share a table, the largest evaluations first, as they say most."""
    tables: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        tables[_comparable(record)].append(record)

    def order(key: str) -> tuple[int, int, str]:
        run = tables[key][0].run
        if isinstance(run, ExternalSpec):
            return -run.images, 0, key
        run, score = run_of(tables[key][0])
        return -score.sample.images, -run.train.steps, key

    return [tables[key] for key in sorted(tables, key=order)]


def _comparable(record: Record) -> str:
    """What must be equal for two rows to share a table: everything but the method and the seed."""
    run = to_json(record.run)
    same = {k: v for k, v in run.items() if k not in ("preset", "methods", "seed", "name", "sha256")}
    return json.dumps([same, to_json(record.eval)], sort_keys=True)


def _given_section(records: Sequence[Record]) -> str:
    rows = make_rows(records)
    parts = [f"### {given_title(records)}\n", given_caption(records), ""]
    return "\n".join([*parts, _table(rows, "name", "sets"), "", *notes_below(rows)]) + "\n"


def _section(records: Sequence[Record]) -> str:
    rows = make_rows(records)
    newest: dict[str, int] = {}
    for method in (m for r in records for m in run_of(r)[0].methods):
        newest[method.name] = max(method.version, newest.get(method.name, 0))
    plain = [row for row in rows if is_plain(run_of(row.records[0])[0], newest)]
    apart = [row for row in rows if row not in plain]
    parts = [f"## {title(records[0])}\n", caption(records), ""]
    if plain:
        parts += [_table(plain, "method", "seeds"), ""]
    if deltas := _deltas(plain):
        parts += ["### What adding a method changes\n", _DELTA_NOTE, "", deltas, ""]
    if apart:
        parts += ["### Other hyper-parameters and earlier versions\n", _table(apart, "method", "seeds"), ""]
    return "\n".join([*parts, *notes_below(rows)]) + "\n"


_DELTA_NOTE = (
    "Paired by seed: apart from what the added method itself changes, both runs of a pair start from the same weights "
    "and see the same batches, times and noise. Mean difference ± sample standard deviation over seeds; below zero is "
    "better."
)


def _table(rows: Sequence[Row], *headers: str) -> str:
    """headers: of the rows' names, and of how many records they are of."""
    columns = [c for c in COLUMNS if any(c.figures(r) for row in rows for r in row.records)]
    best = {column: best_rows(rows, column) for column in columns}
    body = [
        [_dagger(row), len(row.records), *(f"**{row.cell(c)}**" if row in best[c] else row.cell(c) for c in columns)]
        for row in rows
    ]
    record = rows[0].records[0]
    return _markdown([*headers, *(c.title(record) for c in columns)], body)


def _dagger(row: Row) -> str:
    return row.name + (" †" if any(r.provenance.get("dirty") for r in row.records) else "")


def _deltas(rows: Sequence[Row]) -> str:
    """For every row that is another row plus one method: the differences in Fréchet distance."""
    by_methods = {frozenset(m.name for m in run_of(row.records[0])[0].methods): row for row in rows}
    columns = [c for c in COLUMNS if c.metric == "FD"]
    body = []
    for methods, row in sorted(by_methods.items(), key=lambda item: sorted(item[0])):
        for added in sorted(methods):
            # Without any method left, the comparison is with the shared recipe itself.
            base = by_methods.get(methods - {added} or frozenset({"ddpm"}))
            if base is None or base is row:
                continue
            seeds = {r.run.seed: r for r in base.records}
            pairs = [(r, seeds[r.run.seed]) for r in row.records if r.run.seed in seeds]
            if pairs:
                body.append([f"{added} to {base.name}", len(pairs), *(difference(pairs, c) for c in columns)])
    if not body:
        return ""
    headers = ["adding", "seeds", *(c.title(rows[0].records[0]).replace(" ↓", "") for c in columns)]
    return _markdown(headers, body)


def _markdown(headers: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    return str(tabulate(body, headers, tablefmt="github", disable_numparse=True))

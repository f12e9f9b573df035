"""Leaderboards: markdown as a pure function of result records. Unlike results never share a table."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import tabulate as tabulate_module
from tabulate import tabulate

from ltgen_bench.leaderboard.captions import caption, given_caption
from ltgen_bench.leaderboard.notes import notes_below
from ltgen_bench.leaderboard.rows import (
    Row,
    best_rows,
    difference,
    is_newest,
    is_plain,
    make_rows,
    newest_versions,
    ordered,
    run_of,
)
from ltgen_bench.leaderboard.statistics import columns, distance_columns
from ltgen_bench.leaderboard.tables import Table, tables
from ltgen_bench.leaderboard.versions import outdated, reasons
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.reproduce import command_of_row
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
    earlier = [record for record in records if outdated(record)]
    today = [record for record in records if not outdated(record)]
    runs, given = _of_runs(today), _of_others(today)
    parts = [f"# {dataset}\n"]
    if len(runs) > 1:
        parts.append("Results that differ in data, training or evaluation are in tables of their own.\n")
    parts += [_section(table, "##") for table in runs]
    if given:
        parts += [f"## Images made elsewhere\n\n{_GIVEN_NOTE}\n", *map(_given_section, given)]
    if earlier:
        parts.append(f"## Results of earlier versions\n\n{_EARLIER_NOTE}\n\n{reasons(earlier)}\n")
        parts += [_section(table, "###") for table in _of_runs(earlier)]
        parts += map(_given_section, _of_others(earlier))
    return "\n".join(parts)


def _of_runs(records: Iterable[Record]) -> list[Table]:
    return tables(record for record in records if isinstance(record.run, RunSpec))


def _of_others(records: Iterable[Record]) -> list[Table]:
    return tables(record for record in records if isinstance(record.run, ExternalSpec))


_EARLIER_NOTE = "Made by versions of the suite that gave other numbers: not comparable with any other table."
_GIVEN_NOTE = (
    "How these images were made, and from which training data, is not known to the suite: not comparable with the "
    "tables of its own runs."
)


def _given_section(table: Table) -> str:
    rows = make_rows(table.records)
    parts = [f"### {table.title}\n", given_caption(table.records), ""]
    return "\n".join([*parts, _table(rows, "name", "sets"), "", *notes_below(rows), *_commands(rows, {})]) + "\n"


def _section(table: Table, heading: str) -> str:
    records, rows = table.records, make_rows(table.records)
    newest = newest_versions(records)
    plain = [row for row in rows if is_plain(row, newest)]
    apart = [row for row in rows if row not in plain]
    parts = [f"{heading} {table.title}\n", caption(records), ""]
    if plain:
        parts += [_table(plain, "method", "seeds"), ""]
    if deltas := _deltas(plain):
        parts += [f"{heading}# What adding a method changes\n", _DELTA_NOTE, "", deltas, ""]
    if apart:
        parts += [f"{heading}# Other hyper-parameters and earlier versions\n", _table(apart, "method", "seeds"), ""]
    return "\n".join([*parts, *notes_below(rows), *_commands(rows, newest)]) + "\n"


_DELTA_NOTE = (
    "Paired by seed: apart from what the added method itself changes, both runs of a pair start from the same weights "
    "and see the same batches, times and noise. Mean difference ± sample standard deviation over seeds; below zero is "
    "better."
)


def _commands(rows: Sequence[Row], newest: Mapping[str, int]) -> list[str]:
    """What gives each row again, folded away; not for results that today's suite does not give."""
    repeatable = [row for row in rows if not outdated(row.records[0]) and is_newest(row, newest)]
    lines = [f"- {row.name}: `{shlex.join(command_of_row(row.records))}`" for row in repeatable]
    if not lines:
        return []
    return ["", "<details><summary>The command of each row</summary>", "", *lines, "", "</details>"]


def _table(rows: Sequence[Row], *headers: str) -> str:
    """headers: of the rows' names, and of how many records they are of."""
    filled = [
        c for c in columns(rows[0].records[0].eval.metrics) if any(c.figures(r) for row in rows for r in row.records)
    ]
    best = {column: best_rows(rows, column) for column in filled}
    body = [
        [_dagger(row), len(row.records), *(f"**{row.cell(c)}**" if row in best[c] else row.cell(c) for c in filled)]
        for row in rows
    ]
    record = rows[0].records[0]
    return _markdown([*headers, *(c.title(record) for c in filled)], body)


def _dagger(row: Row) -> str:
    return row.name + (" †" if any(r.provenance.get("dirty") for r in row.records) else "")


def _deltas(rows: Sequence[Row]) -> str:
    """For every row that is another row plus one method: the differences in Fréchet distance."""
    by_methods = {frozenset(m.name for m in run_of(row.records[0])[0].methods): row for row in rows}
    distances = distance_columns()
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
                body.append([f"{added} to {base.name}", len(pairs), *(difference(pairs, c) for c in distances)])
    if not body:
        return ""
    headers = ["adding", "seeds", *(c.title(rows[0].records[0]).replace(" ↓", "") for c in distances)]
    return _markdown(headers, body)


def _markdown(headers: Sequence[str], body: Sequence[Sequence[object]]) -> str:
    return str(tabulate(body, headers, tablefmt="github", disable_numparse=True))

"""The formats by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

from ltgen_bench.errors import unknown
from ltgen_bench.leaderboard.dataset_page import dataset_pages
from ltgen_bench.leaderboard.exports.html import html_page
from ltgen_bench.leaderboard.exports.latex import latex_tables
from ltgen_bench.leaderboard.frame import figures
from ltgen_bench.leaderboard.rows import Key
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.runs.record import Record


def export(
    name: str, records: Iterable[Record], own: Container[Key] = (), unfinished: Sequence[Unfinished] = ()
) -> str:
    """The text. own, unfinished: see `dataset_pages`. Raises UsageError for a format that there is not."""
    if name not in FORMATS:
        raise unknown("format", name, FORMATS, "--format")
    return FORMATS[name](list(records), own, unfinished)


def _csv(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    return str(figures(records).to_csv(index=False))


def _json(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    """The same rows, each in a line of its own, without what it lacks."""
    table = figures(records)
    columns = [(name, table[name].tolist(), table[name].notna().tolist()) for name in table.columns]
    lines = [_line({name: values[i] for name, values, known in columns if known[i]}) for i in range(len(table))]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, allow_nan=False, ensure_ascii=False)


def _latex(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    return latex_tables(dataset_pages(records, own, unfinished))


def _html(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    return html_page(dataset_pages(records, own, unfinished))


FORMATS: Mapping[str, Callable[[Sequence[Record], Container[Key], Sequence[Unfinished]], str]] = {
    "csv": _csv,
    "json": _json,
    "latex": _latex,
    "html": _html,
}
"""csv, json: every figure, a row per result, metric and group. latex, html: tables of configurations."""

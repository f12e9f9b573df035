"""The formats by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Mapping, Sequence

from ltgen_bench.leaderboard.dataset_page import dataset_pages
from ltgen_bench.leaderboard.exports.html import html_page
from ltgen_bench.leaderboard.exports.latex import latex_tables
from ltgen_bench.leaderboard.frame import figures, identity
from ltgen_bench.leaderboard.rows import Key, ordered
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.runs.record import Record


def export(
    name: str, records: Iterable[Record], own: Container[Key] = (), unfinished: Sequence[Unfinished] = ()
) -> str:
    """The text. name: of FORMATS. own, unfinished: see `dataset_pages`."""
    return FORMATS[name](list(records), own, unfinished)


def _csv(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    return str(figures(records).to_csv(index=False))


def _json(records: Sequence[Record], own: Container[Key], unfinished: Sequence[Unfinished]) -> str:
    """A result in each line: what identifies it, named as in the CSV, and {metric: {group: figures}} as `scores`."""
    lines = [
        json.dumps(identity(record) | {"scores": record.scores}, allow_nan=False, ensure_ascii=False)
        for record in ordered(records)
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


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
"""csv: every figure, a row per result, metric and group; json: the same by result. latex, html: tables of rows."""

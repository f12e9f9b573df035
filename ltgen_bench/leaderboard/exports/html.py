"""One page of all results that sorts and filters: no server, no network, a script of its own alone."""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board
from ltgen_bench.leaderboard.captions import ranking_line
from ltgen_bench.leaderboard.claims import CLAIM
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.first_table import OWN, cost_text, heading, missing_notes, named, seeds
from ltgen_bench.leaderboard.notes import flag_notes, memorised_notes
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column, shown_metrics
from ltgen_bench.scoring.metric_table import SCOPES

_HERE = Path(__file__).parent


def html_page(pages: Sequence[DatasetPage]) -> str:
    """Of the suite's own results, images made elsewhere, and results of earlier versions."""
    style, script = (_HERE / f"page.{kind}" for kind in ("css", "js"))
    template = string.Template((_HERE / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        policy=_policy(style.read_text(encoding="utf-8"), script.read_text(encoding="utf-8")),
        style=style.read_text(encoding="utf-8"),
        script=script.read_text(encoding="utf-8"),
        options="".join(f"<option>{escape(page.dataset)}</option>" for page in pages),
        sections="\n".join(section for page in pages for section in _sections(page)),
    )


def _policy(style: str, script: str) -> str:
    """What a browser may load and run: this style and this script, nothing else and from nowhere."""
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return f"default-src 'none'; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}'"


def _sections(page: DatasetPage) -> Iterable[str]:
    for what, boards in (("", page.boards), ("images made elsewhere: ", page.elsewhere), ("earlier: ", page.earlier)):
        yield from (_section(page.dataset, f"{what}{board.title}", board) for board in boards)


def _section(dataset: str, title: str, board: Board) -> str:
    first = [c for c in (*board.distances, RECALL, ACCURACY) if any(row.values(c) for row in board.all_rows)]
    every = [Column(m.name, group, m) for m in shown_metrics(board.records) for group in SCOPES]
    known = {(c.metric, c.group) for c in first}
    more = [c for c in every if (c.metric, c.group) not in known and any(row.values(c) for row in board.all_rows)]
    claims = {id(versus.row): versus.claim for versus in board.versus}
    leading = {c: board.leaders(c, board.rows) for c in (*first, *more)}
    heads = [
        *(_head(text) for text in (("method", "seeds") if board.of_runs else ("name", "sets"))),
        *(_head(heading(c, board)) for c in first),
        *([_head("step"), _head("helps")] if claims else []),
        *(_head(heading(c, board), "more") for c in more),
    ]
    lines = []
    for row in board.all_rows:
        cells = [
            f'<th scope="row" data-value="{escape(row.name)}">{escape(named(row))}</th>',
            _cell(seeds(board, row), len(row.records)),
            *(_score(row, c, bold=row in leading[c]) for c in first),
        ]
        if claims:
            claim = claims.get(id(row))
            kind = {"yes": "text yes", "no": "text no"}.get(claim.answer if claim else "", "text")
            cells.append(_cell(cost_text(board, row), board.cost(row)))
            cells.append(_cell(claim.answer if claim else MISSING, claim.answer if claim else None, kind))
        cells += [_score(row, c, bold=row in leading[c], kind="more") for c in more]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    note = ranking_line(board.records[0], board.distance).removeprefix("- ")
    if claims:
        note += f". Helps: {CLAIM}, compared seed by seed with {board.versus[0].base.name}"
    return "\n".join(
        [
            f'<section data-page="{escape(dataset)}">',
            f"<h2>{escape(dataset)}: {escape(title)}</h2>",
            f"<p>{escape(note)}.</p>",
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(dataset)}: {escape(title)}"><table>',
            f"<thead><tr>{''.join(heads)}</tr></thead>",
            "<tbody>",
            *lines,
            f"</tbody></table></div>{_notes(board, [*first, *more])}</section>",
        ]
    )


def _notes(board: Board, columns: Sequence[Column]) -> str:
    """What marks mean, and what is missing."""
    flags = {flag for row in board.all_rows for column in columns for flag in row.flags(column)}
    said = [*flag_notes(flags), *memorised_notes(board.all_rows), *missing_notes(board)]
    if any(record.provenance.get("dirty") for record in board.records):
        said.append("† made with uncommitted changes to the suite.")
    if any(row.own for row in board.all_rows):
        said.append(f"{OWN} not published.")
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in said)}</ul>" if said else ""


def _head(text: str, kind: str = "") -> str:
    return f'<th scope="col" aria-sort="none" class="{kind}"><button type="button">{escape(text)}</button></th>'


def _score(row: Row, column: Column, *, bold: bool, kind: str = "") -> str:
    """Mean, spread and marks, sorted by the mean; below them, when asked for, each seed."""
    text = escape(row.cell(column))
    by_seed = ", ".join(f"{seed}: {value:.{column.info.decimals}f}" for seed, value in row.by_seed(column).items())
    mean = row.mean(column)
    shown = f"<strong>{text}</strong>" if bold else text
    return (
        f'<td class="{kind}" data-value="{"" if mean is None else repr(mean)}">{shown}'
        f'<span class="seeds">{escape(by_seed)}</span></td>'
    )


def _cell(text: str, value: float | str | None, kind: str = "") -> str:
    return f'<td class="{kind}" data-value="{"" if value is None else escape(str(value))}">{escape(text)}</td>'

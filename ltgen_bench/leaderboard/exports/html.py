"""One page of all results that sorts and filters: no server, no network, a script of its own alone."""

from __future__ import annotations

import base64
import hashlib
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from ltgen_bench.leaderboard.board import ACCURACY, RECALL, Board, Versus
from ltgen_bench.leaderboard.captions import ranking_line
from ltgen_bench.leaderboard.cells import OWN, cost_text, interval, memorised, missing_notes, named, seeds
from ltgen_bench.leaderboard.claims import CLAIM
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.notes import device_notes, flag_notes, mark, memorised_notes
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
    first, more = _figures(board)
    columns = _columns(board, first, more)
    note = ranking_line(board.records[0], board.distance).removeprefix("- ")
    if board.versus:
        note += f". Helps: {CLAIM}, compared seed by seed with {board.versus[0].base.name}"
    return "\n".join(
        [
            f'<section data-page="{escape(dataset)}">',
            f"<h2>{escape(dataset)}: {escape(title)}</h2>",
            f"<p>{escape(note)}.</p>",
            f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(dataset)}: {escape(title)}"><table>',
            f"<thead><tr>{''.join(_head(column.name, column.kind) for column in columns)}</tr></thead>",
            "<tbody>",
            *(f"<tr>{''.join(column.cell(row) for column in columns)}</tr>" for row in board.all_rows),
            f"</tbody></table></div>{_notes(board, first, more)}</section>",
        ]
    )


def _figures(board: Board) -> tuple[list[Column], list[Column]]:
    """Those of the first table of a page, and all others."""
    first = [c for c in (*board.distances, RECALL, ACCURACY) if any(row.values(c) for row in board.all_rows)]
    every = [Column(m.name, group, m) for m in shown_metrics(board.records) for group in SCOPES]
    known = {(c.metric, c.group) for c in first}
    return first, [
        c for c in every if (c.metric, c.group) not in known and any(row.values(c) for row in board.all_rows)
    ]


@dataclass(frozen=True)
class _Shown:
    """A column: its heading, the cell of a row, and "more" where it is shown on demand alone."""

    name: str
    cell: Callable[[Row], str]
    kind: str = ""


def _columns(board: Board, first: Sequence[Column], more: Sequence[Column]) -> list[_Shown]:
    """What decides comes first, so that it is seen without scrolling."""
    leading = {c: board.leaders(c) for c in (*first, *more)}
    versus = {id(each.row): each for each in board.versus}

    def figure(column: Column, kind: str = "") -> _Shown:
        return _Shown(
            column.title(board.records[0]),
            lambda row: _score(row, column, bold=row in leading[column], kind=kind),
            kind,
        )

    method, sets = ("method", "seeds") if board.of_runs else ("name", "sets")
    found = [_Shown(method, lambda row: f'<th scope="row" data-value="{escape(row.name)}">{escape(named(row))}</th>')]
    if versus:
        found.append(_Shown("helps", lambda row: _claim(versus.get(id(row)))))
    found.append(_Shown(sets, lambda row: _cell(seeds(board, row), len(row.records))))
    for column in first:
        found.append(figure(column))
        if versus and column == board.minority:
            name = f"{column.title(board.records[0]).removesuffix(' ↓')} less {board.versus[0].base.name}"
            found.append(_Shown(name, lambda row: _difference(versus.get(id(row)), board.minority)))
    found.append(_Shown("memorised", lambda row: _cell(memorised(row), memorised(row), "text")))
    if any(board.cost(row) is not None for row in board.all_rows):
        found.append(_Shown("step", lambda row: _cell(cost_text(board, row), board.cost(row))))
    return found + [figure(column, "more") for column in more]


def _claim(versus: Versus | None) -> str:
    answer = versus.claim.answer if versus else None
    kind = {"yes": "text yes", "no": "text no"}.get(answer or "", "text")
    why = "; ".join(versus.claim.why) if versus else ""
    return _cell(answer or MISSING, answer, kind, why)


def _difference(versus: Versus | None, column: Column) -> str:
    """The mean over seeds and its interval; below, when asked for, that of each seed."""
    found = versus.paired(column) if versus else None
    if versus is None or found is None:
        return _cell(MISSING, None)
    form = f"+.{column.info.decimals}f"
    text = escape(f"{found.mean:{form}} {interval(found, column)}".rstrip() + mark(versus.flags(column)))
    by_seed = ", ".join(f"{seed}: {difference:{form}}" for seed, difference in found.differences.items())
    return _opened(text, found.mean, by_seed, bold=versus.is_resolved(column))


def _notes(board: Board, first: Sequence[Column], more: Sequence[Column]) -> str:
    """What marks mean, of columns that are shown on demand together with these; and what is missing."""
    flags = [{flag for row in board.all_rows for c in columns for flag in row.flags(c)} for columns in (first, more)]
    said = [*flag_notes(flags[0]), *memorised_notes(board.all_rows), *missing_notes(board)]
    said += device_notes(board.all_rows)
    if any(record.provenance.get("dirty") for record in board.records):
        said.append("† made with uncommitted changes to the suite.")
    if any(row.own for row in board.all_rows):
        said.append(f"{OWN} not published.")
    items = [f"<li>{escape(text)}</li>" for text in said]
    items += [f'<li class="more">{escape(text)}</li>' for text in flag_notes(flags[1] - flags[0])]
    return f"<ul>{''.join(items)}</ul>" if items else ""


def _head(text: str, kind: str = "") -> str:
    return f'<th scope="col" aria-sort="none" class="{kind}"><button type="button">{escape(text)}</button></th>'


def _score(row: Row, column: Column, *, bold: bool, kind: str = "") -> str:
    """Mean, spread and marks, sorted by the mean; below them, when asked for, each seed."""
    by_seed = ", ".join(f"{seed}: {value:.{column.info.decimals}f}" for seed, value in row.by_seed(column).items())
    return _opened(escape(row.cell(column)), row.mean(column), by_seed, bold=bold, kind=kind)


def _opened(text: str, value: float | None, by_seed: str, *, bold: bool, kind: str = "") -> str:
    shown = f"<strong>{text}</strong>" if bold else text
    return (
        f'<td class="{kind}" data-value="{"" if value is None else repr(value)}">{shown}'
        f'<span class="seeds">{escape(by_seed)}</span></td>'
    )


def _cell(text: str, value: float | str | None, kind: str = "", said: str = "") -> str:
    """said: what the pointer over it shows."""
    title = f' title="{escape(said)}"' if said else ""
    return f'<td class="{kind}" data-value="{"" if value is None else escape(str(value))}"{title}>{escape(text)}</td>'

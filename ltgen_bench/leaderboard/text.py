"""Results for the terminal: one record, or the tables of a page, narrower than 80 columns as far as names allow."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Collection, Container, Iterable, Sequence

from tabulate import tabulate

from ltgen_bench.leaderboard.board import LEADING, Board, make_board, ranked_by
from ltgen_bench.leaderboard.captions import REFERENCES
from ltgen_bench.leaderboard.cells import OWN, missing_notes, named, seeds
from ltgen_bench.leaderboard.notes import device_notes, flag_notes, mark, memorised_notes, remark_notes
from ltgen_bench.leaderboard.other_forms import FORMS, how_computed, other_form
from ltgen_bench.leaderboard.paired import SEEDS
from ltgen_bench.leaderboard.rows import MISSING, Key, Row, ordered
from ltgen_bench.leaderboard.statistics import Column, columns, figure_name
from ltgen_bench.leaderboard.tables import tables
from ltgen_bench.leaderboard.unfinished import Unfinished
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.metric_table import ARROWS, SCOPES, metric_title, remarks
from ltgen_bench.spec.specs import RunSpec

WIDTH = 80
"""Of a terminal, in characters."""

PULLING = 3
"""Classes named of those that pull a distance up."""


def table_text(
    records: Iterable[Record], of: Collection[str], own: Container[Key] = (), unfinished: Sequence[Unfinished] = ()
) -> str:
    """The tables that hold any of these runs, with the distance that ranks alone: title, rows, notes.

    own: what is not published, which is marked. unfinished: runs without a result.
    """
    found = [table for table in tables(ordered(records)) if any(r.run_id in of for r in table.records)]
    return "\n\n".join(_board(make_board(table, own, unfinished)) for table in found)


def _board(board: Board) -> str:
    rows, columns = board.all_rows, board.distances
    leading = {column: board.leaders(column) for column in columns}
    body = [
        [named(row), seeds(board, row), *(row.cell(c) + " *" * (row in leading[c]) for c in columns)] for row in rows
    ]
    headers = [*(("method", "seeds") if board.of_runs else ("name", "sets")), *(c.group for c in columns)]
    align = ["left"] + ["right"] * (len(headers) - 1)
    table = tabulate(body, headers, tablefmt="simple", disable_numparse=True, colalign=align)
    notes = flag_notes({flag for row in rows for c in columns for flag in row.flags(c)})
    if any(leading.values()):
        best = f"* best of the rows with at least {SEEDS} {headers[1]}, and {LEADING}"
        notes.append(textwrap.fill(best, 80, subsequent_indent="  "))
    if any(row.own for row in rows):
        notes.append(f"{OWN} not published")
    notes += missing_notes(board)
    name = figure_name(board.records[0], board.distance)
    heading = f"{name} {ARROWS['lower']}, {board.title}"
    return "\n".join([heading, table, *notes, *memorised_notes(rows), *remark_notes(rows), *device_notes(rows)])


def score_text(record: Record) -> str:
    """One record for the terminal, a line per group, the distance that ranks first; narrower than 80 columns."""
    rows = []
    flags: set[str] = set()
    known_metrics = [c.metric for c in columns(record.eval.metrics, SCOPES) if c.figures(record)]
    metrics = [c for c in columns(record.eval.metrics, SCOPES[:1]) if c.metric in known_metrics]
    if (distance := ranked_by([record])) not in known_metrics and metrics:
        metrics.insert(0, Column(distance, SCOPES[0]))
    for group in SCOPES:
        of_group = [dataclasses.replace(column, group=group) for column in metrics]
        if known := [found for column in of_group if (found := column.figures(record))]:
            made = Column("FD", group).figures(record) or known[0]  # of all images; others may be of a draw from them
            rows.append([group, f"{made.get('n_gen', 0):,}", *(_cell(column, record) for column in of_group)])
            flags |= {flag for column in of_group for flag in column.flags(record)}
    suffix = f"-{record.eval.features}"  # which is in the line above
    headers = ["group", "images", *(metric_title(c.info, record.eval.features).replace(suffix, "") for c in metrics)]
    run = record.run
    which = f"seed {run.seed}" if isinstance(run, RunSpec) else "made elsewhere"
    heading = f"{run.dataset.name} {run.label} {which} ({run.run_id}), scored in {record.eval.features}"
    if against := REFERENCES.get(record.eval.reference):
        heading += f" against {against}"
    notes = [*flag_notes(flags), *memorised_notes([Row(run.label, (record,))]), *remarks(record.scores)]
    forms = [line.replace(suffix, "") for c in metrics if (line := _form(record, c))]
    return "\n".join([heading, _narrow(headers, rows), *forms, *notes])


def _narrow(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, or several where it would be wider than a terminal; each with the first two columns."""

    def table(columns: Sequence[int]) -> str:
        align = ["left", *["right"] * (len(columns) - 1)]
        header, *body = ([line[c] for c in columns] for line in (headers, *rows))
        return str(tabulate(body, header, tablefmt="simple", disable_numparse=True, colalign=align))

    parts = [[0, 1]]
    for column in range(2, len(headers)):
        if len(parts[-1]) > 2 and max(map(len, table([*parts[-1], column]).splitlines())) > WIDTH:
            parts.append([0, 1])
        parts[-1].append(column)
    return "\n\n".join(table(columns) for columns in parts)


def _form(record: Record, column: Column) -> str:
    """How a figure was computed, and its value in another form; empty where there is nothing to say."""
    said = [how_computed([record], column.info)]
    if other := other_form([record], column.info):
        said.append(f"{FORMS[column.metric].other}: {other}")
    return f"{figure_name(record, column.info)}: {'; '.join(said)}" if any(said) else ""


def main_score(records: Collection[Record]) -> str:
    """The distance overall of a run as it was scored first, and how often it was scored besides; empty without one."""
    if not records:
        return ""
    first = min(records, key=lambda record: str(record.provenance.get("finished", "")))
    more = f", {len(records) - 1} more scored" if len(records) > 1 else ""
    distance = ranked_by([first])
    return f"{figure_name(first, distance)} {_cell(Column(distance, 'overall'), first)}{more}"


def pull_text(record: Record) -> str:
    """Which classes make the distances of a record what they are, a line per group; empty when that is not known."""
    classes = record.scores.get(figure_name(record, "class-pull"), {})
    lines = []
    for group, ids in (("overall", [int(c) for c in classes]), *record.eval.groups.items()):
        pulls = {
            figures["class"]: figures["value" if group == "overall" else "within_group"]
            for c in ids
            if (figures := classes.get(str(c)))
        }
        worst = [name for name in sorted(pulls, key=lambda name: -pulls[name]) if pulls[name] > 0][:PULLING]
        if worst:
            lines.append([group, ", ".join(f"{name} {pulls[name]:+.2f}" for name in worst)])
    if not lines:
        return ""
    what = "classes whose images pull the distance up most (mean influence, to first order):"
    return f"{what}\n{tabulate(lines, tablefmt='plain', disable_numparse=True)}"


def _cell(column: Column, record: Record) -> str:
    found = column.figures(record)
    return f"{found['value']:.{column.info.decimals}f}{mark(column.flags(record))}" if found else MISSING

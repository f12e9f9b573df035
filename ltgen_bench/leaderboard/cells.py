"""What names and cells say, the same in every form: pages, terminal, exports and pictures."""

from __future__ import annotations

from collections.abc import Iterable

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.paired import Paired
from ltgen_bench.leaderboard.rows import MISSING, Row
from ltgen_bench.leaderboard.statistics import Column, figure_name, figures_of
from ltgen_bench.scoring.metric_table import SCOPES

OWN = "◆"
"""Behind a row with results that are not published."""


def named(row: Row) -> str:
    """With its marks."""
    dirty = any(r.provenance.get("dirty") for r in row.records)
    return " ".join([row.name, *(["†"] if dirty else []), *([OWN] if row.own else [])])


def seeds(board: Board, row: Row) -> str:
    """How many have a result, of how many that should; and how many of these are not published."""
    n, missing = len(row.records), len(board.missing(row))
    text = f"{n} of {n + missing}" if missing else str(n)
    return f"{text} ({len(row.own)} {OWN})" if 0 < len(row.own) < n else text


def missing_notes(board: Board) -> list[str]:
    """Of each row, the seeds without a result and why; then runs that have no row."""
    notes = []
    for row in board.all_rows:
        if missing := board.missing(row):
            notes.append(f"{row.name} without {', '.join(f'seed {seed} ({why})' for seed, why in missing.items())}.")
    return notes + [f"{one.run.label} without seed {one.run.seed} ({one.why})." for one in board.without_result]


def memorised(row: Row) -> str:
    """The groups whose images are copies of training images, at any seed."""
    found = [figures_of(record, "memorised", group) for record in row.records for group in SCOPES]
    if not any(found):
        return MISSING
    copied = [g for g in SCOPES if any("flag" in figures_of(record, "memorised", g) for record in row.records)]
    return ", ".join(copied) or "no"


def cost_text(board: Board, row: Row) -> str:
    cost = board.cost(row)
    return MISSING if cost is None else f"{cost:.2f}x"


def difference(found: Paired, column: Column) -> str:
    """`-3.67 [-6.53, -0.80], -28 %, 3/3`."""
    text = f"{found.mean:+.{column.info.decimals}f} {interval(found, column)}".rstrip()
    if column.info.better == "lower" and found.relative is not None:
        text += f", {100 * found.relative:+.0f} %"
    return f"{text}, {found.wins}/{found.n}"


def interval(found: Paired, column: Column) -> str:
    """`[-6.53, -0.80]`; empty for a single seed, which has none."""
    ends = [f"{end:+.{column.info.decimals}f}" for end in found.interval or ()]
    return f"[{', '.join(ends)}]" if ends else ""


def class_metric(board: Board) -> str | None:
    """The distance that is known of each class of all records, if any: one that few images do not bias, where there
    is a choice."""
    known = [m for m in ("class-FD64", "class-KID") if all(figures_of(record, m, "0") for record in board.records)]
    return min(known, key=lambda metric: bool(class_flags(board.all_rows, metric)), default=None)


def class_flags(rows: Iterable[Row], metric: str) -> set[str]:
    """What the scorer warns of at any class."""
    found = [record.scores.get(figure_name(record, metric), {}) for row in rows for record in row.records]
    return {str(figures["flag"]) for by_class in found for figures in by_class.values() if "flag" in figures}


def class_names(board: Board) -> dict[int, str]:
    """By class id, where a record has them."""
    for record in board.records:
        pulls = {g: f for m, groups in record.scores.items() if m.startswith("class-pull") for g, f in groups.items()}
        if pulls:
            return {int(c): str(figures["class"]) for c, figures in pulls.items()}
    return {}

"""Tables for a paper: LaTeX with booktabs, one table per board."""

from __future__ import annotations

import statistics
import unicodedata
from collections.abc import Iterable, Sequence

from ltgen_bench.leaderboard.board import ACCURACY, BASELINE, LEADING, RECALL, Board, Versus
from ltgen_bench.leaderboard.captions import ranking_line
from ltgen_bench.leaderboard.cells import cost_text, interval, memorised, named, seeds
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.notes import device_notes, flag_notes, mark
from ltgen_bench.leaderboard.paired import LEVEL, SEEDS
from ltgen_bench.leaderboard.rows import Row
from ltgen_bench.leaderboard.statistics import Column

_HEAD = r"""% Made by: ltgen-bench leaderboard --format latex
% In the preamble: \usepackage{booktabs,graphicx}
"""

MISSING = "--"


def latex_tables(pages: Iterable[DatasetPage]) -> str:
    """Of today's results and of images made elsewhere: scores, then paired differences from the baseline."""
    parts = [_HEAD]
    for page in pages:
        for board in (*page.boards, *page.elsewhere):
            parts.append(_scores(page.dataset, board))
            if board.versus:
                parts.append(_differences(page.dataset, board))
    return "\n".join(parts)


def _scores(dataset: str, board: Board) -> str:
    columns = [c for c in (*board.distances, RECALL, ACCURACY) if any(row.values(c) for row in board.all_rows)]
    leading = {c: board.leaders(c) for c in columns}
    names = ("method", "seeds") if board.of_runs else ("name", "sets")
    lines = [
        [
            escaped(named(row)),
            escaped(seeds(board, row)),
            *(_cell(row, c, bold=row in leading[c]) for c in columns),
            escaped(memorised(row)),
            escaped(cost_text(board, row)),
        ]
        for row in board.all_rows
    ]
    flags = {flag for row in board.all_rows for c in columns for flag in row.flags(c)}
    caption = [
        f"{dataset}, {board.title}.",
        f"R{ranking_line(board.records[0], board.distance).removeprefix('- r')}.",
        f"Mean and standard deviation over seeds; bold: the best of at least {SEEDS} seeds, and {LEADING}.",
        *flag_notes(flags),
        *(["‡ memorised training images, not ranked."] if "memorised" in flags else []),
        "Memorised: the groups that are copies of training images. Step: time of a training step, the baseline's as 1.",
    ]
    heads = [*map(escaped, names), *(_head(c, board) for c in columns), "memorised", "step"]
    return _table(" ".join(caption), "ll" + "r" * len(columns) + "lr", heads, lines)


def _differences(dataset: str, board: Board) -> str:
    columns = [c for c in (*board.distances, RECALL, ACCURACY) if any(v.paired(c) for v in board.versus)]
    lines = [
        [escaped(named(versus.row)), *(_difference(versus, c) for c in columns), versus.claim.answer]
        for versus in board.versus
    ]
    caption = (
        f"{dataset}, {board.title}: difference from {BASELINE}, paired by seed, with the {LEVEL:.0%} t interval and "
        "the seeds that are better; bold where resolved. Last: helps the minority and does not hurt the majority."
    )
    caption = " ".join([caption, *device_notes(board.all_rows)])
    heads = ["method", *(_head(c, board) for c in columns), "helps"]
    return _table(caption, "l" + "r" * len(columns) + "l", heads, lines)


def _table(caption: str, layout: str, heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [" & ".join(cells) + r" \\" for cells in lines]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
            rf"\caption{{{escaped(caption)}}}",
            r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
            rf"\begin{{tabular}}{{{layout}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}}",
            r"\end{table}",
            "",
        ]
    )


def _head(column: Column, board: Board) -> str:
    """In two lines: of a metric and a group."""
    metric, _, group = column.title(board.records[0]).partition(f" {column.group}")
    return _stacked(escaped(metric), escaped(f"{column.group}{group}"))


def _stacked(*lines: str) -> str:
    r"""One below the other; not \\ and a line's end, which ends a row."""
    return r"\shortstack[r]{" + r" \\ ".join(lines) + "}"


def _cell(row: Row, column: Column, *, bold: bool) -> str:
    if row.mean(column) is None:
        return MISSING
    values, form = row.values(column), f".{column.info.decimals}f"
    text = f"{statistics.fmean(values):{form}}"
    if bold:
        text = rf"\mathbf{{{text}}}"
    if len(values) > 1:
        text += rf" \pm {statistics.stdev(values):{form}}"
    return f"${text}$" + escaped(mark(row.flags(column)))


def _difference(versus: Versus, column: Column) -> str:
    paired = versus.paired(column)
    if paired is None:
        return MISSING
    mean = f"{paired.mean:+.{column.info.decimals}f}"
    text = rf"\mathbf{{{mean}}}" if versus.is_resolved(column) else mean
    text = f"${text}$ {paired.wins}/{paired.n}{escaped(mark(versus.flags(column)))}"
    ends = interval(paired, column)
    return _stacked(text, f"${ends}$") if ends else text


_SPECIAL = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": "$|$", '"': "''", "±": r"$\pm$", "–": "--", "…": r"\dots{}", "·": r"$\cdot$"},
    **{"↓": r"$\downarrow$", "↑": r"$\uparrow$", "†": r"$\dagger$", "‡": r"$\ddagger$", "◆": r"$\diamond$"},
    **{"△": r"$\triangle$", "⚠": r"\textbf{!}"},
}


def escaped(text: str) -> str:
    """As LaTeX prints it, in any engine: letters that pdfLaTeX may not know are `?`."""
    return "".join(_SPECIAL.get(c) or (c if c.isascii() or _is_latin(c) else "?") for c in text if c.isprintable())


def _is_latin(character: str) -> bool:
    """With an accent: what T1 fonts have."""
    return "WITH" in (name := unicodedata.name(character, "")) and name.startswith("LATIN") and ord(character) < 0x180

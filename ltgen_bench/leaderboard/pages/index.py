"""The index of a leaderboards folder: each page in a line, with what it says and its first picture.

It is a section of README.md between two marks, so that a folder can say more of itself around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.claims import CLAIM, Answer
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.statistics import short_name

BEGIN = "<!-- index: made by ltgen-bench leaderboard -->"
END = "<!-- end of the index -->"


def index_text(
    readme: Path, pages: Sequence[DatasetPage], pictures: Mapping[str, str], others: Mapping[str, str]
) -> str | None:
    """What README.md is to hold; None where there is nothing to list, or a file of somebody's own without the marks.

    pictures: the markdown line of the first picture of each page, by dataset. others: headings of further pages, by
    their places.
    """
    before, after = "# Leaderboards\n\n", "\n"
    if readme.exists():
        text = readme.read_text(encoding="utf-8")
        before, begin, rest = text.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            return None
    elif not pages:
        return None
    lines = [_page(page, pictures.get(page.dataset, "")) for page in pages]
    known = {f"{page.dataset}.md" for page in pages}
    listed = [f"- [{heading}]({place})\n" for place, heading in sorted(others.items()) if place not in known]
    listed += ["\n"] if listed else []
    return f"{before}{BEGIN}\n\n{''.join(lines)}{''.join(listed)}{END}{after}"


def _page(page: DatasetPage, picture: str) -> str:
    link = f"[{page.dataset}]({page.dataset}.md)"
    if not page.sections:
        what = "images made elsewhere alone" if page.elsewhere else "results of earlier versions alone"
        return f"**{link}**: {what}.\n\n"
    text = f"**{link}**: {summary(page.sections[0].board)}\n\n"
    return text + (f"[{picture}]({page.dataset}.md)\n\n" if picture else "")


def summary(board: Board) -> str:
    """What the main table of a page says, in a line."""
    rows = board.all_rows
    seeds = sorted({len(row.records) for row in rows})
    each = " to ".join(map(str, seeds[:: max(1, len(seeds) - 1)]))
    parts = [f"{board.title}: {len(rows)} row{'s' * (len(rows) != 1)} of {each} seed{'s' * (each != '1')}."]
    if leading := board.leaders(board.minority):
        name = short_name(board.records[0], board.distance)
        best = min(leading, key=lambda row: row.mean(board.minority) or 0.0)
        shown = [best, *([board.baseline] if board.baseline and board.baseline is not best else [])]
        listed = ", ".join(f"`{row.name}` {row.cell(board.minority)}" for row in shown)
        others = f"; {len(leading) - 1} more lead with the least" if len(leading) > 1 else ""
        parts.append(f"Least {name} of the minority: {listed}{others}.")
    if board.versus:
        parts.append(f"{CLAIM[0].upper()}{CLAIM[1:]}: {_answers(board)}.")
    finished = max(str(record.provenance.get("finished", ""))[:10] for record in board.records)
    return " ".join([*parts, *([f"Newest result: {finished}."] if finished else [])])


def _answers(board: Board) -> str:
    """`yes 2 (cm, cm+cbdm), no 1 (cb), not resolved 6`."""
    answers: Iterable[Answer] = ("yes", "no", "not resolved")
    found = {answer: [v.row.name for v in board.versus if v.claim.answer == answer] for answer in answers}
    named = {a: f" ({', '.join(f'`{name}`' for name in names)})" * (a != "not resolved") for a, names in found.items()}
    return ", ".join(f"{answer} {len(names)}{named[answer]}" for answer, names in found.items() if names)


def other_pages(folder: Path) -> dict[str, str]:
    """Headings of the pages of a folder that are not made of records (speed, papers, claims), by their places.

    reading-*.md are no pages: words of one's own, which the pages hold.
    """
    found = [path for path in folder.glob("*.md") if path.name != "README.md"]
    found = [path for path in [*found, *folder.glob("claims/*.md")] if not path.name.startswith("reading-")]
    return {path.relative_to(folder).as_posix(): heading_of(path.read_text(errors="replace")) for path in found}


def heading_of(text: str) -> str:
    found = re.search(r"^# (.+)$", text, re.MULTILINE)
    return found[1] if found else "untitled"

"""All pictures of a page, by the board that each belongs to."""

from __future__ import annotations

from collections.abc import Sequence

from ltgen_bench.leaderboard.board import BASELINE, Board
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.kept import Kept
from ltgen_bench.leaderboard.pictures.forest import forest
from ltgen_bench.leaderboard.pictures.over import loss_curves, over_setting, per_class
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.leaderboard.pictures.samples import samples
from ltgen_bench.leaderboard.pictures.trade_off import trade_off
from ltgen_bench.leaderboard.sweeps import Section
from ltgen_bench.runs.record import Record
from ltgen_bench.spec.serialise import digest, identity

FOLDER = "pictures"
"""Beside the page."""


def pictures_of(page: DatasetPage, kept: Kept) -> dict[str, list[Picture]]:
    """{title of a board: its pictures}, of today's results alone; where there is something to compare."""
    rows = (row for section in page.sections for board in (section.board, *_swept(section)) for row in board.all_rows)
    order = sorted({row.name for row in rows if row.name != BASELINE})
    return {
        section.board.title: _of_section(page.dataset, section, kept, [*order, BASELINE]) for section in page.sections
    }


def _swept(section: Section) -> list[Board]:
    return [board for sweep in (section.omega, section.steps) if sweep for board in sweep.boards.values()]


def _of_section(dataset: str, section: Section, kept: Kept, order: Sequence[str]) -> list[Picture]:
    """order: see `style.places`."""
    board = section.board
    which = _short_id(board.records[0])

    def name(kind: str) -> str:
        return f"{dataset}-{which}-{kind}"

    found = [
        trade_off(name("trade-off"), dataset, board, order),
        forest(name("differences"), dataset, board),
        per_class(name("classes"), dataset, board, order),
        samples(name("samples"), dataset, board, kept),
        over_setting(name("guidance"), dataset, section.omega, board, order) if section.omega else None,
        over_setting(name("steps"), dataset, section.steps, board, order) if section.steps else None,
        loss_curves(name("losses"), dataset, board, kept, order),
    ]
    return [picture for picture in found if picture is not None]


def _short_id(record: Record) -> str:
    """Of what all results of a board have in common; settings that are added later change it as little as ids."""
    run = {name: value for name, value in identity(record.run).items() if name not in ("methods", "seed")}
    return digest([run, record.eval_id])[:6]

"""All pictures of a page, by the board that each belongs to."""

from __future__ import annotations

from collections.abc import Mapping

from ltgen_bench.leaderboard.board import Board
from ltgen_bench.leaderboard.dataset_page import DatasetPage
from ltgen_bench.leaderboard.kept import Curve, Kept, Strip
from ltgen_bench.leaderboard.pictures.forest import forest
from ltgen_bench.leaderboard.pictures.over import loss_curves, over_setting, per_class
from ltgen_bench.leaderboard.pictures.picture import Picture
from ltgen_bench.leaderboard.pictures.samples import samples
from ltgen_bench.leaderboard.pictures.trade_off import trade_off
from ltgen_bench.leaderboard.sweeps import Section
from ltgen_bench.leaderboard.tables import settings
from ltgen_bench.spec.serialise import digest

FOLDER = "pictures"
"""Beside the page."""


def pictures_of(page: DatasetPage, kept: Kept) -> dict[str, list[Picture]]:
    """{title of a board: its pictures}, of today's results alone; where there is something to compare."""
    return {section.board.title: _of_section(page.dataset, section, kept) for section in page.sections}


def _of_section(dataset: str, section: Section, kept: Kept) -> list[Picture]:
    board = section.board

    def name(kind: str) -> str:
        return f"{dataset}-{digest(settings(board.records[0]))[:6]}-{kind}"

    strips, curves = _kept(board, kept)
    found = [
        trade_off(name("trade-off"), dataset, board),
        forest(name("differences"), dataset, board),
        per_class(name("classes"), dataset, board),
        samples(name("samples"), dataset, board, strips),
        over_setting(name("guidance"), dataset, section.omega, board) if section.omega else None,
        over_setting(name("steps"), dataset, section.steps, board) if section.steps else None,
        loss_curves(name("losses"), dataset, board, curves),
    ]
    return [picture for picture in found if picture is not None]


def _kept(board: Board, kept: Kept) -> tuple[Mapping[str, dict[int, Strip]], Mapping[str, dict[int, Curve]]]:
    """Images and losses of each row, by name and seed."""
    strips: dict[str, dict[int, Strip]] = {}
    curves: dict[str, dict[int, Curve]] = {}
    for row in board.all_rows:
        for record in row.records:
            if (strip := kept.strip(record)) is not None:
                strips.setdefault(row.name, {})[record.run.seed] = strip
            if curve := kept.curve(record):
                curves.setdefault(row.name, {})[record.run.seed] = curve
    return strips, curves

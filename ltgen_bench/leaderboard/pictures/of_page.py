"""All pictures of a page, by the board that each belongs to."""

from __future__ import annotations

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
    return {section.board.title: _of_section(page.dataset, section, kept) for section in page.sections}


def _of_section(dataset: str, section: Section, kept: Kept) -> list[Picture]:
    board = section.board
    which = _short_id(board.records[0])

    def name(kind: str) -> str:
        return f"{dataset}-{which}-{kind}"

    found = [
        trade_off(name("trade-off"), dataset, board),
        forest(name("differences"), dataset, board),
        per_class(name("classes"), dataset, board),
        samples(name("samples"), dataset, board, kept),
        over_setting(name("guidance"), dataset, section.omega, board) if section.omega else None,
        over_setting(name("steps"), dataset, section.steps, board) if section.steps else None,
        loss_curves(name("losses"), dataset, board, kept),
    ]
    return [picture for picture in found if picture is not None]


def _short_id(record: Record) -> str:
    """Of what all results of a board have in common; settings that are added later change it as little as ids."""
    run = {name: value for name, value in identity(record.run).items() if name not in ("methods", "seed")}
    return digest([run, record.eval_id])[:6]

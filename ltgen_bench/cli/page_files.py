"""Writes pages and pictures, or says which are not what they should be."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ltgen_bench.leaderboard.pages.page_file import PageFile
    from ltgen_bench.leaderboard.pictures.picture import PictureFile


def write_or_check(made: Iterable[PageFile | PictureFile], left: Iterable[Path], *, check: bool) -> bool:
    """Whether a file was not what is made of its source now, or is left over. left: pictures that belong to no page."""
    outdated = False
    for page in made:
        current = page.current
        outdated |= not current
        if check:
            said = "is up to date" if current else f"is not what {page.source} give; run ltgen-bench leaderboard"
            print(f"{page.path} {said}")
        elif not current:
            page.write()
            print(f"wrote {page.path}")
    for path in left:
        outdated = True
        if check:
            print(f"{path} belongs to no page; run ltgen-bench leaderboard")
        else:
            path.unlink()
            print(f"removed {path}, which belongs to no page")
    return outdated

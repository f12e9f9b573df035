"""`probe theory`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ltgen_bench.cli.options import BOARDS
from ltgen_bench.cli.paths import path_option
from ltgen_bench.cli.probe import probe
from ltgen_bench.errors import UsageError

Claims = Annotated[
    Path | None,
    path_option(
        "--page", "Folder of the page, made if it is not there; default: claims in leaderboards.", holds="folder"
    ),
]


def claims_folder(named: Path | None) -> Path:
    """Where the page goes. Raises UsageError when no folder is named and there are no leaderboards here."""
    from ltgen_bench.probes.claims_records import FOLDER

    if named is None and not BOARDS.is_dir():
        raise UsageError(
            f"there is no {BOARDS} in {Path.cwd()}: name a folder for the page, also a new one, with --page"
        )
    return named or BOARDS / FOLDER


@probe.command(
    epilog="""Examples:

`ltgen-bench probe theory`

`ltgen-bench probe theory --page elsewhere`"""
)
def theory(page: Claims = None) -> None:
    """Check CM's theorems numerically: formulas beside draws, in theory.md and theory.png.

    Needs no run and takes seconds. What `probe dominance` measured and `probe page` took is in it, too.
    """
    from ltgen_bench.probes.claims_records import left_out, taken
    from ltgen_bench.probes.theory_page import measured_of, write_page

    folder = claims_folder(page)
    for line in left_out(folder):
        print(line)
    for path in write_page(folder, measured_of(taken(folder))):
        print(path)

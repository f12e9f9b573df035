"""`probe theory`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from ltgen_bench.cli.paths import path_option
from ltgen_bench.cli.probe import probe

CLAIMS = Path("leaderboards/claims")


@probe.command(
    epilog="""Examples:

`ltgen-bench probe theory`

`ltgen-bench probe theory --page elsewhere`"""
)
def theory(
    page: Annotated[
        Path, path_option("--page", "Folder of the page, made if it is not there.", holds="folder")
    ] = CLAIMS,
) -> None:
    """Check CM's theorems numerically: formulas beside draws, in theory.md and theory.png.

    Needs no run and takes seconds. What `probe dominance` measured and `probe page` took is in it, too.
    """
    from ltgen_bench.probes.claims_page import measured, taken
    from ltgen_bench.probes.theory_page import write_page

    for path in write_page(page, measured(taken(page))):
        print(path)

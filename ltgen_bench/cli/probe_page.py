"""`probe page`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.options import RUNS, RunsDir
from ltgen_bench.cli.probe import probe
from ltgen_bench.cli.probe_theory import Claims, claims_folder


@probe.command(
    epilog="""Examples:

`ltgen-bench probe page 3f2a 90c1`

`ltgen-bench probe page`"""
)
def page(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN...]", help="Runs that were probed: their ids' start, or folders."),
    ] = None,
    page: Claims = None,
    runs: RunsDir = RUNS,
) -> None:
    """Make the page of claims from what was probed, of these runs and of those that it had before.

    What probes found is copied into probes/ beside the page, which is made from there. Your own words go into
    reading-pruning.md, and so on for reserve, dominance, width and theory, there.
    """
    from ltgen_bench.probes import claims_page, theory_page
    from ltgen_bench.runs.run_folder import find_run

    folder = claims_folder(page)
    for path in claims_page.take(folder, [find_run(runs, name).path for name in names or ()]):
        print(f"took {path}")
    for line in claims_page.left_out(folder):
        print(line)
    measured = claims_page.measured(claims_page.taken(folder))
    for path in [*theory_page.write_page(folder, measured), *claims_page.write_page(folder)]:
        print(f"wrote {path}")

"""`probe page`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.options import RUNS, RunsDir
from ltgen_bench.cli.page_files import write_or_check
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
    from ltgen_bench.probes import claims_page, claims_records, theory_page
    from ltgen_bench.runs.run_folder import find_run

    folder = claims_folder(page)
    for path in claims_records.take(folder, [find_run(runs, name).path for name in names or ()]):
        print(f"took {path}")
    for line in claims_records.left_out(folder):
        print(line)
    for path in theory_page.write_page(folder, theory_page.measured_of(claims_records.taken(folder))):
        print(f"wrote {path}")
    made = claims_page.pages(folder)
    write_or_check(made, claims_page.left_over(made, folder), check=False)

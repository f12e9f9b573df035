"""`compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from ltgen_bench.cli.app import app
from ltgen_bench.cli.options import BOARDS, RUNS, Boards, RunsDir

Name = "The start of a run's id, a method (cm+cbdm), a row's name, or a folder of results."


@app.command(
    epilog="""Examples:

`ltgen-bench compare cm ddpm`

`ltgen-bench compare 3f2a 90c1`

`ltgen-bench compare 'cm (cm.w_div=1.0)' cm --runs /scratch/runs`

`ltgen-bench compare leaderboards /scratch/runs --json`"""
)
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=Name, show_default=False)],
    b: Annotated[str, typer.Argument(metavar="B", help="What A is compared with: the same.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with the figures of each seed.")] = False,
    runs: RunsDir = RUNS,
    folder: Boards = BOARDS,
) -> None:
    """Compare two runs, methods or folders of results, seed by seed.

    Runs and methods are looked for in the folder of runs and among the published results; what is not published comes
    first.
    """
    import json

    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.compare import compare as compare_
    from ltgen_bench.leaderboard.comparison_text import comparisons_text
    from ltgen_bench.leaderboard.sides import sides

    (first, second), problems = sides([a, b], runs, folder)
    found = compare_(first, second)
    if as_json:
        print(json.dumps([comparison.as_json() for comparison in found], indent=1))
    else:
        print(comparisons_text(found, (a, b)))
    complain(problems)

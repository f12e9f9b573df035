"""What is printed and written when runs have ended."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from ltgen_bench.runs.job import ExternalJob, Job
    from ltgen_bench.runs.record import Record


def show_results(out: Console, finished: Sequence[tuple[Job | ExternalJob, Record]], runs: Path) -> list[str]:
    """Print what is done, one score or the tables of a grid, and rebuild the pages of this runs folder.

    What its runs were scored by besides stands on the pages alone.

    Returns problems with its files.
    """
    from ltgen_bench.cli.options import BOARDS
    from ltgen_bench.cli.show import complain
    from ltgen_bench.leaderboard.beside import beside
    from ltgen_bench.leaderboard.folder import published
    from ltgen_bench.leaderboard.pages.of_dataset import build
    from ltgen_bench.leaderboard.standing import standing
    from ltgen_bench.leaderboard.text import score_text, table_text
    from ltgen_bench.storage.atomic_files import write_text

    of_runs = beside([], runs)
    records, problems = of_runs.records, of_runs.problems
    if len(finished) == 1:
        ((work, record),) = finished
        picture = work.run_folder.picture(record.eval)
        out.print(f"\n{score_text(record)}\nsamples: {picture if picture.exists() else picture.with_suffix('.npz')}")
        if where := standing(record, [*published(BOARDS, record.run.dataset.name)[0], *records]):
            out.print(where)
    pages = build(records, unfinished=of_runs.unfinished)
    for dataset in dict.fromkeys(record.run.dataset.name for _, record in finished):
        if len(finished) > 1:
            ours, evals = {record.run_id for _, record in finished}, {record.eval_id for _, record in finished}
            of_dataset = [r for r in records if r.run.dataset.name == dataset and r.eval_id in evals]
            out.print(f"\n{dataset}: {table_text(of_dataset, ours, unfinished=of_runs.unfinished)}")
        path = runs / f"{dataset}.md"
        try:
            write_text(path, pages[dataset])
        except OSError as error:
            out.print(f"\nno leaderboard {path}: {error.strerror}")
        else:
            out.print(f"\nleaderboard: {path}")
    complain(problems)
    return problems

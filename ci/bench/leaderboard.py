"""What 10,000 results cost: read and checked, made into pages, and as a table to work with.

    python ci/bench/leaderboard.py [--quick] [--write leaderboards/bench-leaderboard]

Each part is done in a process of its own, whose peak memory is measured. Two minutes on two cores.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from ltgen_bench import ROOT, load_results
from ltgen_bench.leaderboard import folder as boards
from ltgen_bench.leaderboard import versions
from ltgen_bench.leaderboard.exports.formats import export
from ltgen_bench.runs.record import Record, read_records
from ltgen_bench.spec.specs import PROTOCOL, EvalSpec, MethodSpec, RunSpec

DATASETS, OMEGAS, ROWS = 4, (0.0, 0.5), 25
"""With 50 seeds of each row they make 10,000 results."""
SCORES = max(versions.SCORES) + 1
"""Today's score version."""


def write_records(folder: Path, seeds: int) -> int:
    """Records like a stored one, with other figures; how many."""
    stored, _ = read_records(ROOT / "leaderboards" / "results" / "digitslt" / "ddpm", "*.json")
    draws, written = random.Random(0), 0
    for data, omega, row, seed in itertools.product(range(DATASETS), OMEGAS, range(ROWS), range(seeds)):
        record = _like(stored[0], f"digitslt{data}", omega, f"method{row}" if row else "ddpm", seed)
        scores = {
            metric: {
                group: figures | {"value": figures["value"] * draws.uniform(0.9, 1.1)} for group, figures in of.items()
            }
            for metric, of in record.scores.items()
        }
        record = dataclasses.replace(record, scores=scores)
        name = f"{record.run_id}-{record.eval_id}.json"
        record.write(folder / "results" / record.run.dataset.name / record.run.method / name)
        written += 1
    return written


def _like(record: Record, dataset: str, omega: float, method: str, seed: int) -> Record:
    assert isinstance(record.run, RunSpec)
    assert isinstance(record.eval, EvalSpec)
    run = dataclasses.replace(
        record.run,
        dataset=dataclasses.replace(record.run.dataset, name=dataset),
        methods=(MethodSpec(method, 1, {}),),
        seed=seed,
        protocol=PROTOCOL,
    )
    sample = dataclasses.replace(record.eval.sample, omega=omega)
    scored = dataclasses.replace(record.eval, sample=sample, score_version=SCORES)
    return dataclasses.replace(record, run=run, eval=scored)


def read(folder: Path) -> None:
    boards.published(folder)


def make_pages(folder: Path) -> None:
    """As `ltgen-bench leaderboard --check` does: also what pictures are drawn from."""
    records, problems = boards.published(folder)
    made, more = boards.all_pages(records, folder)
    assert not problems + more
    assert not any(page.current for page in made)


def as_frame(folder: Path) -> None:
    load_results(folder)


def as_html(folder: Path) -> None:
    export("html", boards.published(folder)[0])


PARTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "read": ("read and checked", read),
    "pages": ("the same, and made into pages", make_pages),
    "frame": ("read and checked, as a DataFrame (`load_results`)", as_frame),
    "html": ("read and checked, as `--format html`", as_html),
}


def measure(part: str, folder: Path) -> dict[str, float]:
    """In a new process: seconds, of those of the processor, and peak memory in MiB; imports are not counted."""
    words = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    found: dict[str, float] = json.loads(said.splitlines()[-1])
    return found


def do_part(part: str, folder: Path) -> None:
    with TemporaryDirectory() as small:  # imports, and what is looked up once
        write_records(Path(small), 1)
        PARTS[part][1](Path(small))
    began, worked = time.perf_counter(), time.process_time()
    PARTS[part][1](folder)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "processor": time.process_time() - worked, "peak": peak}))


def report(quick: bool) -> Iterator[str]:
    from common import machine  # imports torch, which the parts do without

    with TemporaryDirectory() as folder:
        number = write_records(Path(folder), 1 if quick else 50)
        yield "# What 10,000 results cost\n"
        yield "Written by `python ci/bench/leaderboard.py`.\n"
        yield f"{machine('pandas')}\n"
        yield f"{number:,} results of 86 figures each: {DATASETS} data sets, {len(OMEGAS)} omegas, {ROWS} methods.\n"
        yield "| | s | s of the processor | peak memory |"
        yield "|---|---|---|---|"
        for part, (what, _) in PARTS.items():
            found = measure(part, Path(folder))
            yield f"| {what} | {found['seconds']:.1f} | {found['processor']:.1f} | {found['peak']:,.0f} MiB |"
        yield "\nTargets: pages in 10 s, a DataFrame in 10 s and 2 GiB."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--quick", action="store_true", help="200 results: only show that everything works")
    parser.add_argument("--write", type=Path, help="file to write, without .md")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        do_part(options.part, options.folder)
        return
    lines = []
    for line in report(options.quick):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        options.write.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

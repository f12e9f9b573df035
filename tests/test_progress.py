"""What a person sees while runs go on: plain lines when piped, one live line on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ltgen_bench.cli.progress import Terminal, duration
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Job

HALF = {"stage": "training", "done": 250, "total": 500, "time": 0.0}
FIGURES = {"loss": 0.25, "images_per_s": 1234.5, "seconds_left": 75.0}


@pytest.fixture(scope="module")
def job() -> Job:
    return plan(Request(["cm"], ["digitslt"]), Path("/a/folder/with/a/long/name/so/that/lines/are/longer/than/80"))[0]


def shown(job: Job, *, terminal: bool) -> str:
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=80, highlight=False, markup=False, soft_wrap=True)
    with Terminal(console, 2) as show:
        show.started(job)
        show.progress(job, HALF | {"done": 0})
        show.progress(job, HALF | FIGURES)
        show.progress(job, HALF | {"stage": "sampling", "done": 499.5, "seconds_left": 3.2})
        show._bars.refresh()
        show.ended(job, "failed", "loss became nan [at step 3]")
    return out.getvalue()


def test_piped_output_is_a_line_per_stage_and_never_cut(job: Job) -> None:
    assert shown(job, terminal=False).splitlines() == [
        f"[1/2] digitslt cm seed 0: {job.folder}",
        "  training 0/500",
        "  sampling 499/500  3 s left",  # the line between came too soon after the first
        "  failed: loss became nan [at step 3]",
        f"  log: {job.folder}/log.txt",
    ]


def test_a_long_stage_says_how_far_it_is_now_and_then(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltgen_bench.cli.progress.PLAIN_EVERY", -1.0)
    assert "\n  training 250/500  loss 0.2500  1,234 images/s  1 min 15 s left\n" in shown(job, terminal=False)


def test_a_terminal_has_a_live_line_below_the_lines_that_stay(job: Job) -> None:
    out = shown(job, terminal=True)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out)
    assert re.search(r"sampling ━+\S* 499/500 3 s left", plain)
    assert f"[1/2] digitslt cm seed 0: {job.folder}\n" in plain  # not wrapped at the edge
    assert f"\r  log: {job.folder}/log.txt\n" in plain


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (75, "1 min 15 s"), (7300, "2 h 1 min"), (200_000, "2.3 days")]
)
def test_durations_are_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words

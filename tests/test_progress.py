"""What a person sees while runs go on: plain lines when piped, one live line on a terminal."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from ltgen_bench.cli.progress import Terminal, console, duration, figures_of, work_of
from ltgen_bench.planning.evaluations import sweep
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
    with Terminal(console, [job, *plan(Request(["cm"], ["digitslt"], [1]), Path("runs"))]) as show:
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
        "[1/2] digitslt cm seed 0: training 0/500",
        # The line between came too soon after the first.
        "[1/2] digitslt cm seed 0: sampling 499/500  3 s left",
        "[1/2] digitslt cm seed 0: failed: loss became nan [at step 3]",
        f"  log: {job.folder}/log.txt",
    ]


def test_a_long_stage_says_how_far_it_is_now_and_then(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ltgen_bench.cli.progress.PLAIN_EVERY", -1.0)
    assert ": training 250/500  loss 0.2500  1,234 images/s  1 min 15 s left\n" in shown(job, terminal=False)


def test_lines_of_a_single_run_need_not_name_it(job: Job) -> None:
    out = io.StringIO()
    with Terminal(Console(file=out, soft_wrap=True), [job]) as show:
        show.started(job)
        show.progress(job, HALF | {"done": 0})
        show.ended(job, "done", "")
    assert out.getvalue().splitlines() == [f"[1/1] digitslt cm seed 0: {job.folder}", "  training 0/500", "  done"]


def test_the_time_left_of_a_grid_counts_what_was_done_here(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("ltgen_bench.cli.progress.time.time", lambda: clock[0])
    jobs = plan(Request(["cm"], ["digitslt"], range(3)), Path("runs"))
    out = io.StringIO()

    def halfway(second: int, fraction: float) -> str:
        clock[0] = 1000.0 + second
        show.progress(jobs[0], {"stage": "training", "done": 1000 * fraction, "total": 1000})
        show.progress(jobs[1], {"stage": "training", "done": 0, "total": 1000})
        return show._counts()

    with Terminal(Console(file=out, soft_wrap=True), jobs) as show:
        for each in jobs[:2]:
            show.started(each)
        assert "left" not in halfway(60, 0.5)  # workers took a minute to start; one resumes in the middle
        assert "left" not in halfway(65, 0.7)  # too soon to say
        # 0.17 of a run in 20 s, when 2.405 are to be done: not the 22 s that a half already done would promise.
        assert halfway(80, 0.7) == "2 running, 1 waiting, about 4 min 43 s left"
        assert show._counts().count("left") == 1


def test_the_time_left_counts_what_a_chain_shares_once() -> None:
    request = Request(["cm"], ["digitslt"], snapshots=[250], evaluations=sweep(["0", "1"]))
    work = work_of(plan(request, Path("runs")))
    # 1,000 steps are 0.85 of a run; the second evaluation of each has its training done.
    assert list(work.values()) == pytest.approx([1, 0.15, 1 - 0.85 * 0.25, 0.15])


@pytest.mark.parametrize(("terminal", "live"), [(False, False), (True, True)])
def test_colours_that_are_forced_make_no_file_a_terminal(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, live: bool
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    assert console().is_terminal == live


def test_what_is_done_takes_no_more_time() -> None:
    assert figures_of(HALF | FIGURES | {"done": 500}) == ["loss 0.2500", "1,234 images/s"]


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

"""Experiment trackers show what train.jsonl holds, come from anywhere, and never fail a run."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.launch.worker import Worker
from ltgen_bench.planning.plan import Request, plan
from ltgen_bench.runs.job import Execution, Job
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.training.loop import Stopped, train
from ltgen_bench.training.method_contract import trainer
from ltgen_bench.training.stack import parse_methods
from ltgen_bench.training.trainer import Trainer

MINE = '''
import json

from ltgen_bench.training.tracker import Tracker


class Mine(Tracker):
    """Writes what it gets to a file."""

    name = "mine"

    def __init__(self, folder, run, step):
        self.path = folder / "mine.jsonl"
        self.note(opened=step, method=run.method)

    def note(self, **values):
        with self.path.open("a") as file:
            file.write(json.dumps(values) + "\\n")

    def log(self, step, figures):
        self.note(step=step, **figures)

    def image(self, step, title, pixels):
        self.note(step=step, title=title, shape=pixels.shape, dtype=str(pixels.dtype))

    def close(self):
        self.note(closed=True)
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed_plugins: None) -> None:
    """A package outside this one that registers a tracker by an entry point."""
    folder = tmp_path / "site-packages"
    (folder / "mine-1.0.dist-info").mkdir(parents=True)
    (folder / "mine-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (folder / "mine-1.0.dist-info" / "entry_points.txt").write_text("[ltgen_bench.trackers]\nmine = its_tracker:Mine\n")
    (folder / "its_tracker.py").write_text(MINE)
    monkeypatch.syspath_prepend(folder)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def run_in(tmp_path: Path, digits: LongTail, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Train six steps of ddpm, a line of the log every two, or go on with it; what was said."""
    monkeypatch.setattr("ltgen_bench.training.log.LOG_EVERY", 2)

    def run(*track: str, stop_at: int = 0) -> list[str]:
        made, said = trainer(parse_methods("ddpm"), digits), list[str]()
        step = iter(range(1, 7))
        train(
            Trainer(made.spec, digits, made.stack, torch.device("cpu")),
            tmp_path,
            say=said.append,
            progress=lambda *_: None,
            stop=lambda: next(step) == stop_at,
            track=track,
        )
        return said

    return run


@pytest.mark.usefixtures("installed")
def test_a_tracker_from_a_file_outside_the_package_gets_what_the_log_gets(
    run_in: Callable[..., list[str]], tmp_path: Path
) -> None:
    run_in("mine")
    opened, *points, closed = lines(tmp_path / "mine.jsonl")
    assert opened == {"opened": 0, "method": "ddpm"}
    assert closed == {"closed": True}
    written = lines(tmp_path / "train.jsonl")
    assert [point["step"] for point in points] == [2, 4, 6]
    for point, line in zip(points, written, strict=True):
        assert {
            k: v for k, v in line.items() if k not in ("images", "seconds", "images_per_s")
        }.items() <= point.items()
        assert point["images_per_s"] == pytest.approx(line["images_per_s"], abs=0.06)


@pytest.mark.usefixtures("installed")
def test_trackers_see_the_grid_of_samples(tmp_path: Path, digits: LongTail) -> None:
    job = dataclasses.replace(job_of(tmp_path), execution=Execution("cpu", track=("mine",)))
    job.run_folder.create(job.run)
    worker = Worker(job)
    worker.run_folder.model.mkdir()
    worker.network = (trainer(parse_methods("ddpm"), digits).net.eval(), None)
    worker.sample(digits)
    worker.track("not drawn", tmp_path / "not-there.png")
    _, image, _, *others = lines(job.run_folder.path / "mine.jsonl")
    assert others == [{"opened": 4, "method": "ddpm"}, {"closed": True}]
    assert (image["step"], image["dtype"], image["shape"][2]) == (4, "uint8", 3)
    assert image["title"] == "digitslt ddpm seed 0, 120 images, omega 1.5"


def test_a_tracker_is_not_part_of_a_runs_identity(tmp_path: Path) -> None:
    plain = job_of(tmp_path)
    job = dataclasses.replace(plain, execution=Execution("cpu", track=("a", "b")))
    assert Job.from_json(json.loads(json.dumps(job.to_json()))) == job
    assert RunFolder.of(tmp_path, job.run).path == plain.run_folder.path
    assert "track" not in json.dumps(job.to_json()["run"])


def job_of(runs: Path, *track: str) -> Job:
    settings = ["net.channels=32,32", "net.layers=1", "train.steps=4", "sample.images=120", "sample.steps=2"]
    execution = Execution("cpu", track=track)
    request = Request(["ddpm"], ["digitslt"], settings=settings, features="efflite0@32", execution=execution)
    return plan(request, runs)[0]


FAILING = {
    "its constructor": "def __init__(self, folder, run, step):\n        raise RuntimeError('no\\n server')",
    "log": "def log(self, step, figures):\n        raise RuntimeError('no\\n server')",
    "close": "def close(self):\n        raise RuntimeError('no\\n server')",
    "its exit": "def log(self, step, figures):\n        raise SystemExit('no\\n server')",
}


@pytest.mark.parametrize("where", FAILING)
def test_a_tracker_that_fails_is_dropped_with_one_line(
    where: str, run_in: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails.py").write_text(
        "from ltgen_bench.training.tracker import Tracker\n\n\n"
        f"class Fails(Tracker):\n    name = 'fails'\n\n    {FAILING[where]}\n"
    )
    monkeypatch.setattr("ltgen_bench.trackers.__path__", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "ltgen_bench.trackers.fails", raising=False)
    (said,) = run_in("fails")
    kind = "SystemExit" if where == "its exit" else "RuntimeError"
    assert said == f"tracker fails failed, the run goes on without it: {kind}: no server"
    assert [line["step"] for line in lines(tmp_path / "train.jsonl")] == [2, 4, 6]


def test_a_tracker_that_is_missing_where_the_run_is_done_is_dropped(
    run_in: Callable[..., list[str]], tmp_path: Path
) -> None:
    (said,) = run_in("nowhere")
    assert said.startswith("tracker nowhere failed, the run goes on without it: UsageError: unknown tracker 'nowhere'")
    assert len(lines(tmp_path / "train.jsonl")) == 3


def test_an_unknown_tracker_is_refused_at_planning(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown tracker 'tensorbord' in --track.*Did you mean 'tensorboard'\?"):
        job_of(tmp_path, "tensorbord")
    with pytest.raises(UsageError, match=r"'wandb' .*entry point group ltgen_bench.trackers\) or LTGEN_PLUGINS"):
        job_of(tmp_path, "wandb")


def test_without_its_package_tensorboard_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "ltgen_bench.trackers.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match=r"install it with: pip install 'ltgen-bench\[tensorboard\]'"):
        job_of(tmp_path, "tensorboard")


def test_nothing_is_tracked_unless_asked(run_in: Callable[..., list[str]], tmp_path: Path) -> None:
    run_in()
    assert {path.name for path in tmp_path.iterdir()} == {"train.jsonl", "checkpoint.pt"}


def test_tensorboard_shows_every_step_once_also_when_a_run_was_killed(
    run_in: Callable[..., list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard", reason="the optional extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.raises(Stopped):
        run_in("tensorboard", stop_at=3)
    # Killed later than its last checkpoint, after step 3: what it wrote of steps 4 and 5 is trained again.
    monkeypatch.setattr("ltgen_bench.training.checkpoint.save", lambda *_: None)
    with pytest.raises(Stopped):
        run_in("tensorboard", stop_at=2)
    run_in("tensorboard")
    events = EventAccumulator(str(tmp_path)).Reload()
    written = lines(tmp_path / "train.jsonl")
    assert [line["step"] for line in written] == [2, 3, 5, 6]
    for tag in ("loss", "denoise/majority", "denoise/minority", "images_per_s"):
        assert [event.step for event in events.Scalars(tag)] == [2, 3, 5, 6], tag
    assert [event.value for event in events.Scalars("loss")] == pytest.approx([line["loss"] for line in written])

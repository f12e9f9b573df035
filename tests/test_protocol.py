"""What becomes of runs of an earlier protocol. Going on with one is in test_earlier_runs.py."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench.diffusion.unet import build
from ltgen_bench.planning.evaluations import asked_for, departures
from ltgen_bench.planning.plan import Request, plan, rescore
from ltgen_bench.runs.job import DataOptions, Execution
from ltgen_bench.runs.record import Record
from ltgen_bench.runs.run_folder import RunFolder
from ltgen_bench.spec.protocols import LEGACY
from ltgen_bench.spec.serialise import to_json
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.storage.atomic_files import write_json


@pytest.fixture
def earlier(tmp_path: Path) -> RunFolder:
    """A run of protocol 1 that was planned, and no more: its specification as that version wrote it."""
    (job,) = plan(Request(["ddpm"], ["digitslt"]), tmp_path / "runs")
    run = dataclasses.replace(job.run, protocol=1, net=dataclasses.replace(job.run.net, groups=32))
    value = to_json(run)
    del value["net"]["groups"]
    folder = RunFolder.of(tmp_path / "runs", run)
    folder.path.mkdir(parents=True)
    write_json(folder.path / "spec.json", value)
    return folder


def test_it_is_read_with_the_network_that_it_had(earlier: RunFolder) -> None:
    run = earlier.spec
    assert isinstance(run, RunSpec)
    assert run.run_id == earlier.path.name
    net = build(run.net, size=8, channels=1, num_classes=10, seed=0)
    assert net.unet.config.norm_num_groups == 32


def test_one_that_was_not_begun_is_not_trained_under_its_old_name(earlier: RunFolder, cli: Callable[..., Any]) -> None:
    done = cli("score", earlier.path, "--runs", earlier.path.parents[2])
    assert (done.code, done.err) == (
        2,
        f"error: run {earlier.path.name} is of protocol 1 and was not begun; from its start this version trains by "
        "protocol 2 only: give `run` what is wanted again\n",
    )


def test_its_images_are_made_in_the_precision_of_the_training_and_of_no_papers_protocol(
    earlier: RunFolder, cli: Callable[..., Any]
) -> None:
    earlier.model.mkdir()
    words = ("score", earlier.path, "--runs", earlier.path.parents[2], "--set", "sample.precision=bf16")
    done = cli(*words)
    assert (done.code, done.err) == (
        2,
        "error: sample.precision=bf16: runs of protocol 1 sample in the precision of their training, fp32; leave it "
        "out\n",
    )
    (job,) = rescore(earlier, [], "efflite0@32", DataOptions(), Execution("cpu"), asked_for([], ["cm"]))
    legacy = dataclasses.replace(job, eval=dataclasses.replace(job.eval, features=LEGACY))
    assert list(departures([legacy], ["cm"])) == [
        "not protocol cm, and no table calls it so: a run of protocol 1, not 2"
    ]


def test_show_gives_no_command_that_would_give_other_numbers(
    earlier: RunFolder, cli: Callable[..., Any], make_record: Callable[..., Record]
) -> None:
    record = dataclasses.replace(make_record(), run=earlier.spec)
    record.write(earlier.result(record.eval_id))
    out = cli("show", "run", earlier.path).out
    assert "\nof protocol 1: no command of today's suite gives it again\n" in out
    assert "the same again" not in out

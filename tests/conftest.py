"""Shared by all tests. One thread per process: tests run side by side, and small networks gain nothing from more."""

from __future__ import annotations

import os
import signal

# What the user has set must not change what is tested, here or in the processes that tests start.
if set_by_the_user := os.environ.keys() & {
    *("LTGEN_RUNS", "LTGEN_DATA", "LTGEN_PLUGINS"),
    *("RAY_ADDRESS", "FORCE_COLOR", "NO_COLOR"),
}:
    for name in set_by_the_user:
        del os.environ[name]
os.environ["COLUMNS"] = "80"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# A shell that starts the tests in the background has them ignore Ctrl-C; some of them are about Ctrl-C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ltgen_bench import ROOT
from ltgen_bench.data.groups import Groups
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.registry import Entry, Registry
from ltgen_bench.runs.job import DataOptions
from ltgen_bench.runs.record import Record
from ltgen_bench.scoring.scorer import SCORE_VERSION
from ltgen_bench.spec.specs import (
    PROTOCOL,
    DatasetSpec,
    DiffusionSpec,
    EvalSpec,
    MethodSpec,
    NetSpec,
    RunSpec,
    SamplingSpec,
    TrainSpec,
)

sys.path.insert(0, os.fspath(Path(__file__).parent))  # for what tests share, which lies beside them
from image_files import folder_fixture, make_fixture  # noqa: F401
from scored_sets import efflite, halves, kept  # noqa: F401

COUNTS = (170, 121, 87, 62, 44, 32, 23, 16, 11, 8)
DIGITS = DatasetSpec("digitslt", 1, 20.0, 8, 1, COUNTS, "a1" * 32, "b2" * 32, "c3" * 32)
SMOKE = TrainSpec(steps=800, batch=32, lr=1e-3, warmup=50, ema=0.99, flip=False, precision="fp32")


@pytest.fixture(scope="session")
def digits() -> LongTail:
    """The embedded dataset: 574 training images of 8x8 pixels, 170 to 8 per class."""
    return DataOptions().load("digitslt")


def hide_what_the_user_added() -> None:
    """Let the registry pass over the user's own plugins: untracked files of a checkout, and installed packages.

    Done before tests are collected, as some are made for each method that is found.
    """
    git = ["git", "-C", str(ROOT), "ls-files", "-z", "methods", "datasets"]
    found = subprocess.run(git, capture_output=True, text=True) if (ROOT / ".git").exists() else None
    tracked = {str(ROOT / name) for name in found.stdout.split("\0")} if found and found.returncode == 0 else None
    in_folders = Registry._in_folders

    def of_the_suite(self: Registry[Any]) -> Iterator[Entry]:
        own = str(ROOT / f"{self.kind}s") + os.sep
        return (e for e in in_folders(self) if tracked is None or e.origin in tracked or not e.origin.startswith(own))

    Registry._in_folders = of_the_suite  # type: ignore[method-assign]
    Registry._installed = lambda self: iter(())  # type: ignore[method-assign]


_installed = Registry._installed
hide_what_the_user_added()


@pytest.fixture
def installed_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the registry see installed packages, for a test that makes one."""
    monkeypatch.setattr(Registry, "_installed", _installed)


@dataclass
class Output:
    code: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Output]:
    """`ltgen-bench ARGUMENTS` in this process: exit code, stdout and stderr."""
    from ltgen_bench.cli.main import main

    def call(*arguments: object) -> Output:
        monkeypatch.setattr(sys, "argv", ["ltgen-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as exited:
            main()
        captured = capsys.readouterr()
        return Output(int(exited.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def make_record() -> Callable[..., Record]:
    return _record


def _record(
    method: str = "ddpm",
    fd: float = 10.0,
    *,
    seed: int = 0,
    params: Mapping[str, Any] | None = None,  # of the first method, not at their defaults
    version: int = 1,  # of the first method
    train: Mapping[str, Any] | None = None,
    sample: Mapping[str, Any] | None = None,
    data: Mapping[str, Any] | None = None,
    protocol: int = PROTOCOL,
    features: str = "efflite0@96",
    score_version: int = SCORE_VERSION,
    flag: str | None = None,
    memorised: str | None = None,  # the group that is
    dirty: bool = False,
    deviations: Mapping[str, str] | None = None,
    alarms: Mapping[str, int] | None = None,
) -> Record:
    """A result by hand: Fréchet distance `fd` overall, one less for the majority, two more for the minority."""
    first, *others = method.split("+")
    methods = (MethodSpec(first, version, params or {}, tuple(params or ())), *(MethodSpec(m, 1, {}) for m in others))
    run = RunSpec(
        preset="smoke",
        dataset=dataclasses.replace(DIGITS, **data or {}),
        methods=methods,
        net=NetSpec(channels=(32, 64), layers=1),
        train=dataclasses.replace(SMOKE, **train or {}),
        diffusion=DiffusionSpec(),
        seed=seed,
        protocol=protocol,
    )
    sampling = dataclasses.replace(SamplingSpec(images=500, steps=20), **sample or {})
    groups = Groups.from_counts(COUNTS)
    scored = EvalSpec(features, "d4" * 32, "c3" * 32, groups.as_dict(), score_version, sampling)
    sizes = {"overall": 10, **{name: len(ids) for name, ids in groups}}
    suffix = "" if features == "inception" else f"-{features}"
    values = {
        "FID" if features == "inception" else f"FD{suffix}": {"overall": fd, "majority": fd - 1, "minority": fd + 2},
        f"IS{suffix}": {"overall": 2.0 + fd / 100, "majority": 1.9, "minority": 1.7},
        f"recall{suffix}": {"overall": 0.5, "majority": 0.6, "minority": 0.25},
        f"precision{suffix}": {"overall": 0.75, "majority": 0.8, "minority": 0.7},
        f"accuracy{suffix}": {"overall": 0.8, "majority": 0.9, "minority": 0.6},
    }
    scores: dict[str, dict[str, dict[str, Any]]] = {}
    for metric, groups_ in values.items():
        for group, value in groups_.items():
            n_gen = sampling.images // 10 * sizes[group]
            figures: dict[str, Any] = {"value": value, "n_real": 174 * sizes[group], "n_gen": n_gen}
            if flag and metric.startswith("F"):
                figures["flag"] = flag
            scores.setdefault(metric, {})[group] = figures
    if memorised:
        shares = {"value": 0.9, "unseen": 0.3, "n_gen": 500, "n_train": 574, "flag": "memorised"}
        scores[f"memorised{suffix}"] = {memorised: shares}
    return Record(
        run=run,
        eval=scored,
        scores=scores,
        training={"seconds": 12.5, "alarm_steps": dict(alarms or {})},
        provenance={"dirty": dirty, "finished": "2026-01-01T00:00:00Z"},
        deviations=deviations or {},
    )

"""Fixtures of whole runs.

Processes are what these tests are about, and each costs seconds of imports. So one real command is shared by many
tests, and workers and drivers that are to be killed come from a fork server that has imported everything once.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whole_runs import OPTIONS, PROGRAMS, Finished, end_of, job_of

import ltgen_bench
import ltgen_bench.methods
from ltgen_bench.launch import launcher


@pytest.fixture(scope="session")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of methods that misbehave."""
    return Path(shutil.copytree(PROGRAMS / "methods", tmp_path_factory.mktemp("plugins") / "methods"))


@pytest.fixture(autouse=True)
def with_plugins(plugins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, and those that it starts, know the methods of `plugins`."""
    monkeypatch.setenv("LTGEN_PLUGINS", str(plugins.parent))
    monkeypatch.setattr(ltgen_bench.methods, "__path__", [*ltgen_bench.methods.__path__, str(plugins)])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("finished")
    command = ["run", "--method", "cm+cbdm", "--dataset", "digitslt", *OPTIONS, "--runs", str(folder / "runs")]
    root = str(Path(ltgen_bench.__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "ltgen_bench", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return Finished(command, folder / "runs", job_of("cm+cbdm", folder / "runs"), done.stdout)


@pytest.fixture
def runs(finished: Finished, tmp_path: Path) -> Path:
    """A new runs folder that has the features of the real images already."""
    features = tmp_path / "runs" / "features"
    features.mkdir(parents=True)
    largest = max((finished.runs / "features").iterdir(), key=lambda path: path.stat().st_size)
    shutil.copy(largest, features)
    return features.parent


@pytest.fixture
def more_runs(finished: Finished, tmp_path: Path) -> Path:
    """A copy of the runs folder of `finished`."""
    return Path(shutil.copytree(finished.runs, tmp_path / "more"))


@pytest.fixture
def warm_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands given in this process get their workers from the fork server."""
    monkeypatch.setattr(launcher, "supervise", lambda job, *_: end_of(job))

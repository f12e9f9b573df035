"""Runs that an earlier commit began go on, and give the bytes that it would have given."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ltgen_bench import ROOT
from ltgen_bench.runs.run_folder import RunFolder, run_folders

COMMIT = "a6f2cf6"
"""The last one before modules were moved into packages, of protocol 1."""


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    """The run that the earlier commit did to its end, trained only, and stopped half way."""
    parts = ["git", "-C", str(ROOT), "archive", COMMIT, "ltgen_bench", "methods", "datasets", "pyproject.toml"]
    archive = subprocess.run(parts, capture_output=True)
    if archive.returncode:
        pytest.skip(f"this checkout does not hold commit {COMMIT}")
    folder = tmp_path_factory.mktemp("earlier")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
        tar.extractall(folder / "code", filter="data")
    program = (Path(__file__).parent / "programs" / "begin_runs.py").read_text()
    # Its own folder goes first, before any installed package, editable ones included.
    start = f"import sys; sys.path.insert(0, {str(folder / 'code')!r})\n{program}"
    subprocess.run([sys.executable, "-c", start, str(folder)], cwd=folder, check=True, capture_output=True)
    found = {name: run_folders(folder / name) for name in ("whole", "trained", "half")}
    assert all(len(runs) == 1 for runs in found.values())
    return {name: runs[0] for name, runs in found.items()}


def weights(run: RunFolder) -> bytes:
    (path,) = run.model.glob("*.safetensors")
    return path.read_bytes()


def images(run: RunFolder) -> dict[str, Any]:
    (path,) = run.path.glob("samples-*.npz")
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", ["trained", "half"])
def test_a_run_goes_on_where_the_earlier_commit_left_it(
    name: str, earlier: dict[str, RunFolder], cli: Callable[..., Any]
) -> None:
    whole, begun = earlier["whole"], earlier[name]
    assert begun.path.name == whole.path.name
    assert begun.model.exists() == (name == "trained")
    settings = [word for text in ("images=100", "steps=3", "clip=false") for word in ("--set", f"sample.{text}")]
    done = cli("score", begun.path, *settings, "--runs", begun.path.parents[2])
    assert done.code == 0, done.err
    assert weights(begun) == weights(whole)
    expected = images(whole)
    for key, values in images(begun).items():
        np.testing.assert_array_equal(values, expected[key])
    steps = [line.split(",")[0] for line in (begun.path / "train.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps), key=steps.index)


def test_its_results_are_still_read(earlier: dict[str, RunFolder]) -> None:
    records, problems = earlier["whole"].results()
    assert not problems
    assert [record.run.protocol for record in records] == [1]

"""How workers are started, and what their ends are called."""

from __future__ import annotations

from pathlib import Path

import pytest

from ltgen_bench.launch import launcher, process
from ltgen_bench.runs.run_folder import RunFolder


@pytest.mark.parametrize(
    ("code", "outcome", "reason"),
    [
        (-9, "stopped", "the worker was killed by SIGKILL; the same command goes on from its last checkpoint"),
        (1, "failed", "the worker ended with exit code 1 and could not say why"),
    ],
)
def test_the_end_of_a_worker_that_could_say_nothing_is_explained(
    tmp_path: Path, code: int, outcome: str, reason: str
) -> None:
    run_folder = RunFolder(tmp_path)
    run_folder.log.write_text("2026-01-01T00:00:00Z another worker\n")
    assert launcher.explain(run_folder, process.Ended(code)) == (outcome, reason)


def test_waiting_threads_soon_sleep_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}.items() <= process.environment().items()
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in process.environment()
    assert process.environment()["OMP_WAIT_POLICY"] == "ACTIVE"


def test_freed_memory_is_kept_unless_the_user_wants_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    assert int(process.environment()["MALLOC_MMAP_THRESHOLD_"]) > 2**31
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "1000000")
    assert process.environment()["MALLOC_MMAP_THRESHOLD_"] == "1000000"

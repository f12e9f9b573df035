"""Checkpoints: always a whole one on disk, and the one before it."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ltgen_bench.storage.atomic_files import atomic_write

UNREADABLE = (
    *(OSError, ValueError, LookupError, RuntimeError, TypeError, EOFError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What reading a damaged file can raise."""
CURRENT, PREVIOUS = "checkpoint.pt", "checkpoint-previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state; the checkpoint before it is kept. A crash at any moment leaves at least one whole file."""
    current, previous = folder / CURRENT, folder / PREVIOUS
    with atomic_write(folder / "checkpoint-next.pt") as file:
        torch.save(state, file)
    if current.exists():
        current.replace(previous)
    (folder / "checkpoint-next.pt").replace(current)


def load(folder: Path, run_id: str, say: Callable[[str], None]) -> dict[str, Any] | None:
    """The newest whole checkpoint of this run, or None. Damaged and foreign ones are named through `say` and skipped.

    Only tensors and plain values are read (`weights_only`): a checkpoint from elsewhere cannot run code.
    """
    # "next" exists only when a crash fell between its writing and its renaming; then it is the newest.
    for name in ("checkpoint-next.pt", CURRENT, PREVIOUS):
        path = folder / name
        if not path.exists():
            continue
        try:
            # torch does not verify the checksums it writes; zipfile does.
            with zipfile.ZipFile(path) as archive:
                if (member := archive.testzip()) is not None:
                    raise ValueError(f"bad checksum in {member}")
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if state["run_id"] != run_id:
                raise ValueError(f"it belongs to run {state['run_id']}")
        except UNREADABLE as error:
            say(f"checkpoint {path} cannot be used ({error}); falling back to an older one or the start")
            continue
        return state
    return None


def keep_last(folder: Path) -> None:
    """Remove all but the newest: at the end of a training it is the whole state, which a longer one can go on from."""
    for name in ("checkpoint-next.pt", PREVIOUS):
        (folder / name).unlink(missing_ok=True)

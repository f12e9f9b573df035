"""A trained network, handed on."""

from __future__ import annotations

import shutil
from pathlib import Path

from ltgen_bench.errors import UsageError
from ltgen_bench.runs.run_folder import RunFolder


def export(run_folder: RunFolder, folder: Path) -> None:
    """Copy a trained network to a new folder, which plain diffusers loads: `UNet2DModel.from_pretrained(folder)`.

    An interrupted export leaves no folder of that name. Raises UsageError when nothing is trained, or it exists.
    """
    if not run_folder.model.exists():
        raise UsageError(f"{run_folder.path.name} has no trained network")
    if folder.exists():
        raise UsageError(f"{folder} exists already; name a new folder")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of an export that was interrupted
    shutil.copytree(run_folder.model, part)
    part.replace(folder)

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.errors import UsageError
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.training.tracker import Tracker

try:
    from torch.utils.tensorboard import SummaryWriter
except ImportError as error:
    raise UsageError(f"{error}; install it with: pip install 'ltgen-bench[tensorboard]'") from error


class TensorBoard(Tracker):
    """Event files in the run folder, for `tensorboard --logdir runs`."""

    name = "tensorboard"

    def __init__(self, folder: Path, run: RunSpec, step: int) -> None:
        # What was written of later steps, which are trained again, TensorBoard then leaves out.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1)

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()  # so that a crash loses nothing that train.jsonl has

    def image(self, step: int, title: str, pixels: NDArray[np.uint8]) -> None:
        self._writer.add_image(title, pixels, step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()

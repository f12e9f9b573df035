"""Experiment trackers: what train.jsonl gets, and the grid of samples, for tools such as TensorBoard.

A tracker is one file with one class, found as methods are: in `ltgen_bench/trackers/`, in `DIR/trackers/` with
`LTGEN_PLUGINS=DIR`, or through the entry point group `ltgen_bench.trackers` of an installed package:

    class Mine(Tracker):
        "Prints the loss."
        name = "mine"                             # --track mine

        def log(self, step, figures):
            print(step, figures["loss"])

Nothing of it is part of a run's identity, and one that fails never fails a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ltgen_bench import registry
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.spec.specs import RunSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from ltgen_bench.training.log import Line


class Tracker:
    """An experiment tracker. Subclass it, name it, override what it can show. Any error drops it for this attempt."""

    name: ClassVar[str]
    """How the command line spells it."""

    def __init__(self, folder: Path, run: RunSpec, step: int) -> None:
        """folder: of the run, the same in every attempt; step: after how many steps this attempt goes on.

        Points of later steps that an earlier attempt wrote are to be dropped: those steps are trained again. The
        tracker is opened for the training, in the process that writes files, and again for the samples.
        """

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """The means over the last steps: `loss`, `method/name`, `name/group`, `images_per_s`."""

    def image(self, step: int, title: str, pixels: NDArray[np.uint8]) -> None:
        """The grid of samples, (height, width, 3)."""

    def close(self) -> None:
        """The training ended or was stopped; the last samples are made."""


def find(name: str) -> type[Tracker]:
    """Import a tracker. Raises UsageError for one that is unknown or that cannot be imported."""
    known = registry.trackers()
    if name not in known.entries():
        more = f"others come from installed packages (entry point group {known.group}) or LTGEN_PLUGINS"
        raise UsageError(f"{unknown('tracker', name, known.entries(), f'--track {name}')}; {more}")
    return known.load(name)


class Trackers:
    """The trackers of a run. One that fails, whatever it does, is dropped with a line in the run's log."""

    def __init__(self, names: Sequence[str], folder: Path, run: RunSpec, step: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._open: dict[str, Tracker] = {}
        for name in dict.fromkeys(names):
            with self._guard(name):
                self._open[name] = find(name)(folder, run, step)

    def write(self, line: Line) -> None:
        figures = {name: value for name, value in line.figures.items() if value is not None}
        self._each(lambda tracker: tracker.log(line.step, figures | {"images_per_s": line.images_per_s}))

    def image(self, step: int, title: str, path: Path) -> None:
        """Show a picture; one that could not be drawn is no fault of the trackers."""
        if path.exists():
            self._each(lambda tracker: tracker.image(step, title, np.asarray(Image.open(path).convert("RGB"))))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in [*self._open.items()]:
            with self._guard(name):
                call(tracker)

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        try:
            yield
        except (Exception, SystemExit) as error:
            self._open.pop(name, None)
            reason = " ".join(str(error).split())
            self._say(f"tracker {name} failed, the run goes on without it: {type(error).__name__}: {reason}")

"""ltgen-bench: the benchmark suite for class-conditional diffusion models on long-tailed data.

Everything in `__all__` is loaded when it is first used, so that `import ltgen_bench` is instant.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ltgen_bench.api import plan, rescore, run, score
    from ltgen_bench.data.dataset import Dataset, Pool
    from ltgen_bench.data.images import Images
    from ltgen_bench.diffusion.noise_prior import NoisePrior
    from ltgen_bench.errors import RunFailed, UsageError
    from ltgen_bench.leaderboard.loading import compare, load_results
    from ltgen_bench.sampling.sampler import Sampler
    from ltgen_bench.training.method import Method, Step, Task
    from ltgen_bench.training.tracker import Tracker

__version__ = "0.1.0"

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the package: of a checkout, its root."""

__all__ = [
    "Dataset",
    "Images",
    "Method",
    "NoisePrior",
    "Pool",
    "RunFailed",
    "Sampler",
    "Step",
    "Task",
    "Tracker",
    "UsageError",
    "compare",
    "load_results",
    "plan",
    "rescore",
    "run",
    "score",
]

_MODULES = {
    "ltgen_bench.api": ("plan", "rescore", "run", "score"),
    "ltgen_bench.data.dataset": ("Dataset", "Pool"),
    "ltgen_bench.data.images": ("Images",),
    "ltgen_bench.diffusion.noise_prior": ("NoisePrior",),
    "ltgen_bench.errors": ("RunFailed", "UsageError"),
    "ltgen_bench.leaderboard.loading": ("compare", "load_results"),
    "ltgen_bench.sampling.sampler": ("Sampler",),
    "ltgen_bench.training.method": ("Method", "Step", "Task"),
    "ltgen_bench.training.tracker": ("Tracker",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            value = globals()[name] = getattr(importlib.import_module(module), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

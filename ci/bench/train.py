"""What a training step costs: our loop against the bare network step, and each method against `ddpm`.

    python ci/bench/train.py [--network mini|cifar] [--rounds 15] [--write leaderboards/bench-train.md]

All contestants are stepped in turn, round after round, so that a drift of the machine's speed meets them all; figures
are medians over rounds, ratios are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from ltgen_bench.dataset import DatasetSpec, LongTail, exponential_counts
from ltgen_bench.groups import Groups
from ltgen_bench.images import Images
from ltgen_bench.network import build, flops_per_image
from ltgen_bench.plan import describe, parse_methods
from ltgen_bench.spec import DiffusionSpec, NetSpec, RunSpec, TrainSpec
from ltgen_bench.trainer import Log, Trainer

NETWORKS = {
    "mini": (NetSpec(channels=(32, 64), layers=1), 8, 1, 64),
    "cifar": (NetSpec(), 32, 3, 4),
}
METHODS = [
    "ddpm",
    "cbdm",
    "cm",
    "cm cm.dropout=shared",
    "cm+cbdm",
    "cm+cbdm cm.dropout=shared",
    "t2h",
    "noise-resampling",
]


def data_of(size: int, channels: int) -> LongTail:
    """Random images with the class sizes of CIFAR-10-LT: speed does not depend on what they show."""
    counts = exponential_counts(500, 10, 100)
    labels = np.repeat(np.arange(10), counts)
    pixels = np.random.default_rng(0).integers(0, 256, (len(labels), size, size, channels), np.uint8)
    images = Images(pixels, labels.astype(np.int64))
    spec = DatasetSpec("random", 1, 100.0, size, channels, counts, "", images.sha256, images.sha256)
    return LongTail(spec, images, images, None, tuple(map(str, range(10))), Groups.from_counts(counts))


def our_step(text: str, network: str, device: torch.device, folder: Path) -> Callable[[], None]:
    """A step of the trainer as `run` does it, its log included."""
    net, size, channels, batch = NETWORKS[network]
    name, *settings = text.split()
    chosen: dict[str, dict[str, str]] = {}
    for setting in settings:
        key, _, value = setting.partition("=")
        method, _, parameter = key.partition(".")
        chosen.setdefault(method, {})[parameter] = value
    stack = parse_methods(name, chosen)
    # Labels are never dropped, so that every step of cbdm has its second pass.
    recipe = TrainSpec(batch=batch, label_dropout=0.0, precision="bf16" if device.type == "cuda" else "fp32")
    data = data_of(size, channels)
    run = RunSpec("bench", data.spec, tuple(map(describe, stack.methods)), net, recipe, DiffusionSpec(), 0)
    trainer = Trainer(run, data, stack, device)
    log = Log(folder / f"{text}.jsonl", trainer, print)
    return lambda: log.add(*trainer.train_step())


def bare_step(network: str, device: torch.device) -> Callable[[], None]:
    """Forward, backward and optimizer of the same network on a fixed batch: no data, noise, EMA, clipping or log."""
    spec, size, channels, batch = NETWORKS[network]
    net = build(spec, size=size, channels=channels, num_classes=10, seed=0).to(device).train()
    if device.type == "cuda":
        net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4, fused=True)
    x, noise = torch.randn(2, batch, channels, size, size, device=device)
    t, y = torch.randint(1000, (batch,), device=device), torch.randint(10, (batch,), device=device)

    def step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            eps = net(x, t, y)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.mse_loss(eps.float(), noise).backward()
        optimizer.step()

    return step


def measure(steps: dict[str, Callable[[], None]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each step in each round, after two rounds of warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(rounds + 2):
        for name, step in steps.items():
            started = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number >= 2:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def table(network: str, rounds: int, device: torch.device) -> str:
    spec, size, channels, batch = NETWORKS[network]
    with TemporaryDirectory() as folder:
        steps = {"bare network step": bare_step(network, device)}
        steps |= {text: our_step(text, network, device, Path(folder)) for text in METHODS}
        seconds = measure(steps, rounds, device)
    flops = 3 * flops_per_image(spec, size=size, channels=channels, num_classes=10) * batch
    lines = [
        f"## {network} network: {size}x{size}, {channels} channel(s), batch {batch}\n",
        f"{flops / 1e9:.1f} GFLOP a bare step; medians of {rounds} rounds.\n",
        "| step | ms | against bare | against `ddpm` | GFLOP/s of the bare step |",
        "|---|---|---|---|---|",
    ]
    for name, mine in seconds.items():
        bare, ddpm = (
            statistics.median(a / b for a, b in zip(mine, seconds[other], strict=True))
            for other in ("bare network step", "ddpm")
        )
        middle = statistics.median(mine)
        rate = f"{flops / middle / 1e9:.0f}" if name == "bare network step" else ""
        lines.append(f"| {name} | {1000 * middle:.1f} | {bare:.2f} | {ddpm:.2f} | {rate} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, action="append")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--write", type=Path)
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    machine = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    parts = [
        "# What a training step costs\n",
        f"`python ci/bench/train.py` on {machine}; torch {torch.__version__}, Python {platform.python_version()}.\n",
        *(table(network, options.rounds, device) for network in options.network or NETWORKS),
        f"Peak memory of the whole process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB.",
    ]
    text = "\n".join(parts) + "\n"
    print(text)
    if options.write:
        options.write.write_text(text)


if __name__ == "__main__":
    main()

"""Training a run in its folder, from its last checkpoint to its end."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ltgen_bench.device import describe_training, peak_flops
from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.diffusion.noise_prior import NoisePrior
from ltgen_bench.diffusion.unet import flops_per_image
from ltgen_bench.errors import UsageError
from ltgen_bench.source_code import edited, fingerprint, refusal
from ltgen_bench.training import checkpoint
from ltgen_bench.training.log import TRAIN_LOG, JsonLines, Log, Sink
from ltgen_bench.training.tracker import Trackers
from ltgen_bench.training.trainer import Trainer


class Stopped(Exception):
    """Training was asked to stop; a checkpoint is on disk."""


@dataclass
class Trained:
    """What training leaves: the plain network with averaged weights, and figures on how it went.

    general: the same without the reserve, where a method has one.
    """

    net: Denoiser
    general: Denoiser | None
    noise_prior: NoisePrior | None
    summary: dict[str, Any]

    @property
    def speed(self) -> str:
        """In words: images and floating-point operations per second, and their share of the most the device can do.

        The operations are those of the shared recipe, one pass per image and step (what is known as model-flops
        utilisation): a method's further passes make it slower, and do not count as work.
        """
        rate, flops, share = (self.summary[k] for k in ("images_per_s", "flops_per_s", "mfu"))
        return f"{rate:.0f} images/s, {flops / 1e9:,.0f} GFLOP/s" + (f", MFU {share:.0%}" if share else "")


def train(
    trainer: Trainer,
    folder: Path,
    *,
    say: Callable[[str], None],
    progress: Callable[[int, int, float, float], None],
    stop: Callable[[], bool],
    checkpoint_seconds: float | None = None,
    track: Sequence[str] = (),
) -> Trained:
    """Train a run in its folder, from its last checkpoint if it has one.

    progress(step, steps, loss, images per second) is called once per step. When `stop()` turns true the state is saved
    and Stopped raised. Checkpoints come every `checkpoint_seconds`; by default every 30 s, or so seldom that writing
    them takes 1 % of the time. track: names of experiment trackers. Raises RunFailed when the loss is not finite, and
    UsageError when the checkpoint was written by other code of a method.
    """
    trainer.export(), trainer.general_net()  # a method that cannot is better known before the training than after it
    code = {f"method {m.name}": fingerprint(type(m)) for m in trainer.stack.methods}
    saved = checkpoint.load(folder, trainer.spec.run_id, say)
    if saved is not None:
        if names := edited(saved.get("code", {}), code):
            raise UsageError(refusal(names, "the checkpoint was written"))
        trainer.restore(saved)
    sinks: list[Sink] = []
    trackers = Trackers(track if trainer.processes.is_main else (), folder, trainer.spec, trainer.step, say)
    if trainer.processes.is_main:
        sinks = [JsonLines(folder / TRAIN_LOG, trainer.step).write, trackers.write]
    log, steps = Log(trainer, say, sinks), trainer.spec.train.steps
    if saved is not None:
        log.seconds, log.alarmed = saved["seconds"], saved["alarmed"]
        say(f"resuming at step {trainer.step} of {steps}")

    before: dict[str, int] = {} if saved is None else saved.get("devices", {"unknown": trainer.step})
    first, here = trainer.step, describe_training(trainer.device, trainer.processes.size, compiled=trainer.compiled)

    def devices() -> dict[str, int]:
        """Steps by the device that made them, over all attempts."""
        made = trainer.step - first
        return before | ({here: before.get(here, 0) + made} if made else {})

    def save() -> float:
        """Save the state; when to do so again."""
        log.flush()
        started = time.perf_counter()
        if trainer.processes.is_main:
            made = {"seconds": log.seconds, "alarmed": log.alarmed, "devices": devices(), "code": code}
            checkpoint.save(folder, trainer.state() | made)
        now = time.perf_counter()
        return now + (checkpoint_seconds or max(30.0, 100 * (now - started)))

    due = time.perf_counter() + (checkpoint_seconds or 30.0)
    with contextlib.closing(trackers):
        while trainer.step < steps:
            log.add(*trainer.train_step())
            progress(trainer.step, steps, log.loss, log.rate)
            if trainer.stops(stop):
                save()
                raise Stopped(f"stopped at step {trainer.step} of {steps}")
            if time.perf_counter() > due:
                due = save()
        save()
    return Trained(trainer.trained_net(), trainer.general_net(), trainer.noise_prior, _summary(trainer, log, devices()))


def _summary(trainer: Trainer, log: Log, devices: dict[str, int]) -> dict[str, Any]:
    """How the training went. devices: steps by the device that made them."""
    spec, device, processes = trainer.spec, trainer.device, trainer.processes.size
    data, classes = spec.dataset, len(spec.dataset.class_counts)
    rate = spec.train.steps * spec.train.batch / max(log.seconds, 1e-9)
    forward = flops_per_image(spec.net, size=data.size, channels=data.channels, num_classes=classes)
    flops = 3 * forward * rate  # the backward pass costs two forward passes
    most = peak_flops(device, spec.train.precision)
    return {
        "seconds": round(log.seconds, 1),
        "images_per_s": round(rate, 1),
        "flops_per_s": round(flops),
        "mfu": round(flops / most / processes, 4) if most else None,
        "peak_device_bytes": torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None,
        "devices": devices,
        "parameters_trained": sum(p.numel() for p in trainer.params),
        "alarm_steps": log.alarmed,
    }

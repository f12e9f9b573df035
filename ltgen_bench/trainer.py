"""The one training loop that all methods share."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltgen_bench import checkpoint
from ltgen_bench.batches import Batches, class_means
from ltgen_bench.dataset import LongTail
from ltgen_bench.diffusion import alphas_cumprod
from ltgen_bench.errors import RunFailed
from ltgen_bench.method import NoisePrior, Stack, Step, Task
from ltgen_bench.network import Denoiser, build
from ltgen_bench.spec import RunSpec

LOG_EVERY = 50
"""Steps averaged into one line of train.jsonl."""


class Stopped(Exception):
    """Training was asked to stop; a checkpoint is on disk."""


@dataclass
class Trained:
    """What training leaves: the plain network with averaged weights, and figures on how it went."""

    net: Denoiser
    noise_prior: NoisePrior | None
    summary: dict[str, Any]


class Trainer:
    """Trains one run. State (weights, EMA, optimizer, step) lives here; every draw is a function of (seed, step)."""

    def __init__(
        self, spec: RunSpec, data: LongTail, stack: Stack, device: torch.device, *, compiled: bool = False
    ) -> None:
        self.spec, self.stack, self.device = spec, stack, device
        train = spec.train
        num_classes = len(data.class_counts)
        self.task = Task(
            class_counts=torch.tensor(data.class_counts, dtype=torch.float32, device=device),
            class_means=class_means(data.train, num_classes).to(device),
            groups=data.groups,
            alphas_cumprod=alphas_cumprod(spec.diffusion).to(device),
        )
        self.batches = Batches(
            data.train,
            batch=train.batch,
            flip=train.flip,
            label_dropout=train.label_dropout,
            timesteps=spec.diffusion.timesteps,
            seed=spec.seed,
            device=device,
            class_weights=stack.sampling(self.task),
        )
        self.noise_prior = stack.noise_prior(self.task)
        self.group_names = [name for name, _ in data.groups]
        group_of = {c: i for i, (_, classes) in enumerate(data.groups) for c in classes}
        one_hot = nn.functional.one_hot(torch.tensor([group_of[c] for c in range(num_classes)]), len(self.group_names))
        self.one_hot_group = one_hot.float().to(device)

        size, channels = data.spec.size, data.spec.channels
        net = build(spec.net, size=size, channels=channels, num_classes=num_classes, seed=spec.seed)
        stack.wrap(net, self.task, spec.seed)
        self.net = net.to(device).train()
        if device.type == "cuda":
            self.net.to(memory_format=torch.channels_last)
        if compiled:
            self.net.compile_halves()
        self.params = [p for p in self.net.parameters() if p.requires_grad]
        self.ema = [p.detach().clone() for p in self.params]
        self.optimizer = torch.optim.Adam(self.params, lr=train.lr, fused=True)
        self.step = 0

    def train_step(self) -> tuple[Tensor, dict[str, Tensor], Step]:
        """One step of the shared recipe. Nothing here waits for the device."""
        train, step = self.spec.train, self.make_step(self.step)
        with self._autocast():
            loss, terms = self.stack.loss(step, self.task)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        step.logged["grad_norm"] = nn.utils.clip_grad_norm_(self.params, train.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = train.lr * min(1.0, (self.step + 1) / max(1, train.warmup))
        self.optimizer.step()
        torch._foreach_lerp_(self.ema, [p.detach() for p in self.params], 1 - train.ema)
        self.step += 1
        return loss.detach(), terms, step

    def make_step(self, index: int) -> Step:
        """The batch, times and noise of a step: the same for every method."""
        x0, y = self.batches.images(index)
        t, noise = self.batches.times(index), self.batches.noise(index)
        if self.noise_prior is not None:
            mean, std = self.noise_prior
            noise = mean[y] + std[y][:, None, None, None] * noise
        abar = self.task.alphas_cumprod[t][:, None, None, None]
        unconditional = self.batches.unconditional(index)
        return Step(
            index=index,
            seed=self.spec.seed,
            x0=x0,
            y=y,
            y_in=torch.full_like(y, self.task.num_classes) if unconditional else y,
            unconditional=unconditional,
            t=t,
            noise=noise,
            xt=abar.sqrt() * x0 + (1 - abar).sqrt() * noise,
            net=self.net,
        )

    def trained_net(self) -> Denoiser:
        """The plain network with the averaged weights, `wrap` undone by `export`. Leaves the live network alone."""
        net = copy.deepcopy(self.net).eval()
        with torch.no_grad():
            for p, averaged in zip((p for p in net.parameters() if p.requires_grad), self.ema, strict=True):
                p.copy_(averaged)
        self.stack.export(net)
        return net

    def state(self) -> dict[str, Any]:
        return {
            "run_id": self.spec.run_id,
            "step": self.step,
            "net": self.net.state_dict(),
            "ema": self.ema,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        with torch.no_grad():
            for mine, saved in zip(self.ema, state["ema"], strict=True):
                mine.copy_(saved)
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.spec.train.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


@dataclass
class Log:
    """Averages what happened over LOG_EVERY steps into a line of train.jsonl; reads the device once per line."""

    path: Path
    trainer: Trainer
    say: Callable[[str], None]
    alarmed: dict[str, int] = field(default_factory=dict)  # steps on which each safeguard acted
    seconds: float = 0.0  # spent training, over all attempts
    loss: float = math.nan  # of the last line
    rate: float = math.nan  # images per second, of the last line
    _rows: list[tuple[int, tuple[str, ...], Tensor]] = field(default_factory=list)
    _since: float = field(default_factory=time.perf_counter)

    def add(self, loss: Tensor, terms: dict[str, Tensor], step: Step) -> None:
        trainer = self.trainer
        scalars = {"loss": loss} | terms | step.logged | {f"alarm:{k}": v for k, v in step.alarms.items()}
        # One-hot groups (B, G): sums and counts of a group in one product, without asking the device for indices.
        groups = trainer.one_hot_group[step.y]
        sums = torch.stack([*step.images.values(), torch.ones_like(loss).expand(len(groups))]) @ groups
        names = (*scalars, *(f"sum:{k}/{g}" for k in (*step.images, "n") for g in trainer.group_names))
        self._rows.append((step.index, names, torch.cat([torch.stack([*scalars.values()]).detach(), sums.flatten()])))
        if len(self._rows) == LOG_EVERY:
            self.flush()

    def flush(self) -> None:
        """Write a line. Raises RunFailed, naming the step, when a loss was not finite."""
        if not self._rows:
            return
        values = torch.cat([row for _, _, row in self._rows]).tolist()  # the one transfer from the device
        now = time.perf_counter()
        took, self._since = now - self._since, now
        totals: dict[str, list[float]] = {}
        for index, names, _ in self._rows:
            step, values = dict(zip(names, values, strict=False)), values[len(names) :]
            for name in ("loss", "grad_norm"):
                if not math.isfinite(step[name]):
                    raise RunFailed(f"{name} became {step[name]} at step {index + 1}; the last good checkpoint is kept")
            for name, value in step.items():
                totals.setdefault(name, []).append(value)
        self.loss, self.rate = _mean(totals["loss"]), len(self._rows) * self.trainer.spec.train.batch / took
        self.seconds += took
        line: dict[str, Any] = {
            "step": self.trainer.step,
            "images": self.trainer.step * self.trainer.spec.train.batch,
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.rate, 1),
        }
        for name, numbers in totals.items():
            kind, _, label = name.rpartition(":")
            if kind == "alarm":
                self._raise_alarm(label, [v for v in numbers if v > 0])
            elif kind == "sum":
                n = sum(totals[f"sum:n/{label.rpartition('/')[2]}"])
                if not label.startswith("n/"):
                    line[label] = sum(numbers) / n if n else None
            else:
                line[name] = _mean(numbers)
        self._rows.clear()
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _raise_alarm(self, name: str, shares: list[float]) -> None:
        if shares:
            if name not in self.alarmed:
                self.say(
                    f"step {self.trainer.step}: {name} acted, on {max(shares):.1%} of a batch at most; "
                    "how often it does is in train.jsonl and in the result"
                )
            self.alarmed[name] = self.alarmed.get(name, 0) + len(shares)

    def rewind(self) -> None:
        """Drop the lines of steps that are about to be trained again."""
        if self.path.exists():
            lines = self.path.read_text().splitlines()
            kept = [line for line in lines if _step_of(line) <= self.trainer.step]
            self.path.write_text("".join(f"{line}\n" for line in kept))


def train(
    spec: RunSpec,
    data: LongTail,
    stack: Stack,
    folder: Path,
    *,
    device: torch.device,
    compiled: bool = False,
    say: Callable[[str], None],
    progress: Callable[[int, int, float, float], None],
    stop: Callable[[], bool],
    checkpoint_seconds: float | None = None,
) -> Trained:
    """Train a run in its folder, from its last checkpoint if it has one.

    progress(step, steps, loss, images per second) is called once per step. When `stop()` turns true the state is saved
    and Stopped raised. Checkpoints come every `checkpoint_seconds`; by default every 30 s, or so seldom that writing
    them takes 1 % of the time. Raises RunFailed when the loss is not finite.
    """
    trainer = Trainer(spec, data, stack, device, compiled=compiled)
    log = Log(folder / "train.jsonl", trainer, say)
    if (saved := checkpoint.load(folder, spec.run_id, say)) is not None:
        trainer.restore(saved)
        log.seconds, log.alarmed = saved["seconds"], saved["alarmed"]
        say(f"resuming at step {trainer.step} of {spec.train.steps}")
    log.rewind()

    def save() -> float:
        log.flush()
        started = time.perf_counter()
        checkpoint.save(folder, trainer.state() | {"seconds": log.seconds, "alarmed": log.alarmed})
        return checkpoint_seconds or max(30.0, 100 * (time.perf_counter() - started))

    due = time.perf_counter() + (checkpoint_seconds or 30.0)
    while trainer.step < spec.train.steps:
        log.add(*trainer.train_step())
        progress(trainer.step, spec.train.steps, log.loss, log.rate)
        if stop():
            save()
            raise Stopped(f"stopped at step {trainer.step} of {spec.train.steps}")
        if time.perf_counter() > due:
            due = save() + time.perf_counter()
    save()
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    summary = {
        "seconds": round(log.seconds, 1),
        "images_per_s": round(spec.train.steps * spec.train.batch / max(log.seconds, 1e-9), 1),
        "peak_device_bytes": peak,
        "parameters_trained": sum(p.numel() for p in trainer.params),
        "alarm_steps": log.alarmed,
    }
    return Trained(trainer.trained_net(), trainer.noise_prior, summary)


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, from a crash

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

from ltgen_bench.data.dataset import LongTail
from ltgen_bench.device import peak_flops
from ltgen_bench.diffusion.denoiser import Denoiser, build, flops_per_image
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.errors import RunFailed
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.training import checkpoint
from ltgen_bench.training.batches import Batches, class_means
from ltgen_bench.training.data_parallel import Team
from ltgen_bench.training.method import NoisePrior, Stack, Step, Task

LOG_EVERY = 50
"""Steps averaged into one line of train.jsonl."""
AGREE_EVERY = 10
"""Steps between the moments when a team can stop."""


class Stopped(Exception):
    """Training was asked to stop; a checkpoint is on disk."""


@dataclass
class Trained:
    """What training leaves: the plain network with averaged weights, and figures on how it went."""

    net: Denoiser
    noise_prior: NoisePrior | None
    summary: dict[str, Any]

    @property
    def speed(self) -> str:
        """In words: images and floating-point operations per second, and their share of the most the device can do.

        The operations are those of the shared recipe, one pass per image and step (what is known as model-flops
        utilisation): a method's further passes make it slower, not busier.
        """
        rate, flops, share = (self.summary[k] for k in ("images_per_s", "flops_per_s", "mfu"))
        return f"{rate:.0f} images/s, {flops / 1e9:,.0f} GFLOP/s" + (f", MFU {share:.0%}" if share else "")


class Trainer:
    """Trains one run. State (weights, EMA, optimizer, step) lives here; every draw is a function of (seed, step)."""

    def __init__(
        self,
        spec: RunSpec,
        data: LongTail,
        stack: Stack,
        device: torch.device,
        *,
        team: Team | None = None,
        compiled: bool = False,
    ) -> None:
        self.spec, self.stack, self.device, self.team = spec, stack, device, team or Team()
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
            self.net.compile_passes()
        self.team.share_out(self.net)
        self.params = [p for p in self.net.parameters() if p.requires_grad]
        self.weights = [p.detach() for p in self.params]  # the same memory, seen without gradients
        self.ema = [w.clone() for w in self.weights]
        self.optimizer = torch.optim.Adam(self.params, lr=train.lr, fused=True)
        self.step = 0

    def train_step(self) -> tuple[Tensor, dict[str, Tensor], Step]:
        """One step of the shared recipe. Nothing here waits for the device."""
        train, step = self.spec.train, self.make_step(self.step)
        with self._autocast():
            loss, terms = self.stack.loss(step, self.task)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.team.average(self.params)
        step.logged["grad_norm"] = _clip([p.grad for p in self.params if p.grad is not None], train.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = train.lr * min(1.0, (self.step + 1) / max(1, train.warmup))
        self.optimizer.step()
        torch._foreach_lerp_(self.ema, self.weights, 1 - train.ema)
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

    def stops(self, stop: Callable[[], bool]) -> bool:
        """Whether to stop after this step. A team must agree on it, which costs a wait: it asks now and then."""
        alone = self.team.size == 1
        return stop() if alone else self.step % AGREE_EVERY == 0 and self.team.any(stop())

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
class _Sent:
    """The figures of some steps, on their way from the device."""

    step: int  # the last one
    seconds: float  # what they took
    steps: list[tuple[int, tuple[str, ...]]]  # index and names of the figures of each
    values: Tensor  # of all of them, one after another, on the CPU
    arrived: torch.cuda.Event | None

    def is_there(self) -> bool:
        return self.arrived is None or bool(self.arrived.query())  # type: ignore[no-untyped-call]


@dataclass
class Log:
    """Averages what happened over LOG_EVERY steps into a line of train.jsonl.

    The device is read once per line, while it works on the next steps: the line is written when its figures are there.
    """

    path: Path
    trainer: Trainer
    say: Callable[[str], None]
    alarmed: dict[str, int] = field(default_factory=dict)  # steps on which each safeguard acted
    seconds: float = 0.0  # spent training, over all attempts
    loss: float = math.nan  # of the last line
    rate: float = math.nan  # images per second, of the last line
    _rows: list[tuple[int, tuple[str, ...], Tensor]] = field(default_factory=list)
    _sent: _Sent | None = None
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
            self._send()
        if self._sent and self._sent.is_there():
            self._write()

    def flush(self) -> None:
        """Write what there is, waiting for the device. Raises RunFailed, naming the step, if a loss was not finite."""
        self._send()
        self._write()

    def _send(self) -> None:
        """Start the one transfer of a line. Nothing waits for it."""
        self._write()
        if not self._rows:
            return
        values, arrived = torch.cat([row for *_, row in self._rows]), None
        if values.is_cuda:
            values = values.to("cpu", non_blocking=True)  # to pinned memory
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record()
        now = time.perf_counter()
        steps = [(index, names) for index, names, _ in self._rows]
        self._sent = _Sent(self.trainer.step, now - self._since, steps, values, arrived)
        self._since = now
        self._rows.clear()

    def _write(self) -> None:
        """Write the line that was sent last, if it is not written yet."""
        if (sent := self._sent) is None:
            return
        self._sent = None
        if sent.arrived is not None:
            sent.arrived.synchronize()
        values = sent.values.tolist()
        batch = self.trainer.spec.train.batch
        totals: dict[str, list[float]] = {}
        for index, names in sent.steps:
            step, values = dict(zip(names, values, strict=False)), values[len(names) :]
            for name in ("loss", "grad_norm"):
                if not math.isfinite(step[name]):
                    raise RunFailed(f"{name} became {step[name]} at step {index + 1}; the last good checkpoint is kept")
            for name, value in step.items():
                totals.setdefault(name, []).append(value)
        self.loss, self.rate = _mean(totals["loss"]), len(sent.steps) * batch / sent.seconds
        self.seconds += sent.seconds
        line: dict[str, Any] = {
            "step": sent.step,
            "images": sent.step * batch,
            "seconds": round(self.seconds, 3),
            "images_per_s": round(self.rate, 1),
        }
        for name, numbers in totals.items():
            kind, _, label = name.rpartition(":")
            if kind == "alarm":
                self._raise_alarm(sent.step, label, [v for v in numbers if v > 0])
            elif kind == "sum":
                n = sum(totals[f"sum:n/{label.rpartition('/')[2]}"])
                if not label.startswith("n/"):
                    line[label] = sum(numbers) / n if n else None
            else:
                line[name] = _mean(numbers)
        if not self.trainer.team.leads:
            return
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _raise_alarm(self, step: int, name: str, shares: list[float]) -> None:
        if shares:
            if name not in self.alarmed:
                self.say(
                    f"step {step}: {name} acted, on {max(shares):.1%} of a batch at most; "
                    "how often it does is in train.jsonl and in the result"
                )
            self.alarmed[name] = self.alarmed.get(name, 0) + len(shares)

    def rewind(self) -> None:
        """Drop the lines of steps that are about to be trained again."""
        if self.path.exists() and self.trainer.team.leads:
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
    team: Team | None = None,
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
    trainer = Trainer(spec, data, stack, device, team=team, compiled=compiled)
    log = Log(folder / "train.jsonl", trainer, say)
    if (saved := checkpoint.load(folder, spec.run_id, say)) is not None:
        trainer.restore(saved)
        log.seconds, log.alarmed = saved["seconds"], saved["alarmed"]
        say(f"resuming at step {trainer.step} of {spec.train.steps}")
    log.rewind()

    def save() -> float:
        log.flush()
        started = time.perf_counter()
        if trainer.team.leads:
            checkpoint.save(folder, trainer.state() | {"seconds": log.seconds, "alarmed": log.alarmed})
        return checkpoint_seconds or max(30.0, 100 * (time.perf_counter() - started))

    due = time.perf_counter() + (checkpoint_seconds or 30.0)
    while trainer.step < spec.train.steps:
        log.add(*trainer.train_step())
        progress(trainer.step, spec.train.steps, log.loss, log.rate)
        if trainer.stops(stop):
            save()
            raise Stopped(f"stopped at step {trainer.step} of {spec.train.steps}")
        if time.perf_counter() > due:
            due = save() + time.perf_counter()
    save()
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None
    rate = spec.train.steps * spec.train.batch / max(log.seconds, 1e-9)
    size, channels, classes = data.spec.size, data.spec.channels, len(data.class_counts)
    forward = flops_per_image(spec.net, size=size, channels=channels, num_classes=classes)
    flops = 3 * forward * rate  # the backward pass costs two forward passes
    most = peak_flops(device, spec.train.precision)
    summary = {
        "seconds": round(log.seconds, 1),
        "images_per_s": round(rate, 1),
        "flops_per_s": round(flops),
        "mfu": round(flops / most / trainer.team.size, 4) if most else None,
        "peak_device_bytes": peak,
        "parameters_trained": sum(p.numel() for p in trainer.params),
        "alarm_steps": log.alarmed,
    }
    return Trained(trainer.trained_net(), trainer.noise_prior, summary)


def _clip(gradients: list[Tensor], most: float) -> Tensor:
    """Scale gradients in place so that their common norm is at most `most`; their norm before, as a tensor.

    What nn.utils.clip_grad_norm_ computes, bit for bit, in half the time for a small network on a CPU.
    """
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # half a line, from a crash

"""The contract that every method keeps, checked on a small task: the tests of this suite, and `check method NAME`."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math
import re
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from ltgen_bench import registry
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.diffusion.unet import build
from ltgen_bench.sampling.pipeline import Pipeline, labels
from ltgen_bench.spec.presets import SECTIONS
from ltgen_bench.spec.serialise import from_json, to_json
from ltgen_bench.spec.specs import DiffusionSpec, MethodSpec, NetSpec, RunSpec, SamplingSpec, TrainSpec
from ltgen_bench.training.stack import Stack, build_stack, describe, parse_methods
from ltgen_bench.training.trainer import Trainer

STEPS = 6
NET = NetSpec(channels=(32, 32), layers=1, dropout=0.1)
TINY = NetSpec(channels=(16, 16), layers=1, attention=-1, dropout=0)
FAR = 4.0
"""Samples may be that many times as far from the training images as ddpm's: methods are within 1.6, v-prediction is at
30."""
TRAIN = TrainSpec(steps=STEPS, batch=12, lr=1e-3, warmup=2, ema=0.9, label_dropout=0.3, flip=False, precision="fp32")


class Broken(Exception):
    """A method does not keep a claim; the message says how. No assert: `python -O` would leave it out."""


def _require(kept: bool, otherwise: str) -> None:
    if not kept:
        raise Broken(otherwise)


def check_method(text: str) -> Iterator[tuple[str, str | None]]:
    """(claim, what breaks it or None) for a method or a combination. Raises UsageError when it is not known."""
    stack, data = parse_methods(text), _digits()
    for claim, check in CLAIMS.items():
        try:
            check(stack, data)
        except Broken as error:
            yield claim, str(error)
        except Exception as error:
            yield claim, f"{type(error).__name__}: {error}"
        else:
            yield claim, None


def _digits() -> LongTail:
    return registry.datasets().load("digitslt")().load()


def trainer(stack: Stack, data: LongTail, seed: int = 0, *, net: NetSpec = NET, train: TrainSpec = TRAIN) -> Trainer:
    """A trainer of a small network on the task."""
    spec = RunSpec("contract", data.spec, tuple(map(describe, stack.methods)), net, train, DiffusionSpec(), seed)
    return Trainer(spec, data, stack, torch.device("cpu"))


def trained(stack: Stack, data: LongTail, steps: int = STEPS) -> Trainer:
    made = trainer(stack, data)
    for _ in range(steps):
        made.train_step()
    return made


def named_well(stack: Stack, data: LongTail) -> None:
    for m in stack.methods:
        _require(
            bool(re.fullmatch(r"[a-z0-9][a-z0-9-]*", m.name)), f"{m.name!r}: use lower-case letters, digits and hyphens"
        )
        _require(m.name not in SECTIONS, f"{m.name!r} is the name of a section of settings")


def finite_loss(stack: Stack, data: LongTail) -> None:
    made = trainer(stack, data)
    for _ in range(STEPS):
        loss, terms, _ = made.train_step()
        _require(bool(torch.isfinite(loss)), f"loss {loss.item()} at step {made.step}, terms {terms}")


def gradients_everywhere(stack: Stack, data: LongTail) -> None:
    # From the second step on: a factor that starts at zero (CM's B) hides the other one at first.
    made = trained(stack, data, 2)
    reached = {name for _ in range(STEPS) if made.train_step() for name, p in _trainable(made.net) if _moved(p)}
    missing = {name for name, _ in _trainable(made.net)} - reached
    _require(not missing, f"no gradient reaches {', '.join(sorted(missing)[:3])}")


def same_draws(stack: Stack, data: LongTail) -> None:
    mine, plain = trainer(stack, data), trainer(parse_methods("ddpm"), data)
    for index in range(STEPS):
        a, b = mine.make_step(index), plain.make_step(index)
        stack.loss(a, mine.task)
        for name, value in vars(mine.make_step(index)).items():
            if isinstance(value, Tensor):
                _require(torch.equal(getattr(a, name), value), f"it changes step.{name}, which all methods share")
        _require(torch.equal(a.t, b.t), f"other times than ddpm at step {index}")
        _require(a.unconditional == b.unconditional, f"other label dropout than ddpm at step {index}")
        if stack.sampling(mine.task) is None:
            _require(torch.equal(a.x0, b.x0), f"other images than ddpm at step {index}")
            _require(torch.equal(a.y, b.y), f"other labels than ddpm at step {index}")
        if (prior := stack.noise_prior(mine.task)) is None:
            _require(torch.equal(a.noise, b.noise), f"other noise than ddpm at step {index}")
        else:
            expected = prior.mean[a.y] + prior.std[a.y][:, None, None, None] * b.noise
            _require(torch.equal(a.noise, expected), f"noise is not mean + std * the noise of ddpm at step {index}")


def exact_resume(stack: Stack, data: LongTail) -> None:
    straight = trained(stack, data)
    first = trained(stack, data, STEPS // 2)
    saved = copy.deepcopy(first.state())
    resumed = trainer(stack, data)
    resumed.restore(saved)
    torch.rand(7)  # the state of the default generator must not matter
    while resumed.step < STEPS:
        resumed.train_step()
    for (name, a), (_, b) in zip(_flat(straight.state()), _flat(resumed.state()), strict=True):
        _require(torch.equal(a, b), f"{name} differs after resuming")


def exports_plain_network(stack: Stack, data: LongTail) -> None:
    made = trained(stack, data)
    before = copy.deepcopy(made.state())
    exported = made.trained_net()
    for (name, a), (_, b) in zip(_flat(before), _flat(made.state()), strict=True):
        _require(torch.equal(a, b), f"exporting changed {name} of the network in training")
    plain = build(NET, size=data.spec.size, channels=data.spec.channels, num_classes=len(data.class_counts), seed=0)
    expected = {k: v.shape for k, v in plain.state_dict().items()}
    got = {k: v.shape for k, v in exported.state_dict().items()}
    _require(
        got == expected, f"exported keys differ from the plain network's: {sorted(expected.keys() ^ got.keys())[:3]}"
    )
    with torch.no_grad():
        for p, averaged in zip(made.params, made.ema, strict=True):
            p.copy_(averaged)
        made.net.eval()
        step = made.make_step(0)
        gap = (made.net(step.xt, step.t, step.y) - exported(step.xt, step.t, step.y)).abs().max().item()
    _require(gap <= 1e-5, f"exported and wrapped network differ by {gap:.2g}")


def reserve_apart(stack: Stack, data: LongTail) -> None:
    made = trained(stack, data)
    general, whole = made.general_net(), made.trained_net()
    if general is not None:
        step = made.make_step(0)
        with torch.no_grad():
            same = torch.equal(general(step.xt, step.t, step.y), whole(step.xt, step.t, step.y))
        _require(not same, "without_reserve gives the very network that export gives")


def samples_like_ddpm(stack: Stack, data: LongTail) -> None:
    far = _distance(stack, data) / _distance_of_ddpm()
    _require(
        far <= FAR,
        f"after a short training its samples are {far:.3g} times as far from the training images as those of ddpm; the "
        "sampler takes the network's output for the noise, so what target() gives must be noise (not x0, v or a score)",
    )


@functools.cache
def _distance_of_ddpm() -> float:
    return _distance(parse_methods("ddpm"), _digits())


def _distance(stack: Stack, data: LongTail) -> float:
    """Of samples to the nearest training image, after a training just long enough to predict noise: RMS of pixels."""
    made = trainer(stack, data, net=TINY, train=dataclasses.replace(TRAIN, steps=60, batch=32, lr=3e-3))
    while made.step < made.spec.train.steps:
        made.train_step()
    spec = SamplingSpec(images=30, steps=10, omega=0)
    pipeline = Pipeline(made.trained_net(), spec, made.spec.diffusion, seed=0, noise_prior=made.noise_prior)
    x = pipeline.sample(range(30), labels(30, len(data.class_counts)))
    real = torch.from_numpy(data.train.pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    nearest = torch.cdist(x.flatten(1), real.flatten(1)).amin(1)
    return nearest.mean().item() / math.sqrt(x[0].numel())


def settings_are_json(stack: Stack, data: LongTail) -> None:
    specs = [from_json(MethodSpec, to_json(describe(m))) for m in stack.methods]
    _require(build_stack(specs).methods == stack.methods, "hyper-parameters do not survive being written and read")


CLAIMS: dict[str, Callable[[Stack, LongTail], None]] = {
    "its name can be typed": named_well,
    "hyper-parameters survive being written and read": settings_are_json,
    "the loss is finite": finite_loss,
    "gradients reach every trainable parameter": gradients_everywhere,
    "it sees the same batches, times and noise as ddpm": same_draws,
    "a resumed run equals an uninterrupted one bit for bit": exact_resume,
    "export gives the plain network with equal outputs": exports_plain_network,
    "without its reserve, if it has one, it is another plain network": reserve_apart,
    "its network samples about as ddpm's does": samples_like_ddpm,
}


def _trainable(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return [(name, p) for name, p in net.named_parameters() if p.requires_grad]


def _moved(p: nn.Parameter) -> bool:
    return p.grad is not None and bool((p.grad != 0).any())


def _flat(value: object, name: str = "state") -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _flat(item, f"{name}.{i}")

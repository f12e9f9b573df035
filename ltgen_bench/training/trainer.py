"""The one training loop that all methods share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor

from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.device import exact_float32
from ltgen_bench.diffusion.compiled import CompiledDenoiser
from ltgen_bench.diffusion.denoiser import Denoiser, Network
from ltgen_bench.diffusion.noise_prior import class_noise
from ltgen_bench.diffusion.schedule import alphas_cumprod
from ltgen_bench.diffusion.unet import build
from ltgen_bench.errors import UsageError
from ltgen_bench.spec.specs import RunSpec
from ltgen_bench.training.batches import Batches, class_means
from ltgen_bench.training.data_parallel import ProcessGroup, SharedDenoiser
from ltgen_bench.training.ema import EMA
from ltgen_bench.training.method import Step, Task
from ltgen_bench.training.stack import Stack

AGREE_EVERY = 10
"""Several processes can stop together after every so many steps."""


class Trainer:
    """Trains one run. State (weights, EMA, optimizer, step) lives here; every draw is a function of (seed, step).

    net: the plain network, which has the weights; network: the same as a step runs it, compiled or shared.
    """

    def __init__(
        self,
        spec: RunSpec,
        data: LongTail,
        stack: Stack,
        device: torch.device,
        *,
        processes: ProcessGroup | None = None,
        compiled: bool = False,
    ) -> None:
        self.spec, self.stack, self.device, self.processes = spec, stack, device, processes or ProcessGroup()
        self.compiled = compiled
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
            train,
            timesteps=spec.diffusion.timesteps,
            seed=spec.seed,
            device=device,
            class_weights=stack.sampling(self.task),
        )
        self.noise_prior = stack.noise_prior(self.task)

        net = self._plain_net()
        self.plain_shapes = {name: value.shape for name, value in net.state_dict().items()}
        stack.wrap(net, self.task, spec.seed)
        self.net = _onto(device, net).train()
        self.network: Network = CompiledDenoiser(self.net) if compiled else self.net
        if self.processes.size > 1:
            self.network = SharedDenoiser(self.network, self.processes)
        self.params = [p for p in self.net.parameters() if p.requires_grad]
        self.ema = EMA([p.detach() for p in self.params], train.ema)
        self.optimizer = torch.optim.Adam(self.params, lr=train.lr, fused=True)
        self.step = 0

    @exact_float32()
    def train_step(self) -> tuple[Tensor, dict[str, Tensor], Step]:
        """One step of the shared recipe. Nothing here waits for the device (no host-device synchronisation)."""
        train, step = self.spec.train, self.make_step(self.step)
        with self._autocast():
            loss, terms = self.stack.loss(step, self.task)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.processes.average(self.params)
        step.logged["grad_norm"] = _clip([p.grad for p in self.params if p.grad is not None], train.grad_clip)
        for group in self.optimizer.param_groups:
            group["lr"] = train.lr * min(1.0, (self.step + 1) / max(1, train.warmup))
        self.optimizer.step()
        self.ema.update()
        self.step += 1
        return loss.detach(), terms, step

    def make_step(self, index: int) -> Step:
        """The batch, times and noise of a step: the same for every method."""
        x0, y = self.batches.images(index)
        t, noise = self.batches.times(index), class_noise(self.noise_prior, self.batches.noise(index), y)
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
            net=self.network,
        )

    def stops(self, stop: Callable[[], bool]) -> bool:
        """Whether to stop after this step. Several processes must agree, which synchronises them: only now and then."""
        alone = self.processes.size == 1
        return stop() if alone else self.step % AGREE_EVERY == 0 and self.processes.any(stop())

    def trained_net(self) -> Denoiser:
        """A plain network with the averaged weights, what methods added folded in. Raises UsageError as `export`."""
        return self._plain_with(self.export())

    def general_net(self) -> Denoiser | None:
        """The same without the reserve of the method that has one; None when none has. Raises UsageError."""
        state = self.stack.without_reserve(self._averaged())
        return None if state is None else self._plain_with(self._checked(state, "without_reserve"))

    @torch.no_grad()
    def export(self) -> dict[str, Tensor]:
        """The weights of the plain network: averaged, what methods added folded in.

        Raises UsageError, naming what is left over or missing, when a method's `export` does not undo its `wrap`.
        """
        return self._checked(self.stack.export(self._averaged()), "export")

    @torch.no_grad()
    def _averaged(self) -> dict[str, Tensor]:
        """The state dict of the network in training, with averaged weights."""
        averaged = {id(p): mean for p, mean in zip(self.params, self.ema, strict=True)}
        return {name: averaged.get(id(p), p).clone() for name, p in self.net.state_dict(keep_vars=True).items()}

    def _plain_with(self, state: dict[str, Tensor]) -> Denoiser:
        net = self._plain_net()
        net.load_state_dict(state)
        return _onto(self.device, net).eval()

    def _checked(self, state: dict[str, Tensor], hook: str) -> dict[str, Tensor]:
        """The state that a hook gave. Raises UsageError unless it is the plain network's."""
        shapes = {name: value.shape for name, value in state.items()}
        wrong = {
            "left behind": shapes.keys() - self.plain_shapes.keys(),
            "missing": self.plain_shapes.keys() - shapes.keys(),
            "of another shape": {n for n, shape in self.plain_shapes.items() if shapes.get(n, shape) != shape},
        }
        if any(wrong.values()):
            found = "; ".join(f"{what}: {_some(names)}" for what, names in wrong.items() if names)
            raise UsageError(f"{hook}() of {self.stack.name} does not give the weights of the plain network ({found})")
        return state

    def _plain_net(self) -> Denoiser:
        """A freshly initialised network, as `build` makes it."""
        data = self.spec.dataset
        classes = len(data.class_counts)
        return build(self.spec.net, size=data.size, channels=data.channels, num_classes=classes, seed=self.spec.seed)

    def state(self) -> dict[str, Any]:
        return {
            "run_id": self.spec.run_id,
            "step": self.step,
            "net": self.net.state_dict(),
            "ema": self.ema.average,
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        self.net.load_state_dict(state["net"])
        self.ema.restore(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        if self.spec.train.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)


def _onto(device: torch.device, net: Denoiser) -> Denoiser:
    """The network on the device, in the layout that is fast there."""
    net.to(device)
    return net.to(memory_format=torch.channels_last) if device.type == "cuda" else net


def _some(names: Collection[str]) -> str:
    """The first few of the names, and how many more there are."""
    first = sorted(names)[:3]
    return ", ".join(first) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _clip(gradients: list[Tensor], most: float) -> Tensor:
    """Scale gradients in place so that their common norm is at most `most`; their norm before, as a tensor.

    What nn.utils.clip_grad_norm_ computes, bit for bit, in half the time for a small network on a CPU.
    """
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (most / (norm + 1e-6)).clamp(max=1.0))
    return norm

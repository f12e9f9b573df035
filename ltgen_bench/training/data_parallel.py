"""Data-parallel training: processes share the passes through the network, and all do everything else alike.

Every process makes the whole batch, and every method sees the whole batch: its labels, its noise, its predictions. Only
the network's passes work on a slice of it, dropout masks included; the predictions are then exchanged. So a method
needs to know nothing of this, also one that couples the images of a batch, and N processes compute what one would, up
to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ltgen_bench.diffusion.denoiser import Encoded, Network
from ltgen_bench.diffusion.dropout_masks import HALVES, Half, Masks

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel


@dataclass
class ProcessGroup:
    """The processes of a training: torch.distributed's default process group. One alone needs none."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> ProcessGroup:
        """The process group that torchrun started this process for."""
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether any process says so: an all-reduce, so that all get the same answer."""
        if self.size == 1:
            return flag
        said = torch.tensor(float(flag), device=_device())
        dist.all_reduce(said)
        return said.item() > 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """All-reduce the gradients to their mean. Every process has gradients of the same parameters."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        dist.all_reduce(flat)
        flat /= self.size
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at : at + gradient.numel()].view_as(gradient))
            at += gradient.numel()

    def slice(self, batch: int) -> slice:
        """This process's images of a batch. A batch of fewer images than processes leaves some without any."""
        return slice(self.rank * batch // self.size, (self.rank + 1) * batch // self.size)


class SharedDenoiser(nn.Module):
    """A `Network` that takes and gives whole batches, and has another one work on this process's slice of them."""

    def __init__(self, net: Network, processes: ProcessGroup) -> None:
        super().__init__()
        self.net, self.processes = net, processes

    @property
    def unet(self) -> UNet2DModel:
        return self.net.unet

    def encode(self, x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> EncodedSlice:
        own = self.processes.slice(len(x))
        encoded = self.net.encode(x[own], t[own], y[own], self._of_slice("encoder", masks, len(x)))
        return EncodedSlice(encoded, len(x), self.processes)

    def decode(self, encoded: EncodedSlice | Encoded, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor:
        if isinstance(encoded, Encoded):  # parts that every process has
            return self.net.decode(encoded, masks, rows)
        # Of some images only: still all of the slice. Which process has how many of them is for the device to know.
        eps = self.net.decode(encoded.own, self._of_slice("decoder", masks, encoded.batch))
        whole = exchange(eps, encoded.batch, self.processes)
        return whole if rows is None else whole[rows]

    def forward(self, x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor:
        own = self.processes.slice(len(x))
        parts = {half: self._of_slice(half, None if masks is None else masks[half], len(x)) for half in HALVES}
        return exchange(self.net(x[own], t[own], y[own], parts), len(x), self.processes)

    def draw_masks(self, half: Half, batch: int) -> Masks:
        """Those of the whole batch: every process draws the same."""
        return self.net.draw_masks(half, batch)

    def _of_slice(self, half: Half, masks: Masks | None, batch: int) -> Masks:
        own = self.processes.slice(batch)
        return tuple(mask[own] for mask in (self.draw_masks(half, batch) if masks is None else masks))


@dataclass
class EncodedSlice:
    """The down and middle path of this process's slice of a batch, which `decode` needs.

    Who asks for its parts, as of an `Encoded`, gets those of the whole batch; then every process must ask.
    """

    own: Encoded
    batch: int
    processes: ProcessGroup

    @property
    def hidden(self) -> Tensor:
        return exchange(self.own.hidden, self.batch, self.processes)

    @property
    def skips(self) -> tuple[Tensor, ...]:
        return tuple(exchange(part, self.batch, self.processes) for part in self.own.skips)

    @property
    def emb(self) -> Tensor:
        return exchange(self.own.emb, self.batch, self.processes)

    def of(self, rows: Tensor) -> Encoded:
        """That of some images of the whole batch, by index, in every process."""
        return Encoded(self.hidden, self.skips, self.emb).of(rows)


def exchange(own: Tensor, batch: int, processes: ProcessGroup) -> Tensor:
    """The whole batch, (batch, ...), of which every process has its slice."""
    whole: Tensor = _Exchange.apply(own, batch, processes)
    return whole


class _Exchange(torch.autograd.Function):
    """The rows of all processes, from each one's own: an all-gather with gradient.

    Every process then has the loss of the whole batch, but a gradient through its own slice alone. As gradients are
    averaged over the processes, that slice counts `size` times.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, batch: int, processes: ProcessGroup) -> Tensor:
        ctx.slice, ctx.size, ctx.dtype = processes.slice(batch), processes.size, own.dtype
        whole = torch.zeros((batch, *own.shape[1:]), dtype=torch.float32, device=own.device)
        whole[ctx.slice] = own
        dist.all_reduce(whole)
        return whole.to(own.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.slice] * ctx.size, None, None


def _device() -> str:
    return f"cuda:{os.environ['LOCAL_RANK']}" if dist.get_backend() == "nccl" else "cpu"

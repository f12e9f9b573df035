"""Several processes on one training: the passes through the network are shared out, all else is done by all alike.

Every process makes the whole batch, and every method sees the whole batch: its labels, its noise, its predictions. Only
`Denoiser.encode` and `decode` work on a slice of it, dropout masks included; the predictions are then exchanged. So a
method needs to know nothing of this, also one that couples the images of a batch, and N processes compute what one
would, up to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ltgen_bench.network import Denoiser, Encoded


@dataclass
class Team:
    """The processes of a training. One alone needs no torch.distributed."""

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls, device: torch.device) -> Team:
        """The team that torchrun started this process for."""
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size())

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Whether any process says so; all get the same answer. Waits for all."""
        if self.size == 1:
            return flag
        said = torch.tensor(float(flag), device=_device())
        dist.all_reduce(said)
        return said.item() > 0

    def average(self, parameters: Iterable[nn.Parameter]) -> None:
        """Put the mean over the team in place of each gradient. Every process has gradients of the same parameters."""
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

    def share_out(self, net: Denoiser) -> None:
        """From now on `net.encode` and `net.decode` take and give whole batches, and work on this process's slice."""
        if self.size == 1:
            return
        encode, decode, masks = net.encode, net.decode, _share_dropout(net, self)

        def encode_slice(x: Tensor, t: Tensor, y: Tensor) -> _Slice:
            masks.batch = len(x)
            mine = self.slice(len(x))
            return _Slice(encode(x[mine], t[mine], y[mine]), len(x))

        def decode_slice(part: _Slice) -> Tensor:
            masks.batch = part.batch
            whole: Tensor = _Exchange.apply(decode(part.encoded), part.batch, self)
            return whole

        net.__dict__.update(encode=encode_slice, decode=decode_slice)


class _Slice(NamedTuple):
    """What `decode` needs of this process's slice, and the size of the whole batch."""

    encoded: Encoded
    batch: int


class _Exchange(torch.autograd.Function):
    """The predictions of all processes, from each one's own.

    Every process then has the loss of the whole batch, but a gradient through its own slice alone. As gradients are
    averaged over the team, that slice counts `size` times.
    """

    @staticmethod
    def forward(ctx: Any, mine: Tensor, batch: int, team: Team) -> Tensor:
        ctx.slice, ctx.size, ctx.dtype = team.slice(batch), team.size, mine.dtype
        whole = torch.zeros((batch, *mine.shape[1:]), dtype=torch.float32, device=mine.device)
        whole[ctx.slice] = mine
        dist.all_reduce(whole)
        return whole.to(mine.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient[ctx.slice] * ctx.size, None, None


class _Masks:
    """The size of the batch that dropout masks are to be drawn for."""

    batch = 0


class _Dropout(nn.Module):
    """Dropout on a slice of a batch with the mask of the whole one, so that N processes drop what one would."""

    def __init__(self, p: float, team: Team, masks: _Masks) -> None:
        super().__init__()
        self.p, self.team, self.masks = p, team, masks

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        batch = self.masks.batch
        whole = torch.ones_like(x[:1]).expand(batch, *x.shape[1:]).contiguous(memory_format=_memory_format(x))
        return x * nn.functional.dropout(whole, self.p)[self.team.slice(batch)]


def _share_dropout(net: nn.Module, team: Team) -> _Masks:
    masks = _Masks()
    for module in list(net.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, _Dropout(child.p, team, masks))
    return masks


def _memory_format(x: Tensor) -> torch.memory_format:
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return torch.channels_last if last else torch.contiguous_format


def _device() -> str:
    return f"cuda:{os.environ['LOCAL_RANK']}" if dist.get_backend() == "nccl" else "cpu"

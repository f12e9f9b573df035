"""Several processes on one training: the passes through the network are shared out, all else is done by all alike.

Every process makes the whole batch, and every method sees the whole batch: its labels, its noise, its predictions. Only
the network's passes work on a slice of it, dropout masks included; the predictions are then exchanged. So a method
needs to know nothing of this, also one that couples the images of a batch, and N processes compute what one would, up
to the order of sums.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ltgen_bench.diffusion.denoiser import HALVES, Denoiser, Encoded, Half, Masks


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
        """From now on the network takes and gives whole batches, and works on this process's slice of them."""
        if self.size == 1:
            return
        encode, decode, forward, draw_masks = net.encode, net.decode, net.forward, net.draw_masks

        def of_slice(half: Half, masks: Masks | None, batch: int) -> Masks:
            return tuple(m[self.slice(batch)] for m in (draw_masks(half, batch) if masks is None else masks))

        def encode_slice(x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> _Slice:
            mine = self.slice(len(x))
            return _Slice(encode(x[mine], t[mine], y[mine], of_slice("encoder", masks, len(x))), len(x))

        def decode_slice(part: _Slice, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor:
            # Of some images only: still all of the slice. Which process has how many of them is for the device to know.
            eps = decode(part.encoded, of_slice("decoder", masks, part.batch))
            whole: Tensor = _Exchange.apply(eps, part.batch, self)
            return whole if rows is None else whole[rows]

        def forward_slice(x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor:
            mine = self.slice(len(x))
            parts = {half: of_slice(half, None if masks is None else masks[half], len(x)) for half in HALVES}
            whole: Tensor = _Exchange.apply(forward(x[mine], t[mine], y[mine], parts), len(x), self)
            return whole

        net.__dict__.update(encode=encode_slice, decode=decode_slice, forward=forward_slice)


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


def _device() -> str:
    return f"cuda:{os.environ['LOCAL_RANK']}" if dist.get_backend() == "nccl" else "cpu"

"""Dropout whose masks are drawn before a pass, in the order and layout in which its layers would draw them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

Half = Literal["encoder", "decoder"]
HALVES: tuple[Half, Half] = ("encoder", "decoder")
Masks = tuple[Tensor, ...]
"""The dropout masks of a half for a batch, one for each of its dropout layers, in the order in which they run."""

T = TypeVar("T")


class Dropout(nn.Dropout):
    """Dropout by a mask made before the pass; without one it draws on the spot, as ever."""

    mask: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.mask is None or self.p == 0 or not self.training:
            return super().forward(input)
        return input * self.mask


class MaskLayout(NamedTuple):
    """What the mask of a dropout layer looks like."""

    layer: Dropout
    shape: torch.Size
    dtype: torch.dtype
    memory_format: torch.memory_format


def replace_dropout(net: nn.Module) -> None:
    """Put `Dropout` in place of every nn.Dropout of a network."""
    for module in list(net.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p))


@torch.no_grad()
def rehearse(net: nn.Module, run: Callable[[], T]) -> tuple[T, list[MaskLayout]]:
    """What a pass returns, and the masks that it will need: found by running it once, on zeros.

    The layers of a network say neither in which order they run nor on what. For example, the decoder of the network
    with `channels=(32, 32)`, `layers=1`, `dropout=0.1`, on a batch of 12 images of 8x8, runs four residual blocks with
    one dropout layer each, the lower level first:

        up_blocks.0.resnets.0.dropout  (12, 32, 4, 4)
        up_blocks.0.resnets.1.dropout  (12, 32, 4, 4)
        up_blocks.1.resnets.0.dropout  (12, 32, 8, 8)
        up_blocks.1.resnets.1.dropout  (12, 32, 8, 8)

    So `draw` makes four masks of these shapes, in this order, from the device's default generator: the numbers that
    the layers would draw themselves. An element is 0 with probability 0.1, else 1 / 0.9. The shapes depend on the batch
    alone, so a pass is rehearsed once for each size of batch.
    """
    found: list[MaskLayout] = []

    def note(layer: Dropout, inputs: tuple[Tensor]) -> None:
        (x,) = inputs
        last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
        found.append(MaskLayout(layer, x.shape, x.dtype, torch.channels_last if last else torch.contiguous_format))
        layer.mask = x.new_ones(())  # nothing is drawn

    layers = [m for m in net.modules() if isinstance(m, Dropout) and m.p > 0]
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        return run(), found
    finally:
        for hook in hooks:
            hook.remove()
        torch.clear_autocast_cache()  # casts of weights that were made without gradients


def draw(layouts: Iterable[MaskLayout], device: torch.device) -> Masks:
    """New masks, from the device's default generator."""
    masks = []
    for layer, shape, dtype, memory_format in layouts:
        mask = torch.empty(shape, dtype=dtype, device=device, memory_format=memory_format)
        masks.append(mask.bernoulli_(1 - layer.p).div_(1 - layer.p))
    return tuple(masks)


def use(layouts: Iterable[MaskLayout], masks: Masks, rows: Tensor | None = None) -> None:
    """Have the next pass drop by these masks of a batch; by those of some of its images only, by index."""
    for (layer, *_), mask in zip(layouts, masks, strict=True):
        layer.mask = mask if rows is None else mask.index_select(0, rows)

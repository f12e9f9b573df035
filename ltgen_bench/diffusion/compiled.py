"""The denoising network through torch.compile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ltgen_bench.diffusion.denoiser import Denoiser, Encoded
from ltgen_bench.diffusion.dropout_masks import Half, Masks

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel


class CompiledDenoiser(nn.Module):
    """A `Network` that runs the passes of another through torch.compile. It has no weights of its own.

    A pass, or a half run apart, is one graph of static shapes: a method's passes on whole batches and on parts of one,
    with and without what it added to the network, get a graph each.
    """

    def __init__(self, net: Denoiser) -> None:
        super().__init__()
        self.net = net
        self._encoder_pass = torch.compile(net.encoder_pass, fullgraph=True, dynamic=False)
        self._decoder_pass = torch.compile(net.decoder_pass, fullgraph=True, dynamic=False)
        self._whole_pass = torch.compile(net.whole_pass, fullgraph=True, dynamic=False)

    @property
    def unet(self) -> UNet2DModel:
        return self.net.unet

    def encode(self, x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> Encoded:
        self.net.use_masks("encoder", len(x), masks)
        return self._encoder_pass(x, t, y)

    def decode(self, encoded: Encoded, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor:
        self.net.use_masks("decoder", len(encoded.hidden), masks, rows)
        return self._decoder_pass(encoded if rows is None else encoded.of(rows))

    def forward(self, x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor:
        self.net.use_masks_of_both(len(x), masks)
        return self._whole_pass(x, t, y)

    def draw_masks(self, half: Half, batch: int) -> Masks:
        return self.net.draw_masks(half, batch)

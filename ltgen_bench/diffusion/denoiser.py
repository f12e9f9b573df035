"""The denoising network: diffusers' UNet2DModel, run in two halves, with a null label that adds nothing.

Three kinds of `Network` do the same on other terms: `Denoiser` itself, `compiled.CompiledDenoiser` and
`training.data_parallel.SharedDenoiser`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import torch
from torch import Tensor, nn

from ltgen_bench.diffusion.dropout_masks import HALVES, Half, MaskLayout, Masks, draw, rehearse, replace_dropout, use

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel


class Encoded(NamedTuple):
    """What the up path needs: the middle block's output, the skip connections and the time + label embedding."""

    hidden: Tensor
    skips: tuple[Tensor, ...]
    emb: Tensor

    def of(self, rows: Tensor) -> Encoded:
        """That of some images of the batch, by index."""
        hidden, *skips, emb = (part.index_select(0, rows) for part in (self.hidden, *self.skips, self.emb))
        return Encoded(hidden, tuple(skips), emb)


class Network(Protocol):
    """eps(x_t, t, y), as a training step and its methods use it; shapes as in `Denoiser`.

    What `encode` gives has the parts of `Encoded` and is for the same network's `decode`.
    """

    @property
    def unet(self) -> UNet2DModel: ...

    def encode(self, x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> Any: ...

    def decode(self, encoded: Any, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor: ...

    def __call__(self, x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor: ...

    def draw_masks(self, half: Half, batch: int) -> Masks: ...

    def modules(self) -> Iterator[nn.Module]: ...


class Denoiser(nn.Module):
    """eps(x_t, t, y): a UNet2DModel whose down + middle path (`encode`) and up path (`decode`) can be run apart.

    A method whose extra pass differs in the up path alone can so reuse the first half. `forward` is both halves, and
    equals the UNet2DModel's own forward.

    In training, the dropout masks of a pass are drawn before it, from the device's default generator, in the order and
    layout in which its layers would draw them; or they are given: those of another pass (`draw_masks`). So the pass
    itself is a function of tensors, which compiles to one graph; a pass on part of a batch can use the masks of the
    whole one; and processes can share a pass.
    """

    def __init__(self, unet: UNet2DModel) -> None:
        super().__init__()
        self.unet = unet
        replace_dropout(unet)
        self._layouts: dict[tuple[Half, int], list[MaskLayout]] = {}

    def encode(self, x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> Encoded:
        """x: (B, channels, height, width); t: (B,) times; y: (B,) labels, C for none."""
        self.use_masks("encoder", len(x), masks)
        return self.encoder_pass(x, t, y)

    def decode(self, encoded: Encoded, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor:
        """The predicted noise, (B, channels, height, width); of some images only, by index, with their masks."""
        self.use_masks("decoder", len(encoded.hidden), masks, rows)
        return self.decoder_pass(encoded if rows is None else encoded.of(rows))

    def forward(self, x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor:
        """Both halves at once."""
        self.use_masks_of_both(len(x), masks)
        return self.whole_pass(x, t, y)

    def draw_masks(self, half: Half, batch: int) -> Masks:
        """New masks of a half for a batch; none where nothing is dropped."""
        return draw(self._layout(half, batch), self.unet.conv_in.bias.device)

    def use_masks(self, half: Half, batch: int, masks: Masks | None, rows: Tensor | None = None) -> None:
        """Have the next pass drop by these masks of a batch, or by new ones; by those of some of its images only."""
        use(self._layout(half, batch), self.draw_masks(half, batch) if masks is None else masks, rows)

    def use_masks_of_both(self, batch: int, masks: Mapping[Half, Masks] | None) -> None:
        """Have the next pass through both halves drop by these masks of a batch, or by new ones."""
        for half in HALVES:
            self.use_masks(half, batch, None if masks is None else masks[half])

    # The passes themselves, by the masks that are set: functions of tensors, so that they can be compiled.

    def encoder_pass(self, x: Tensor, t: Tensor, y: Tensor) -> Encoded:
        unet = self.unet
        emb = unet.time_embedding(unet.time_proj(t)) + unet.class_embedding(y)
        hidden = unet.conv_in(x)
        skips: tuple[Tensor, ...] = (hidden,)
        for block in unet.down_blocks:
            hidden, more = block(hidden_states=hidden, temb=emb)
            skips += more
        return Encoded(unet.mid_block(hidden, emb), skips, emb)

    def decoder_pass(self, encoded: Encoded) -> Tensor:
        unet = self.unet
        hidden, skips, emb = encoded
        for block in unet.up_blocks:
            n = len(block.resnets)
            hidden = block(hidden, skips[-n:], emb)
            skips = skips[:-n]
        return cast(Tensor, unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden))))

    def whole_pass(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.decoder_pass(self.encoder_pass(x, t, y))

    def _layout(self, half: Half, batch: int) -> list[MaskLayout]:
        if not self.training:
            return []
        if (half, batch) not in self._layouts:
            self._rehearse(batch)
        return self._layouts[half, batch]

    def _rehearse(self, batch: int) -> None:
        config, device = self.unet.config, self.unet.conv_in.bias.device
        zeros = torch.zeros(batch, dtype=torch.long, device=device)
        x = torch.zeros(batch, config.in_channels, config.sample_size, config.sample_size, device=device)
        encoded, self._layouts["encoder", batch] = rehearse(self, lambda: self.encoder_pass(x, zeros, zeros))
        _, self._layouts["decoder", batch] = rehearse(self, lambda: self.decoder_pass(encoded))

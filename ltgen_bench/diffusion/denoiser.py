"""The denoising network: diffusers' UNet2DModel, run in two halves, with a null label that adds nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel


Half = Literal["encoder", "decoder"]
HALVES: tuple[Half, Half] = ("encoder", "decoder")
Masks = tuple[Tensor, ...]
"""The dropout masks of a half for a batch, one for each of its dropout layers, in the order in which they run."""


class Encoded(NamedTuple):
    """What the up path needs: the middle block's output, the skip connections and the time + label embedding."""

    hidden: Tensor
    skips: tuple[Tensor, ...]
    emb: Tensor

    def of(self, rows: Tensor) -> Encoded:
        """That of some images of the batch, by index."""
        hidden, *skips, emb = (part.index_select(0, rows) for part in (self.hidden, *self.skips, self.emb))
        return Encoded(hidden, tuple(skips), emb)


class Dropout(nn.Dropout):
    """Dropout by a mask made before the pass; without one it draws on the spot, as ever."""

    mask: Tensor | None = None

    def forward(self, input: Tensor) -> Tensor:
        if self.mask is None or self.p == 0 or not self.training:
            return super().forward(input)
        return input * self.mask


class _Layout(NamedTuple):
    """What the mask of a dropout layer looks like."""

    layer: Dropout
    shape: torch.Size
    dtype: torch.dtype
    memory_format: torch.memory_format


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
        for module in list(unet.modules()):
            for name, child in module.named_children():
                if type(child) is nn.Dropout:
                    setattr(module, name, Dropout(child.p))
        self._layouts: dict[tuple[Half, int], list[_Layout]] = {}

    def encode(self, x: Tensor, t: Tensor, y: Tensor, masks: Masks | None = None) -> Encoded:
        """x: (B, channels, height, width); t: (B,) times; y: (B,) labels, C for none."""
        self._use("encoder", len(x), masks)
        return self._encode(x, t, y)

    def decode(self, encoded: Encoded, masks: Masks | None = None, rows: Tensor | None = None) -> Tensor:
        """The predicted noise, (B, channels, height, width); of some images only, by index, with their masks."""
        self._use("decoder", len(encoded.hidden), masks, rows)
        return self._decode(encoded if rows is None else encoded.of(rows))

    def forward(self, x: Tensor, t: Tensor, y: Tensor, masks: Mapping[Half, Masks] | None = None) -> Tensor:
        """Both halves at once."""
        for half in HALVES:
            self._use(half, len(x), None if masks is None else masks[half])
        return self._both(x, t, y)

    def draw_masks(self, half: Half, batch: int) -> Masks:
        """New masks of a half for a batch; none where nothing is dropped."""
        masks = []
        for layer, shape, dtype, memory_format in self._layout(half, batch):
            device = self.unet.conv_in.bias.device
            mask = torch.empty(shape, dtype=dtype, device=device, memory_format=memory_format)
            masks.append(mask.bernoulli_(1 - layer.p).div_(1 - layer.p))
        return tuple(masks)

    def _use(self, half: Half, batch: int, masks: Masks | None, rows: Tensor | None = None) -> None:
        """Have the next pass drop by these masks of a batch, or by new ones; by those of some of its images only."""
        masks = self.draw_masks(half, batch) if masks is None else masks
        for (layer, *_), mask in zip(self._layout(half, batch), masks, strict=True):
            layer.mask = mask if rows is None else mask.index_select(0, rows)

    def _layout(self, half: Half, batch: int) -> list[_Layout]:
        if not self.training:
            return []
        if (half, batch) not in self._layouts:
            self._rehearse(batch)
        return self._layouts[half, batch]

    @torch.no_grad()
    def _rehearse(self, batch: int) -> None:
        """Find which dropout layers each half runs, in which order and on what, by passes on zeros."""
        found: list[_Layout] = []

        def note(layer: Dropout, inputs: tuple[Tensor]) -> None:
            (x,) = inputs
            last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
            memory_format = torch.channels_last if last else torch.contiguous_format
            found.append(_Layout(layer, x.shape, x.dtype, memory_format))
            layer.mask = x.new_ones(())  # nothing is drawn

        layers = [m for m in self.modules() if isinstance(m, Dropout) and m.p > 0]
        hooks = [layer.register_forward_pre_hook(note) for layer in layers]
        config, device = self.unet.config, self.unet.conv_in.bias.device
        zeros = torch.zeros(batch, dtype=torch.long, device=device)
        x = torch.zeros(batch, config.in_channels, config.sample_size, config.sample_size, device=device)
        encoded = Denoiser._encode(self, x, zeros, zeros)
        self._layouts["encoder", batch] = found.copy()
        found.clear()
        Denoiser._decode(self, encoded)
        self._layouts["decoder", batch] = found
        for hook in hooks:
            hook.remove()
        torch.clear_autocast_cache()  # casts of weights that were made without gradients

    def _encode(self, x: Tensor, t: Tensor, y: Tensor) -> Encoded:
        unet = self.unet
        emb = unet.time_embedding(unet.time_proj(t)) + unet.class_embedding(y)
        hidden = unet.conv_in(x)
        skips: tuple[Tensor, ...] = (hidden,)
        for block in unet.down_blocks:
            hidden, more = block(hidden_states=hidden, temb=emb)
            skips += more
        return Encoded(unet.mid_block(hidden, emb), skips, emb)

    def _decode(self, encoded: Encoded) -> Tensor:
        unet = self.unet
        hidden, skips, emb = encoded
        for block in unet.up_blocks:
            n = len(block.resnets)
            hidden = block(hidden, skips[-n:], emb)
            skips = skips[:-n]
        return cast(Tensor, unet.conv_out(unet.conv_act(unet.conv_norm_out(hidden))))

    def _both(self, x: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return Denoiser._decode(self, Denoiser._encode(self, x, t, y))

    def compile_passes(self) -> None:
        """Run passes through torch.compile from now on; copies of this network are plain again.

        A pass, or a half run apart, is one graph of static shapes: a method's passes on whole batches and on parts of
        one, with and without what it added to the network, get a graph each.
        """
        passes = {name: getattr(self, name) for name in ("_encode", "_decode", "_both")}
        self.__dict__.update({n: torch.compile(run, fullgraph=True, dynamic=False) for n, run in passes.items()})

    def __getstate__(self) -> dict[str, Any]:
        """Without what stands in for methods of this object: compiled passes, those shared by several processes."""
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        return {name: value for name, value in state.items() if not callable(getattr(Denoiser, name, None))}

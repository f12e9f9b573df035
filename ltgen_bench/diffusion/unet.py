"""diffusers' UNet2DModel as the long-tail papers have it: built, initialised and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ltgen_bench.diffusion.denoiser import Denoiser
from ltgen_bench.rng import generator

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d import UNet2DModel

    from ltgen_bench.spec.specs import NetSpec


def build(spec: NetSpec, *, size: int, channels: int, num_classes: int, seed: int) -> Denoiser:
    """A freshly initialised network; with the `paper` preset, the DDPM CIFAR network of the long-tail papers.

    The label table has C + 1 rows: row C, the null label, is zero and stays zero (`padding_idx`: it gets no gradient),
    so that "no label" adds nothing to the time embedding, as in the papers' code, which has no such row. That is the
    one difference in parameters: 35,746,307 + 512 (C + 1), of which 512 are zeros, against 35,746,307 + 512 C.
    """
    unet = _unet(spec, size, channels, num_classes)
    _initialise(unet, generator("cpu", seed, "init"))
    return Denoiser(unet)


def _unet(spec: NetSpec, size: int, channels: int, num_classes: int) -> UNet2DModel:
    from diffusers.models.unets.unet_2d import UNet2DModel  # 3 s to import: not for planning and --help

    attention = [level == spec.attention for level in range(len(spec.channels))]
    unet = UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        flip_sin_to_cos=False,
        block_out_channels=spec.channels,
        layers_per_block=spec.layers,
        down_block_types=tuple("AttnDownBlock2D" if a else "DownBlock2D" for a in attention),
        up_block_types=tuple("AttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention)),
        attention_head_dim=None,  # one head, as published
        dropout=spec.dropout,
        norm_num_groups=spec.resolved.groups,
        num_class_embeds=num_classes + 1,
    )
    unet.class_embedding.padding_idx = num_classes
    return unet


@torch.no_grad()
def _initialise(unet: UNet2DModel, rng: torch.Generator) -> None:
    """As the DDPM code of the long-tail papers: Xavier uniform, zero biases, residual branches that end near zero.

    Attention's output projection starts like any other layer: that code gives it a near-zero gain, too, but the
    initialiser of the block around it runs later and overwrites it.
    """
    for name, module in unet.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            last = name.endswith("conv2") or name == "conv_out"
            nn.init.xavier_uniform_(module.weight, gain=1e-5 if last else 1.0, generator=rng)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.normal_(generator=rng)
            module.weight[module.padding_idx] = 0


def flops_per_image(spec: NetSpec, *, size: int, channels: int, num_classes: int) -> int:
    """Floating-point operations of one forward pass for one image (a multiply-add counts as two)."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        label = torch.zeros(1, dtype=torch.long)
        net = Denoiser(_unet(spec, size, channels, num_classes)).eval()
        net(torch.empty(1, channels, size, size), label, label)
    return int(counter.get_total_flops())


def parameters(spec: NetSpec, *, size: int, channels: int, num_classes: int) -> int:
    """How many the network has that images are sampled from."""
    with torch.device("meta"):
        return sum(p.numel() for p in _unet(spec, size, channels, num_classes).parameters())


def smallest_multiple(levels: int) -> int:
    """Image sizes must be a multiple of this, so that every level halves evenly."""
    return 1 << (levels - 1)

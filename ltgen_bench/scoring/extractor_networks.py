"""Networks whose official weights are plain state dicts: Inception-2015 (as pytorch-fid ships it) and DINOv2."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def fold_norms(net: nn.Module, pairs: Mapping[str, str]) -> None:
    """Fold the batch norm after each convolution into it, in place; pairs: attribute names, convolution to norm."""
    for module in net.modules():
        for convolution, norm in pairs.items():
            if hasattr(module, convolution):
                folded = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())


class Inception(nn.Module):
    """Inception-v3 as TensorFlow's 2015 graph computes it: float32 (n, 3, 299, 299), scaled to -1..1, to features.

    torchvision's network has the same layers and names, but its average pools count the padding, and its last block
    has an average where the graph has a maximum. state: the file of pytorch-fid and torch-fidelity.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        net = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
        net.load_state_dict(state)
        fold_norms(net.eval(), {"conv": "bn"})
        for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c"):
            getattr(net, f"Mixed_{name}").register_forward_hook(_largest if name == "7c" else _average)
        self.classes, net.fc = net.fc, nn.Identity()
        self.net = net

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Features (n, 2048), and logits (n, 1008) without bias, as in the original Inception Score."""
        features: Tensor = self.net(images)
        return features, features @ self.classes.weight.T


def _average(block: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    return _pooled_anew(block, F.avg_pool2d(inputs[0], 3, 1, 1, count_include_pad=False), output)


def _largest(block: Any, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    return _pooled_anew(block, F.max_pool2d(inputs[0], 3, 1, 1), output)


def _pooled_anew(block: Any, pooled: Tensor, output: Tensor) -> Tensor:
    """The output of a block with its last branch, the pooled one, computed again."""
    branch: Tensor = block.branch_pool(pooled)
    return torch.cat([output[:, : -branch.shape[1]], branch], 1)


class DinoV2(nn.Module):
    """DINOv2 (Oquab et al. 2023): float32 (n, 3, side, side), ImageNet-normalised, to the normalised class token.

    Parameters are named as in the official files, of whatever width, depth and patch; heads are 64 wide.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        _, tokens, width = state["pos_embed"].shape
        patch = state["patch_embed.proj.weight"].shape[-1]
        depth = sum(name.endswith(".attn.qkv.weight") for name in state)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        self.pos_embed = nn.Parameter(torch.empty(1, tokens, width))
        self.mask_token = nn.Parameter(torch.empty(1, width))  # of the training; in the file, but not used
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(_Block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.load_state_dict(state)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](images)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).mT], 1)
        tokens = tokens + self._positions(patches.shape[-1])
        for block in self.blocks:
            tokens = block(tokens)
        token: Tensor = self.norm(tokens[:, 0])
        return token

    def _positions(self, side: int) -> Tensor:
        """Position embeddings for side x side patches, from the square grid they were trained on."""
        of_class, of_patches = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        trained = math.isqrt(of_patches.shape[1])
        if side == trained:
            return self.pos_embed
        grid = of_patches.mT.reshape(1, -1, trained, trained)
        # The official code scales by (side + 0.1) / trained, not by side / trained, and the weights' users with it.
        scale = (side + 0.1) / trained
        grid = F.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
        return torch.cat([of_class, grid.flatten(2).mT], 1)


class _Block(nn.Module):
    """Pre-norm transformer block with layer scale."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1 = nn.ParameterDict({"gamma": torch.empty(width)})
        self.ls2 = nn.ParameterDict({"gamma": torch.empty(width)})

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.attn["qkv"](self.norm1(x)).view(n, tokens, 3, -1, 64).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, width)
        x = x + self.ls1["gamma"] * self.attn["proj"](mixed)
        out: Tensor = x + self.ls2["gamma"] * self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return out

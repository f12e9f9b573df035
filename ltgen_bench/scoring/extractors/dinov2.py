"""DINOv2, from the official weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltgen_bench.scoring.extractor import Built, ExtractorFamily, Weights, load_state


class DinoV2Family(ExtractorFamily):
    """DINOv2 (Oquab et al. 2023): self-supervised, closer to how people compare images (Stein et al. 2023)."""

    name = "dinov2"
    size = 224
    weights = (
        Weights(
            "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
            "Meta's ViT-L/14",
            "dinov2_vitl14_pretrain.pth",
            "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        ),
    )

    def build(self, weights: Weights | None, path: Path | None, size: int, device: torch.device) -> Built:
        assert path
        net = DinoV2(load_state(path)).to(device).eval()
        scale = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        mean, std = (torch.tensor(v, device=device)[:, None, None] for v in scale)

        def network(images: Tensor) -> tuple[Tensor, Tensor]:
            features = net((images / 255 - mean) / std)
            return features, features[:, :0]  # it has no classes

        return Built(network, net.norm.weight.numel(), 8)


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

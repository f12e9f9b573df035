"""Inception-v3 of 2015, the network of FID, from either of two files of its weights."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ltgen_bench.scoring.extractor import Built, ExtractorFamily, Network, Weights, fold_norms, load_state

TORCHSCRIPT = Weights(
    "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    "NVIDIA's",
    "inception-2015-12-05.pt",
    "https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
)
STATE_DICT = Weights(
    "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    "pytorch-fid's",
    "pt_inception-2015-12-05-6726825d.pth",
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
)


class InceptionFamily(ExtractorFamily):
    """The network of Heusel et al. 2017, translated for StyleGAN and clean-fid, or for pytorch-fid.

    Images are resized as by clean-fid (Parmar et al. 2022).
    """

    name = "inception"
    size = 299
    weights = (TORCHSCRIPT, STATE_DICT)

    def build(self, weights: Weights | None, path: Path | None, size: int, device: torch.device) -> Built:
        assert path
        load = _torchscript if weights and weights.file == TORCHSCRIPT.file else Inception.of
        net = load(path, device)
        return Built(lambda images: net(self.scaled(images)), 2048, 8)

    @staticmethod
    def scaled(images: Tensor) -> Tensor:
        """What the network takes, of pixels in 0..255: to -1..1, as TensorFlow's graph does."""
        return (images - 128) / 128


class LegacyInceptionFamily(InceptionFamily):
    """The same network as the long-tail papers feed it: resized bilinearly without antialiasing, scaled to 2x - 1.

    That is the input of pytorch-fid, of the code of CBDM and what came of it, and clean-fid's `legacy_pytorch`. FID is
    another than with `inception`, 9 to 15 % less on CIFAR. torch-fidelity's is a third: its bilinear is TensorFlow's,
    off by half a pixel, and its scale that of `inception`.
    """

    name = "inception-legacy"
    resampling = "bilinear"

    @staticmethod
    def scaled(images: Tensor) -> Tensor:
        return 2 * (images / 255) - 1


def _torchscript(path: Path, device: torch.device) -> Network:
    with warnings.catch_warnings():  # newer versions of torch call TorchScript deprecated
        warnings.simplefilter("ignore", FutureWarning)
        net = torch.jit.load(str(path), map_location=device).eval()  # type: ignore[no-untyped-call]

    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        # The network's own forward would resize and scale; its layers are what clean-fid calls.
        features = net.layers(images).reshape(len(images), -1)
        return features, features @ net.output.weight.T  # no bias, as in the original Inception Score

    return network


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

    @classmethod
    def of(cls, path: Path, device: torch.device) -> Inception:
        return cls(load_state(path)).to(device).eval()

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

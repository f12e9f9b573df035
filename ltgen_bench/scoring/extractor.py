"""What a feature extractor is, and how it is run so that its features can be repeated."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ltgen_bench.data.prepare import data_folder
from ltgen_bench.device import exact_float32
from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import sha256

LARGEST = 1024
"""Side of the square that images can be resized to."""

Progress = Callable[[int, int], None]
Network = Callable[[Tensor], tuple[Tensor, Tensor]]
Resampling = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class Extractor:
    """A fixed network that turns images into features and class logits.

    id: names it in every metric; sha256: of its weights file; dim: length d of a feature; size: side of the square
    that images are resized to; batch: images at once, chosen for speed; network: float32 (b, 3, size, size) in 0..255
    to features (b, d) and logits (b, k). resampling: how images are resized. code: the fingerprint of its family's code
    where that is from outside the package.
    """

    id: str
    sha256: str
    dim: int
    size: int
    batch: int
    device: torch.device
    network: Network
    resampling: Resampling = "bicubic"
    code: str = ""

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
            with exact_float32():
                outputs = self.network(resize(torch.from_numpy(padded).to(self.device), self.size, self.resampling))
            for kept, output in zip((features, logits), outputs, strict=True):
                kept.append(output[: len(block)].float().cpu().numpy())
            if progress:
                progress(min(start + self.batch, len(pixels)), len(pixels))
        return np.concatenate(features), np.concatenate(logits)


def resize(pixels: Tensor, size: int, resampling: Resampling = "bicubic") -> Tensor:
    """uint8 (n, height, width, 1 or 3) to float32 (n, 3, size, size) in 0..255, grey repeated, not rounded again.

    Bicubic with antialiasing, clipped: the resize of clean-fid (Parmar et al. 2022), which is PIL's on floats, but for
    a whole batch. Without antialiasing torch's cubic has another coefficient and is off by up to 24 grey levels.
    Bilinear without antialiasing: that of pytorch-fid and of the long-tail papers, clean-fid's `legacy_pytorch`.
    """
    images = pixels.permute(0, 3, 1, 2).float()
    if images.shape[2:] != (size, size):
        smooth = resampling == "bicubic"
        images = nn.functional.interpolate(images, (size, size), mode=resampling, antialias=smooth, align_corners=False)
    return images.clamp(0, 255).expand(-1, 3, -1, -1)


@dataclass(frozen=True)
class Weights:
    """An official weights file: its SHA-256, whose it is, its name, and where it is published (never fetched)."""

    sha256: str
    owner: str
    file: str
    url: str = ""

    def __str__(self) -> str:
        published = f", published at {self.url}" if self.url else ""
        return f"{self.owner} {self.file} (SHA-256 {self.sha256}{published})"


@dataclass(frozen=True)
class Built:
    """A network that is ready, the length of its features, and how many images at once are fastest on a CPU."""

    network: Network
    dim: int
    batch: int


class ExtractorFamily:
    """Extractors that share a network.

    A subclass with a `name`, in a file of `extractors/` in a folder of LTGEN_PLUGINS or behind an entry point of the
    group "ltgen_bench.extractors", is there for `--features`; metrics are then called `FD-name`.

    name: of its extractors, followed by "@" and the size of images where `size` is None. size: side of the square that
    images are resized to. multiple: what a size must be a multiple of. weights: the files that may be used, the first
    found is taken; none for a network without. examples: names to suggest. resampling: how images are resized (see
    `resize`). version: to be raised whenever a feature changes.
    """

    name: ClassVar[str]
    size: ClassVar[int | None] = None
    multiple: ClassVar[int] = 1
    weights: ClassVar[tuple[Weights, ...]] = ()
    examples: ClassVar[tuple[str, ...]] = ()
    resampling: ClassVar[Resampling] = "bicubic"
    version: ClassVar[int] = 1

    def build(self, weights: Weights | None, path: Path | None, size: int, device: torch.device) -> Built:
        """The network on a device, from the file of these weights, for images of that size."""
        raise NotImplementedError(f"extractor {self.name} needs a method build")

    def weights_path(self, weights: Weights, data_dir: Path | None) -> Path:
        """Where a weights file is looked for."""
        return data_folder(data_dir) / weights.file

    def size_of(self, name: str) -> int:
        """The size of images that an extractor's name stands for. Raises UsageError."""
        if self.size is not None and name == self.name:
            return self.size
        match = re.fullmatch(rf"{re.escape(self.name)}@(\d+)", name)
        if self.size is not None or not match:
            raise UsageError(f"{name}: write {self.name if self.size is not None else f'{self.name}@SIZE'}")
        size = int(match[1])
        if size < max(1, self.multiple) or size % self.multiple:
            example = next(iter(self.examples), f"{self.name}@{self.multiple}")
            raise UsageError(f"{name}: the size must be a multiple of {self.multiple}, such as {example}")
        if size > LARGEST:
            raise UsageError(f"{name}: the size must be at most {LARGEST}")
        return size

    def find(self, given: Path | None, data_dir: Path | None) -> tuple[Weights | None, Path | None]:
        """The weights file, known by its hash. Raises UsageError when it is missing or another one."""
        if not self.weights:
            if given:
                raise UsageError(f"{given}: {self.name} takes no weights file, leave --features-weights out")
            return None, None
        paths = [self.weights_path(weights, data_dir) for weights in self.weights]
        path = given or next(filter(Path.is_file, paths), paths[0])
        what = " or ".join(map(str, self.weights))
        if not path.is_file():
            raise UsageError(
                f"no file {path}: put {what} there, or name it with --features-weights (it is never downloaded); "
                "--features efflite0@96 needs no file"
            )
        found = sha256(path)
        for weights in self.weights:
            if weights.sha256 == found:
                return weights, path
        raise UsageError(f"{path} has the SHA-256 {found}: it is not {what}")

    def sha256(self, weights: Weights | None) -> str:
        """What identifies the network beside its name: the hash of its weights, and its version from the second on."""
        if weights is None:
            return hashlib.sha256(f"{self.name} {self.version}".encode()).hexdigest()
        if self.version == 1:
            return weights.sha256
        return hashlib.sha256(f"{weights.sha256} {self.version}".encode()).hexdigest()


def load_state(path: Path) -> dict[str, Tensor]:
    """Of a file of tensors alone."""
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def fold_norms(net: nn.Module, pairs: dict[str, str]) -> None:
    """Fold the batch norm after each convolution into it, in place; pairs: attribute names, convolution to norm."""
    for module in net.modules():
        for convolution, norm in pairs.items():
            if hasattr(module, convolution):
                folded = nn.utils.fusion.fuse_conv_bn_eval(getattr(module, convolution), getattr(module, norm))
                setattr(module, convolution, folded)
                setattr(module, norm, nn.Identity())

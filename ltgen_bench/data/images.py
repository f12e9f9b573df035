"""Labelled 8-bit images: what datasets give, samplers make and the scorer reads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import atomic_write


@dataclass(frozen=True)
class Images:
    """Images and their class ids.

    pixels: uint8 (n, height, width, channels), channels 1 (grey) or 3 (RGB); labels: int64 (n,), 0-based.
    Raises ValueError when the arrays are not of these shapes and types.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 4 or self.pixels.shape[3] not in (1, 3):
            raise ValueError(
                f"images must be uint8 (n, height, width, 1 or 3), not {self.pixels.dtype} {self.pixels.shape}"
            )
        if self.labels.dtype != np.int64 or self.labels.shape != (len(self.pixels),):
            raise ValueError(f"labels must be int64 ({len(self.pixels)},), not {self.labels.dtype} {self.labels.shape}")

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: NDArray[np.int64] | slice) -> Images:
        return Images(self.pixels[index], self.labels[index])

    @property
    def sha256(self) -> str:
        """Of shape, pixels and labels: the identity of this set of images, in this order."""
        digest = hashlib.sha256(repr(self.pixels.shape).encode())
        digest.update(np.ascontiguousarray(self.pixels).data)
        digest.update(np.ascontiguousarray(self.labels, dtype="<i8").data)
        return digest.hexdigest()

    def save(self, path: Path) -> None:
        """Write an npz with `images` and `labels`, atomically."""
        with atomic_write(path) as file:
            np.savez_compressed(file, images=self.pixels, labels=self.labels)

    @classmethod
    def load(cls, path: Path) -> Images:
        """Read what `save` wrote (or anybody's npz with `images` and `labels`); pickled arrays are refused."""
        try:
            with np.load(path, allow_pickle=False) as file:
                return cls(file["images"], file["labels"].astype(np.int64, casting="safe"))
        except Exception as error:  # a damaged file can make NumPy and zipfile raise almost anything
            raise UsageError(f"{path} is not an npz of uint8 `images` and integer `labels`: {error}") from error


def describe_shape(shape: tuple[int, ...]) -> str:
    """Of images (height, width, channels), in words."""
    return f"{shape[1]}x{shape[0]} {'grey' if shape[2] == 1 else 'RGB'}"

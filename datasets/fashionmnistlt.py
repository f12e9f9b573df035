"""Fashion-MNIST-LT."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from pathlib import Path

import numpy as np

from ltgen_bench import Dataset, Images, Pool, UsageError
from ltgen_bench.data.prepare import download, preparing

# SHA-256 of the published files, unpacked; torchvision checks only the packed ones, and only when it downloads them.
FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
SPACE = 100_000_000  # bytes: the files, packed and unpacked
CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


class FashionMnistLT(Dataset):
    """Fashion-MNIST, grey pictures of 10 kinds of clothing, 6,000 images in the largest class.

    Source: H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, arXiv 1708.07747 (2017); MIT licence. The 28x28 images are
    padded with black to 32x32, so that a network can halve them evenly. Held out: the official test set, 1,000 images
    per class. The files lie as torchvision's do, in `FashionMNIST/raw`.
    """

    name = "fashionmnistlt"
    preset = "mini"
    flip = False
    n_max = 6000

    @property
    def _raw(self) -> Path:
        return self.folder / "FashionMNIST" / "raw"

    def pool(self) -> Pool:
        if not self._raw.exists():
            raise self.not_prepared()
        return Pool(self._images("train"), CLASSES, test=self._images("t10k"))

    def prepare(self, source: Path | None = None) -> str:
        """Download the files through torchvision, or import them, packed or not, from the folder `source`."""
        if self._raw.exists() and self.is_whole():
            return f"{self.name} is already in {self._raw}."
        with preparing(self._raw, space=SPACE) as part:
            if source is None:
                _download(part)
            for name, sha256 in FILES.items():
                (part / name).write_bytes(_import(source or part, name, sha256))
                (part / f"{name}.gz").unlink(missing_ok=True)
        return f"{self.name} is ready in {self._raw}."

    def _images(self, split: str) -> Images:
        pixels, labels = (self._read(f"{split}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        # The headers of the published files have 16 and 8 bytes.
        square = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28, 1)
        padded = np.pad(square, ((0, 0), (2, 2), (2, 2), (0, 0)))
        return Images(padded, np.frombuffer(labels, np.uint8, offset=8).astype(np.int64))

    def _read(self, name: str) -> bytes:
        path = self._raw / name
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        if hashlib.sha256(data).hexdigest() != FILES[name]:
            raise UsageError(f"{path} is damaged or missing; {self.prepare_again}")
        return data


def _download(folder: Path) -> None:
    from torchvision.datasets import FashionMNIST

    for name, md5 in FashionMNIST.resources:
        download(FashionMNIST.mirrors[0] + name, folder / name, md5)


def _import(source: Path, name: str, sha256: str) -> bytes:
    """The bytes of one published file, which may be packed and may lie in torchvision's sub-folders."""
    folders = (source, source / "raw", source / "FashionMNIST" / "raw")
    path = next((p for f in folders for p in (f / name, f / f"{name}.gz") if p.is_file()), None)
    if not source.is_dir():
        raise UsageError(f"--from {source}: no such folder; give the one with the four files of Fashion-MNIST")
    if path is None:
        raise UsageError(f"--from {source}: neither {name} nor {name}.gz is in that folder")
    try:
        data = path.read_bytes() if path.suffix != ".gz" else gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"--from {source}: {path} cannot be unpacked: {error}") from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UsageError(f"--from {source}: {path} is not the published file (SHA-256 {sha256})")
    return data

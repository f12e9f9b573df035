"""What tests of datasets share: datasets by name, and small images in folders and zips."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ltgen_bench.data.dataset import Dataset
from ltgen_bench.data.images import Images
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError
from ltgen_bench.registry import datasets

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("LTGEN_TEST_DATA", ROOT.parent / "shared" / "data"))
ZIP = SHARED / "cifar10-jpeg.zip"
FILES = ("digitslt", "cifar10lt", "cifar100lt", "fashionmnistlt", "imagefolder")
needs_fashion = pytest.mark.skipif(not (SHARED / "FashionMNIST").is_dir(), reason="needs LTGEN_TEST_DATA")
needs_zip = pytest.mark.skipif(not ZIP.is_file(), reason="needs LTGEN_TEST_DATA")


def plugin(name: str) -> type[Dataset]:
    return datasets().load(name)


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where prepared data lies, in place of the user's."""
    monkeypatch.setenv("LTGEN_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def sha256(index: np.ndarray) -> str:
    return hashlib.sha256(index.astype("<i8").tobytes()).hexdigest()


def counts_of(images: Images, classes: int) -> list[int]:
    return np.bincount(images.labels, minlength=classes).tolist()


def rows(images: Images) -> set[bytes]:
    return {label.tobytes() + pixels.tobytes() for pixels, label in zip(images.pixels, images.labels, strict=True)}


def check_balanced(data: LongTail) -> None:
    assert len(set(counts_of(data.reference, len(data.class_names)))) == 1
    assert (np.diff(data.reference.labels) >= 0).all()
    assert rows(data.train) <= rows(data.reference)
    assert data.class_counts[0] == max(data.class_counts)
    assert list(data.class_counts) == counts_of(data.train, len(data.class_names))


def noise(seed: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> Image.Image:
    shape = (size[1], size[0], 3) if mode != "L" else (size[1], size[0])
    image = Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))
    return image.convert(mode)


def png(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def animals(prefix: str = "", mode: str = "RGB", n: int = 4, seed: int = 0) -> dict[str, bytes]:
    return {
        f"{prefix}{animal}/{i}.png": png(noise(seed + 10 * c + i, mode=mode))
        for c, animal in enumerate(("cat", "dog", "eel"))
        for i in range(n)
    }


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(name="make", params=["tree", "zip"])
def make_fixture(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[dict[str, bytes]], Path]]:
    if request.param == "tree":
        yield lambda files: tree(tmp_path / "images", files)
    else:
        yield lambda files: zipped(tmp_path / "images.zip", files)


Make = Callable[[dict[str, bytes]], Path]


def load(path: Path, **options: Any) -> LongTail:
    return plugin("imagefolder")(data=path, imbalance=None, **options).load()


def refused(path: Path, **options: Any) -> str:
    with pytest.raises(UsageError) as error:
        load(path, **options)
    return str(error.value)

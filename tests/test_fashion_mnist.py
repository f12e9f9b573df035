"""Fashion-MNIST: imported, downloaded and checked."""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from image_files import SHARED, check_balanced, counts_of, needs_fashion, plugin

from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


def idx(data: np.ndarray) -> bytes:
    return bytes([0, 0, 8, data.ndim]) + np.array(data.shape, ">u4").tobytes() + data.tobytes()


@pytest.fixture
def fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of small files like the published ones, which the plugin takes for them."""
    module = sys.modules[plugin("fashionmnistlt").__module__]
    raw = tmp_path / "raw files"
    raw.mkdir()
    random = np.random.default_rng(0)
    for split, n in (("train", 20), ("t10k", 10)):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(idx(random.integers(0, 256, (n, 28, 28), np.uint8)))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(idx(np.arange(n, dtype=np.uint8) % 10))
    monkeypatch.setattr(module, "FILES", {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in raw.iterdir()})
    return raw


def pack(raw: Path, packed: Path) -> None:
    packed.mkdir(parents=True)
    for path in raw.iterdir():
        (packed / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))


def test_fashion_from_raw_and_packed_files(fashion: Path, folder: Path, tmp_path: Path) -> None:
    kind = plugin("fashionmnistlt")
    assert kind().prepare(fashion) == f"fashionmnistlt is ready in {folder / 'FashionMNIST' / 'raw'}."
    pool = kind().pool()
    assert pool.images.pixels.shape == (20, 32, 32, 1)
    assert pool.test is not None
    assert len(pool.test) == 10
    first = np.frombuffer((fashion / "train-images-idx3-ubyte").read_bytes()[16 : 16 + 784], np.uint8).reshape(28, 28)
    assert np.array_equal(pool.images.pixels[0, 2:30, 2:30, 0], first)
    assert (
        pool.images.pixels.sum() == np.frombuffer((fashion / "train-images-idx3-ubyte").read_bytes()[16:], "u1").sum()
    )

    pack(fashion, tmp_path / "torchvision" / "FashionMNIST" / "raw")
    other = kind(data_dir=tmp_path / "other")
    other.prepare(tmp_path / "torchvision")
    assert other.pool().images.sha256 == pool.images.sha256
    assert "already" in other.prepare(tmp_path / "nowhere")


def test_fashion_refuses_other_files(fashion: Path, folder: Path) -> None:
    labels = fashion / "t10k-labels-idx1-ubyte"
    labels.write_bytes(labels.read_bytes()[:-1] + b"\0")
    with pytest.raises(UsageError, match=f"{labels} is not the published file"):
        plugin("fashionmnistlt")().prepare(fashion)
    labels.unlink()
    with pytest.raises(UsageError, match=r"neither t10k-labels-idx1-ubyte nor t10k-labels-idx1-ubyte.gz"):
        plugin("fashionmnistlt")().prepare(fashion)
    (fashion / f"{labels.name}.gz").write_bytes(gzip.compress(b"x" * 999)[:-9])
    with pytest.raises(UsageError, match="cannot be unpacked"):
        plugin("fashionmnistlt")().prepare(fashion)
    assert list((folder / "FashionMNIST").iterdir()) == []


def test_fashion_notices_damage(fashion: Path, folder: Path) -> None:
    plugin("fashionmnistlt")().prepare(fashion)
    path = folder / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UsageError, match="damaged or missing; ltgen-bench prepare fashionmnistlt puts them right"):
        plugin("fashionmnistlt")().load()


def test_fashion_that_is_damaged_is_prepared_again(fashion: Path, folder: Path) -> None:
    plugin("fashionmnistlt")().prepare(fashion)
    raw = folder / "FashionMNIST" / "raw"
    (raw / "mine.txt").write_text("x")
    (raw / "train-images-idx3-ubyte").write_bytes(b"")
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(UsageError, match="no such folder"):
        plugin("fashionmnistlt")().prepare(fashion / "nowhere")
    assert plugin("fashionmnistlt")().prepare(fashion) == f"fashionmnistlt is ready in {raw}."
    assert len(plugin("fashionmnistlt")().pool().images) == 20
    assert (raw / "mine.txt").read_text() == "x"


def test_fashion_download(fashion: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("torchvision.datasets.utils")
    packed = tmp_path / "server"
    pack(fashion, packed)

    def serve(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes((packed / name).read_bytes())

    monkeypatch.setattr(utils, "download_url", serve)
    plugin("fashionmnistlt")().prepare()
    raw = folder / "FashionMNIST" / "raw"
    assert sorted(p.name for p in raw.iterdir()) == sorted(p.name for p in fashion.iterdir())


def test_failed_download_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    utils = pytest.importorskip("torchvision.datasets.utils")

    def fail(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(b"half")
        raise URLError("no route to host")

    monkeypatch.setattr(utils, "download_url", fail)
    for name in ("fashionmnistlt", "cifar10lt"):
        with pytest.raises(UsageError, match=r"cannot download \S+: .*no route to host.* --from"):
            plugin(name)().prepare()
    assert [p.name for p in folder.rglob("*")] == ["FashionMNIST"]


@needs_fashion
def test_real_fashion(folder: Path) -> None:
    kind = plugin("fashionmnistlt")
    kind().prepare(SHARED)
    data = kind().load()
    check_balanced(data)
    assert data.class_counts == (6000, 3596, 2156, 1292, 774, 464, 278, 166, 100, 60)
    assert len(data.train) == 14_886
    assert len(data.reference) == 60_000
    assert data.test is not None
    assert counts_of(data.test, 10) == [1000] * 10
    assert data.train.pixels.shape[1:] == (32, 32, 1)
    assert data.spec.split_sha256 == "ed7a73125b2eb63a36be421826f78f842318f4af247699425c5a60caba7dd240"
    assert data.spec.data_sha256 == "dcc4b8467891bcf77a32e443be4bbf344fe13d2ca4cf8b9973c45c08515bb242"

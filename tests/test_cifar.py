"""CIFAR: imported, downloaded and checked."""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import plugin

from ltgen_bench.data.dataset import Dataset
from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")


def tar(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture(params=["cifar10lt", "cifar100lt"])
def cifar(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[type[Dataset], Path]:
    """A plugin, and a small archive like the official one, which torchvision takes for it."""
    tv = pytest.importorskip("torchvision.datasets")
    kind: Any = plugin(request.param)
    official = getattr(tv, kind.torchvision_class)
    classes = 10 if request.param == "cifar10lt" else 100
    random = np.random.default_rng(0)

    def batch(n: int) -> bytes:
        labels = (np.arange(n) % classes).tolist()
        entry = {"data": random.integers(0, 256, (n, 3072), np.uint8)}
        return pickle.dumps(entry | {"labels" if classes == 10 else "fine_labels": labels})

    def md5(content: bytes) -> str:
        return hashlib.md5(content, usedforsecurity=False).hexdigest()

    train = {name: batch(2 * classes) for name, _ in official.train_list}
    test = {name: batch(classes) for name, _ in official.test_list}
    meta = pickle.dumps({official.meta["key"]: [f"class {c}" for c in range(classes)]})
    content = {f"{official.base_folder}/{n}": b for n, b in {**train, **test, official.meta["filename"]: meta}.items()}
    archive = tmp_path / "official.tar.gz"
    tar(archive, {"../escaped": b"x", **content, f"{official.base_folder}/unused.html": b"x"})
    monkeypatch.setattr(official, "train_list", [[n, md5(b)] for n, b in train.items()])
    monkeypatch.setattr(official, "test_list", [[n, md5(b)] for n, b in test.items()])
    monkeypatch.setattr(official, "meta", {**official.meta, "md5": md5(meta)})
    monkeypatch.setattr(official, "tgz_md5", md5(archive.read_bytes()))
    return kind, archive


def test_cifar_from_archive_and_folder(cifar: tuple[type[Dataset], Path], folder: Path, tmp_path: Path) -> None:
    kind, archive = cifar
    message = kind().prepare(archive)
    (ready,) = folder.iterdir()
    assert message == f"{kind.name} is ready in {ready}."
    assert "unused.html" not in {p.name for p in ready.iterdir()}
    assert not list(tmp_path.rglob("escaped"))
    data = kind(imbalance=None).load()
    assert data.train.pixels.shape[1:] == (32, 32, 3)
    assert data.test is not None
    assert data.class_names[1] == "class 1"

    for source in (ready, folder):
        other = kind(imbalance=None, data_dir=tmp_path / f"from {source.name}")
        other.prepare(source)
        assert other.load().spec == data.spec
    assert "already" in kind().prepare()


def test_cifar_refuses_another_archive(cifar: tuple[type[Dataset], Path], folder: Path, tmp_path: Path) -> None:
    kind, archive = cifar
    fake = tmp_path / "fake.tar.gz"
    fake.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(UsageError, match=r"fake.tar.gz: not the official cifar-\d+-python.tar.gz \(its MD5 is not"):
        kind().prepare(fake)
    with pytest.raises(UsageError, match="no such file or folder"):
        kind().prepare(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is not there or not the official file"):
        kind().prepare(tmp_path)
    assert list(folder.iterdir()) == []


def test_cifar_notices_damage(cifar: tuple[type[Dataset], Path], folder: Path) -> None:
    kind, archive = cifar
    kind().prepare(archive)
    next(folder.rglob("*test*")).write_bytes(b"x")
    with pytest.raises(UsageError, match=r"is damaged or incomplete; ltgen-bench prepare \S+ puts them right"):
        kind().load()
    kind().prepare(archive)
    kind(imbalance=None).load()


def test_cifar_download(cifar: tuple[type[Dataset], Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, archive = cifar

    def serve(url: str, root: str, name: str, md5: str) -> None:
        (Path(root) / name).write_bytes(archive.read_bytes())

    monkeypatch.setattr("torchvision.datasets.utils.download_url", serve)
    kind().prepare()
    kind(imbalance=None).load()
    assert not list(folder.rglob("*.tar.gz"))

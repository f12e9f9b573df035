"""What cifar10lt and cifar100lt share: torchvision's reader, and the import of the official archive."""

from __future__ import annotations

import lzma
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ltgen_bench.data.dataset import Dataset, Pool
from ltgen_bench.data.images import Images
from ltgen_bench.data.prepare import download, preparing
from ltgen_bench.errors import UsageError

SPACE = 400_000_000  # bytes: the archive, and the files in it


class Cifar(Dataset):
    """The base of both; torchvision checks the MD5 of every file before it is unpickled."""

    torchvision_class: ClassVar[str]
    preset = "paper"
    flip = True

    @property
    def _official(self) -> Any:
        """torchvision's class, which knows the official file names and checksums."""
        import torchvision.datasets

        return getattr(torchvision.datasets, self.torchvision_class)

    def pool(self) -> Pool:
        folder = self.folder / self._official.base_folder
        if not folder.exists():
            raise self.not_prepared()
        try:
            train, test = (self._official(self.folder, train=train) for train in (True, False))
        except Exception as error:  # RuntimeError for another MD5; a disk that fails, and what is no pickle, raise more
            raise UsageError(f"{folder} is damaged or incomplete; {self.prepare_again}") from error
        return Pool(_images(train), tuple(train.classes), test=_images(test))

    def prepare(self, source: Path | None = None) -> str:
        """Download the official archive, or import it, or a folder with its extracted files, from `source`."""
        target = self.folder / self._official.base_folder
        if target.exists() and self.is_whole():
            return f"{self.name} is already in {target}."
        with preparing(target, space=SPACE) as part:
            if source is None:
                archive = part / self._official.filename
                download(self._official.url, archive, self._official.tgz_md5)
                self._extract(archive, part)
                archive.unlink()
            elif source.is_dir():
                self._copy(source, part)
            else:
                self._extract(source, part)
        return f"{self.name} is ready in {target}."

    def _files(self) -> list[tuple[str, str]]:
        """(name, MD5) of each file in the official archive that is used."""
        kind = self._official
        return [*map(tuple, kind.train_list + kind.test_list), (kind.meta["filename"], kind.meta["md5"])]

    def _extract(self, archive: Path, part: Path) -> None:
        from torchvision.datasets.utils import check_integrity

        kind = self._official
        if not archive.exists():
            raise UsageError(f"--from {archive}: no such file or folder")
        if not check_integrity(archive, kind.tgz_md5):
            raise UsageError(f"--from {archive}: not the official {kind.filename} (its MD5 is not {kind.tgz_md5})")
        try:
            with tarfile.open(archive) as tar:
                for name, _ in self._files():  # by name, so that no path in an archive decides where a file goes
                    member = tar.extractfile(f"{kind.base_folder}/{name}")
                    if member is None:
                        raise KeyError(f"{name} is no file")
                    with member, (part / name).open("wb") as file:
                        shutil.copyfileobj(member, file)
        except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, KeyError) as error:
            raise UsageError(f"--from {archive}: cannot be unpacked: {error}") from error

    def _copy(self, folder: Path, part: Path) -> None:
        from torchvision.datasets.utils import check_integrity

        inner = folder / self._official.base_folder
        for name, md5 in self._files():
            path = (inner if inner.is_dir() else folder) / name
            if not check_integrity(path, md5):
                raise UsageError(f"--from {folder}: {path} is not there or not the official file (MD5 {md5})")
            shutil.copyfile(path, part / name)


def _images(split: Any) -> Images:
    return Images(np.ascontiguousarray(split.data), np.asarray(split.targets, np.int64))

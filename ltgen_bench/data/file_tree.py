"""The files of a folder or a zip, which is read in place and never unpacked."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image, UnidentifiedImageError

from ltgen_bench.data.names import from_system, normal
from ltgen_bench.errors import UsageError
from ltgen_bench.storage.atomic_files import sha256

# Of formats that Pillow opens: science and film, which are no pictures, and those that run another program.
NO_PICTURES = {"BUFR", "EPS", "FITS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
# Pictures that Pillow does not read, or not as pixels.
UNREADABLE = {
    *(".ai", ".arw", ".cr2", ".cr3", ".dng", ".emf", ".eps", ".fit", ".fits", ".heic", ".heics", ".heif", ".hif"),
    *(".jxl", ".jxr", ".nef", ".orf", ".raf", ".raw", ".rw2", ".svg", ".svgz", ".wdp", ".wmf", ".xcf"),
}
# What file managers, cameras and archivers leave, which may hold or be images; compared without regard to case.
SIDE_NAMES = {
    *("__macosx", "__pycache__", "@eadir", "@__thumb", "@recycle", "@recently-snapshot", "#recycle", "#snapshot"),
    *("$recycle.bin", "recycler", "system volume information", "lost+found", "found.000", "resource.frk"),
    *("recycled", "network trash folder", "temporary items", "thevolumesettingsfolder", "@tmp", "@sharebin"),
    *("picasaoriginals", "_gsdata_", "thumbs.db", "ehthumbs.db", "desktop.ini", "folder.ico", "favicon.ico", "icon\\r"),
}


@dataclass(frozen=True)
class Tree:
    """The files of a folder or a zip by name, with / between folders: how to read each, and what identifies them all.

    Hidden files and what systems leave behind are left out. folders: every folder's name, also of empty ones.
    """

    path: Path
    files: dict[str, Callable[[], bytes]]
    folders: frozenset[str]
    fingerprint: str

    @contextmanager
    def image(self, name: str) -> Iterator[Image.Image]:
        """Open one image; what is wrong with it becomes a UsageError that names it."""
        try:
            with Image.open(io.BytesIO(self.files[name]()), formats=_formats()) as image:
                if image.mode.startswith(("I", "F")):
                    raise UsageError(f"{self.path}: {name} has more than 8 bits per pixel; convert it to 8")
                yield image
        except UsageError:
            raise
        except UnidentifiedImageError as error:
            raise UsageError(f"{self.path}: {name} cannot be read as an image: it is damaged, or is none") from error
        except Exception as error:  # a damaged file can make Pillow and zipfile raise almost anything
            raise UsageError(f"{self.path}: {name} cannot be read as an image: {reason(error)}") from error


@functools.cache
def suffixes() -> dict[str, str]:
    """The suffixes of the images that Pillow reads, in lower case, and their formats."""
    Image.init()
    known = Image.registered_extensions().items()
    return {suffix: kind for suffix, kind in known if kind in Image.OPEN and kind not in NO_PICTURES}


@functools.cache
def _formats() -> list[str]:
    """Of those images; the commonest first, as they are tried one after another."""
    return list(dict.fromkeys(["JPEG", "PNG", *suffixes().values()]))


def suffix(name: str) -> str:
    """Of a file, in lower case."""
    return os.path.splitext(name)[1].lower()


def is_image(name: str) -> bool:
    return suffix(name) in suffixes()


def is_unreadable_image(name: str) -> bool:
    """Whether a name promises an image that Pillow does not read."""
    return suffix(name) in UNREADABLE and not is_image(name)


def reason(error: BaseException) -> str:
    """What an error says, on one line; its kind, when it says nothing."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def opened(path: Path) -> Iterator[Tree]:
    """Read the list of files of a folder or a zip. Raises UsageError."""
    if path.is_dir():
        yield _folder(path)
        return
    if not path.exists():
        raise UsageError(f"{path}: no such folder or zip")
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # zipfile raises errors of many kinds: names in no encoding, versions of the future
        raise UsageError(
            f"{path} is neither a folder nor a readable zip: {reason(error)}; unpack it, or pack it as a zip"
        ) from error
    with archive:
        yield _zip(path, archive)


def _folder(path: Path) -> Tree:
    def stop(error: OSError) -> None:
        raise error

    files: list[tuple[str, Callable[[], bytes]]] = []
    found: list[str] = []
    stats: dict[str, tuple[int, int]] = {}
    try:
        # Links are followed, as large collections are often put together from them; a loop of links is an OSError.
        for top, folders, names in os.walk(path, followlinks=True, onerror=stop):
            folders[:] = [name for name in folders if not _left_out(name)]
            inside = PurePosixPath(from_system(Path(top).relative_to(path).as_posix()))
            found += [str(inside / from_system(name)) for name in folders]
            for file in (Path(top, name) for name in names if not _left_out(name)):
                name = str(inside / from_system(file.name))
                try:
                    info = file.stat()
                except OSError:
                    if is_image(name):
                        raise
                    continue  # a dangling link to something that is no image
                if stat.S_ISREG(info.st_mode):  # a pipe would never end
                    files.append((name, file.read_bytes))
                    stats[normal(name)] = (info.st_size, info.st_mtime_ns)
                elif is_image(name):
                    raise UsageError(f"{path}: {normal(name)} is no regular file")
    except OSError as error:
        raise UsageError(f"cannot read {normal(str(error.filename))}: {error.strerror}") from error
    fingerprint = hashlib.sha256(json.dumps(stats, sort_keys=True).encode()).hexdigest()
    return _tree(path, files, found, fingerprint)


def _zip(path: Path, archive: zipfile.ZipFile) -> Tree:
    try:
        files: list[tuple[str, Callable[[], bytes]]] = []
        folders, outside = [], ""
        for member in archive.infolist():
            name = _member_name(member)
            parts = [part for part in name.split("/") if part not in ("", ".")]
            if ".." in parts:  # nothing is written under these names, but a class must not be called ".." either
                outside = normal(name)
            elif not parts or any(map(_left_out, parts)):
                continue
            elif name.endswith("/"):
                folders.append("/".join(parts))
            else:
                _check_member(path, member, normal(name))
                files.append(("/".join(parts), partial(archive.read, member)))
        if outside and not files:
            raise UsageError(f"{path}: {outside} leads out of the archive; pack it from within its folder")
        fingerprint = sha256(path)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(f"{path} is not a readable zip: {reason(error)}") from error
    return _tree(path, files, folders, fingerprint)


def _check_member(path: Path, member: zipfile.ZipInfo, name: str) -> None:
    """Raises UsageError for what is listed, but cannot be read."""
    if member.flag_bits & 0x1:
        raise UsageError(f"{path}: {name} is encrypted; unpack the archive with its password, and give the folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UsageError(f"{path}: {name} is a symbolic link; pack the files that links lead to (zip without -y)")


def _member_name(member: zipfile.ZipInfo) -> str:
    r"""The name of a member, with / also where an archiver of Windows wrote \.

    A name that is not marked as UTF-8 is of code page 437 by the standard; archivers of macOS and others write UTF-8
    all the same.
    """
    name = member.orig_filename.partition("\0")[0]
    if not member.flag_bits & 0x800:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _tree(
    path: Path, files: Iterable[tuple[str, Callable[[], bytes]]], folders: Iterable[str], fingerprint: str
) -> Tree:
    """Put names into their normal form. Raises UsageError when two become one: one of them would be lost."""
    originals: dict[str, str] = {}

    def add(name: str) -> str:
        same = normal(name)
        if originals.setdefault(same, name) != name:
            raise UsageError(f"{path}: {originals[same]!a} and {name!a} are one name in two spellings; rename one")
        return same

    found: dict[str, Callable[[], bytes]] = {}
    all_folders = set(folders)
    for name, read in files:
        found[add(name)] = read  # of two of the very same name in a zip the last counts, as when it is unpacked
        all_folders.add(name.rpartition("/")[0])
    all_folders |= {str(above) for folder in all_folders for above in PurePosixPath(folder).parents}
    named = {add(folder) for folder in sorted(all_folders) if folder not in ("", ".")}
    return Tree(path, found, frozenset(named), fingerprint)


def _left_out(name: str) -> bool:
    """Hidden files, and what systems leave behind."""
    return name.startswith(".") or normal(name).casefold() in SIDE_NAMES

"""Names in any encoding, and archives of any kind: read, or refused in one sentence."""

from __future__ import annotations

import io
import json
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
from pathlib import Path

import pytest
from image_files import animals, load, noise, png, refused, tree, zipped

from ltgen_bench.data.external import read
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.data.names import normal
from ltgen_bench.errors import UsageError

pytestmark = pytest.mark.usefixtures("folder")
NFC, NFD = "caf\xe9", "cafe\u0301"


def latin(path: Path) -> Path:
    """A class folder whose name is not UTF-8, as from an old archive."""
    tree(path, animals())
    os.rename(path / "cat", os.fsencode(path) + b"/caf\xe9")
    return path


def test_names_that_are_not_utf8_become_text(tmp_path: Path) -> None:
    data = load(latin(tmp_path / "t"))
    assert data.class_names == ("caf\\xe9", "dog", "eel")
    json.dumps(data.class_names).encode()
    "".join(data.describe()).encode()


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31mb", "a\u2028b", "a\ud800b", "a\x7fb"])
def test_names_are_one_line_of_text(name: str) -> None:
    assert len(normal(name).encode().splitlines()) == 1
    assert "\x1b" not in normal(name)
    assert normal(normal(name)) == normal(name)


def test_accents_are_compared_in_one_form(tmp_path: Path) -> None:
    files = {name.replace("cat", NFC): content for name, content in animals().items()}
    other = {unicodedata.normalize("NFD", name): content for name, content in files.items()}
    assert next(iter(other)) not in files
    folder, archive = tree(tmp_path / "t", files), zipped(tmp_path / "z.zip", other)
    assert load(folder).class_names == load(archive).class_names
    assert load(folder, reference=archive).class_names == ("caf\xe9", "dog", "eel")
    split = tree(
        tmp_path / "s", {f"train/{n}": b for n, b in files.items()} | {f"test/{n}": b for n, b in other.items()}
    )
    assert len(load(split).test or ()) == 12


def test_two_spellings_of_one_name_are_refused(tmp_path: Path) -> None:
    both = {f"{NFC}/1.png": png(noise(1)), f"{NFD}/2.png": png(noise(2))}
    sentence = r"'cafe\u0301' and 'caf\xe9' are one name in two spellings; rename one"
    assert sentence in refused(zipped(tmp_path / "z.zip", both))
    assert "are one name in two spellings; rename one" in refused(tree(tmp_path / "t", both))
    files = animals() | {f"cat/{NFC}.png": png(noise(1)), f"cat/{NFD}.png": png(noise(2))}
    assert "are one name in two spellings; rename one" in refused(zipped(tmp_path / "y.zip", files))


def write_zip(path: Path, prefix: str = "") -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in animals(prefix).items():
            archive.writestr(name, content)
    return path.read_bytes()


def marked(whole: bytes, offset: int, value: bytes) -> bytes:
    """The bytes of a zip with a field of each entry of its list of files changed."""
    found, at = bytearray(whole), -1
    while (at := found.find(b"PK\x01\x02", at + 1)) >= 0:
        found[at + offset : at + offset + len(value)] = value
    return bytes(found)


DAMAGE = {
    "a name flagged UTF-8 that is not": lambda z: z.replace("é".encode(), b"\xe9\xe9"),
    "a version of the future": lambda z: marked(z, 6, struct.pack("<H", 99)),
    "an unknown compression": lambda z: marked(z, 10, struct.pack("<H", 99)),
    "encryption": lambda z: marked(z, 8, struct.pack("<H", 0x801)),
    "an offset beyond the end": lambda z: marked(z, 42, struct.pack("<I", 2**31)),
    "a wrong CRC": lambda z: marked(z, 16, b"\1\2\3\4"),
    "a cut end": lambda z: z[:-30],
    "a cut beginning": lambda z: z[200:],
    "no content": lambda z: b"",
    "only the end record": lambda z: z[-22:],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_zip_is_refused_in_one_sentence(tmp_path: Path, digits: LongTail, damage: str) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(DAMAGE[damage](write_zip(path, "é/")))
    sentence = refused(path)
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    with pytest.raises(UsageError, match=str(path)):
        read(path, digits)


@pytest.mark.parametrize("kind", ["tar", "tgz", "7z", "rar", "npy"])
def test_other_archives_are_refused_with_the_way_out(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    if kind in ("tar", "tgz"):
        with tarfile.open(path, "w:gz" if kind == "tgz" else "w") as archive:
            archive.add(tree(tmp_path / "t", animals()), "t")
    else:
        path.write_bytes(
            {"7z": b"7z\xbc\xaf\x27\x1c", "rar": b"Rar!\x1a\x07\x01\x00"}.get(kind, b"\x93NUMPY") + b"x" * 99
        )
    assert refused(path).endswith("; unpack it, or pack it as a zip")


def test_backslashes_of_windows_are_read_as_separators(tmp_path: Path) -> None:
    path = tmp_path / "w.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos\\", b"")
        archive.writestr("..\\..\\evil\\1.png", png(noise(1)))
        for name, content in animals("photos/").items():
            archive.writestr(name.replace("/", "\\"), content)
    assert load(path).class_names == ("cat", "dog", "eel")
    assert [p.name for p in tmp_path.iterdir() if p.name != "data"] == ["w.zip"]


@pytest.mark.parametrize("raw", ["ü".encode(), b"\x81"])
def test_names_of_zips_that_are_not_marked_as_utf8(tmp_path: Path, raw: bytes) -> None:
    """Of macOS, which writes UTF-8 all the same, and of DOS, which writes code page 437."""
    filler = "x" * len(raw)
    path = zipped(tmp_path / "z.zip", {"b/1.png": png(noise(1)), f"{filler}/1.png": png(noise(2))})
    path.write_bytes(path.read_bytes().replace(f"{filler}/1.png".encode(), raw + b"/1.png"))
    assert load(path).class_names == ("b", "ü")


def test_names_that_lead_outside_are_no_classes(tmp_path: Path) -> None:
    evil = {"../evil/1.png": b"x", "cat/../../evil/3.png": b"x", "a/..\\../b/1.png": b"x"}
    assert load(zipped(tmp_path / "z.zip", evil | animals())).class_names == ("cat", "dog", "eel")
    assert refused(zipped(tmp_path / "y.zip", evil)).endswith(
        " leads out of the archive; pack it from within its folder"
    )


@pytest.mark.parametrize("name", ["cat/link.png", "bee"])
def test_a_link_in_a_zip_is_refused(tmp_path: Path, name: str) -> None:
    """Read as a file it would be a damaged image, or a class folder that is gone."""
    link = zipfile.ZipInfo(name)
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "z.zip", animals())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "dog")
    assert refused(path) == f"{path}: {name} is a symbolic link; pack the files that links lead to (zip without -y)"


def test_an_encrypted_zip_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "z.zip"
    path.write_bytes(marked(write_zip(path), 8, struct.pack("<H", 1)))
    assert refused(path).endswith(" is encrypted; unpack the archive with its password, and give the folder")


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    path = tree(tmp_path / "t", animals())
    os.mkfifo(path / "cat" / "pipe")
    assert load(path).class_counts == (4, 4, 4)
    os.mkfifo(path / "cat" / "pipe.png")
    assert refused(path) == f"{path}: cat/pipe.png is no regular file"


def test_images_inside_of_a_zip_inside_of_a_zip_are_not_found(tmp_path: Path) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("cat/1.png", b"x")
    assert "has no images in it" in refused(zipped(tmp_path / "z.zip", {"inner.zip": inner.getvalue()}))

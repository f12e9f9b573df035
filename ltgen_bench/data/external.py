"""Images made by anybody's trainer, read and checked against a dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.class_folders import class_folders
from ltgen_bench.data.file_tree import opened, reason
from ltgen_bench.data.images import Images, describe_shape
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.data.names import in_order, normal
from ltgen_bench.data.notes import say
from ltgen_bench.errors import UsageError, unknown


def read(path: Path, data: LongTail) -> Images:
    """The images of an npz, or of a folder or zip of class folders, in the format of a dataset's.

    Raises UsageError for anything that is not one uint8 image of that format, or one class of the dataset, each.
    """
    if path.is_dir():
        return _from_tree(path, data)
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    try:
        with zipfile.ZipFile(path) as archive:
            files = [name for name in archive.namelist() if not name.endswith(("/", "\\"))]
    except Exception as error:  # zipfile raises errors of many kinds
        raise UsageError(f"{path} is neither an npz nor a folder or zip of class folders: {reason(error)}") from error
    # A zip of class folders may hold an array among the images.
    is_npz = bool({"images.npy", "labels.npy"} & set(files)) or all(name.endswith(".npy") for name in files)
    return _from_npz(path, data) if is_npz else _from_tree(path, data)


def _from_npz(path: Path, data: LongTail) -> Images:
    images, labels = (_array(path, name) for name in ("images", "labels"))
    if images.dtype != np.uint8:
        what = f"{path}: images are {images.dtype}"
        if np.issubdtype(images.dtype, np.floating):
            finite = np.isfinite(images)
            if not finite.all():
                first = np.argwhere(~finite)[0][0] if images.ndim else 0
                raise UsageError(f"{path}: image {first} holds NaN or infinity; only finished images can be scored")
            if images.size:
                what += f" from {images.min():g} to {images.max():g}"
        raise UsageError(f"{what}; round them to uint8 from 0 to 255, as only you know their range")
    if not np.issubdtype(labels.dtype, np.integer):
        raise UsageError(f"{path}: labels are {labels.dtype}; give class ids, whole numbers")
    if labels.shape != images.shape[:1]:
        raise UsageError(
            f"{path}: labels of shape {labels.shape} for images of shape {images.shape}; give one class id per image"
        )
    pixels = images[..., None] if images.ndim == 3 else images
    shape = data.reference.pixels.shape[1:]
    if pixels.shape[1:] == (shape[2], *shape[:2]) != shape:
        pixels = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    if pixels.shape[1:] != shape:
        sides = [side for side in images.shape[1:] if side not in (1, 3)]
        raise _misfit(path, f"images have shape {images.shape}", shape, sides, data)
    _check_ids(path, labels, data)
    return Images(pixels, labels.astype(np.int64))


def _check_ids(path: Path, labels: NDArray[Any], data: LongTail) -> None:
    """Raises UsageError for labels that count from 1: every class would be compared with the one after it."""
    classes = len(data.class_names)
    if len(labels) and (labels.min(), labels.max()) == (1, classes):
        raise UsageError(
            f"{path}: labels are 1 to {classes}, but the class ids of {data.spec.name} are 0 to {classes - 1}; "
            "subtract 1"
        )
    if sorted(data.class_names) != list(data.class_names) and in_order(data.class_names) == list(data.class_names):
        say(
            f"{path}: labels are taken for class ids: 0 is {data.class_names[0]}, 1 is {data.class_names[1]}, ...; a "
            "trainer that sorts class folders as text, so 10 before 2, has others"
        )


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if name in file.files:
                return np.asarray(file[name])
            known = ", ".join(file.files[:5]) + (", ..." if len(file.files) > 5 else "")
    except Exception as error:  # a damaged file can make NumPy raise almost anything
        if "allow_pickle" in str(error):
            why = "holds Python objects, which are never loaded; save plain arrays"
        else:
            why = f"cannot be read: {reason(error)}"
        raise UsageError(f"{path}: the array {name} {why}") from error
    raise UsageError(f"{path} has no array {name!r}, only {known or 'nothing'}; name the arrays images and labels")


def _from_tree(path: Path, data: LongTail) -> Images:
    shape = data.reference.pixels.shape[1:]
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    with opened(path) as tree:
        found = class_folders(tree)
        for note in found.notes:
            say(f"{path}: {note}")
        classes = found.train
        ids = _class_ids(path, list(classes), data)
        for folder, names in classes.items():
            for name in names:
                with tree.image(name) as image:
                    if image.size != (shape[1], shape[0]):
                        what = f"{name} has {image.width}x{image.height} pixels"
                        raise _misfit(path, what, shape, image.size, data)
                    rgb = np.asarray(image.convert("RGB"))
                grey = (rgb == rgb[..., :1]).all()  # many programs write grey images with three channels
                if shape[2] == 1 and not grey:
                    raise UsageError(f"{path}: {name} has colours; the images of {data.spec.name} are grey")
                pixels.append(rgb[..., : shape[2]])
                labels.append(ids[folder])
    return Images(np.stack(pixels), np.array(labels, np.int64))


def _class_ids(path: Path, folders: Sequence[str], data: LongTail) -> dict[str, int]:
    """Class id of each class folder, by the class's name or, where no folder has one, by its number.

    Raises UsageError for a folder of no class, and for two of one class.
    """
    by_name = {normal(name): c for c, name in enumerate(data.class_names)}
    by_value = {_number(name): c for name, c in by_name.items()}  # 7 and 007, if all classes are numbers
    if None in by_value or len(by_value) < len(by_name):
        by_value = {}
    ids: dict[str, int | None] = {folder: by_name.get(folder, by_value.get(_number(folder))) for folder in folders}
    if all(found is None for found in ids.values()) and all(folder.isdecimal() for folder in folders):
        ids = {folder: int(folder) for folder in folders}
        _check_ids(path, np.array(list(ids.values())), data)
    known: dict[int, str] = {}
    for folder, found in ids.items():
        if found is None:
            raise unknown("class", folder, by_name, str(path))
        if known.setdefault(found, folder) != folder:
            raise UsageError(f"{path}: {known[found]}/ and {folder}/ are both of class {found}; put them into one")
    return {folder: c for c, folder in known.items()}


def _number(name: str) -> int | None:
    return int(name) if name.isdecimal() and len(name) < 20 else None


def _misfit(path: Path, what: str, shape: tuple[int, ...], sides: Sequence[int], data: LongTail) -> UsageError:
    """The error for images of another size or with other channels than the dataset's."""
    smaller = len(sides) == 2 and sides[0] == sides[1] < shape[0]
    hint = f"; --size {sides[0]} reduces them to yours" if smaller else ""
    return UsageError(f"{path}: {what}; the images of {data.spec.name} are {describe_shape(shape)}{hint}")

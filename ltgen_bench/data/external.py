"""Images made by anybody's trainer, read and checked against a dataset."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltgen_bench.data.class_folders import opened
from ltgen_bench.data.images import Images, describe_shape
from ltgen_bench.data.long_tail import LongTail
from ltgen_bench.errors import UsageError, unknown


def read(path: Path, data: LongTail) -> Images:
    """The images of an npz, or of a folder or zip of class folders, in the format of a dataset's.

    Raises UsageError for anything that is not one uint8 image of that format, or one class of the dataset, each.
    """
    if path.is_dir():
        return _from_tree(path, data)
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder")
    if not zipfile.is_zipfile(path):
        raise UsageError(f"{path} is neither an npz nor a folder or zip of class folders")
    with zipfile.ZipFile(path) as archive:
        arrays = [name for name in archive.namelist() if name.endswith(".npy")]
    return _from_npz(path, data) if arrays else _from_tree(path, data)


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
    return Images(pixels, labels.astype(np.int64))


def _array(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            if name in file.files:
                return np.asarray(file[name])
            known = ", ".join(file.files)
    except Exception as error:  # a damaged file can make NumPy raise almost anything
        if "allow_pickle" in str(error):
            why = "holds Python objects, which are never loaded; save plain arrays"
        else:
            why = f"cannot be read: {error}"
        raise UsageError(f"{path}: the array {name} {why}") from error
    raise UsageError(f"{path} has no array {name!r}, only {known}; name the arrays images and labels")


def _from_tree(path: Path, data: LongTail) -> Images:
    shape = data.reference.pixels.shape[1:]
    pixels: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    with opened(path) as tree:
        ids = _class_ids(path, list(tree.train), data)
        for folder, names in tree.train.items():
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
    """Class id of each class folder, by the class's name or, where no folder has one, by its number."""
    by_name = {name: c for c, name in enumerate(data.class_names)}
    if not set(folders) & set(by_name) and all(folder.isdecimal() for folder in folders):
        return {folder: int(folder) for folder in folders}
    for folder in folders:
        if folder not in by_name:
            raise unknown("class", folder, by_name, str(path))
    return {folder: by_name[folder] for folder in folders}


def _misfit(path: Path, what: str, shape: tuple[int, ...], sides: Sequence[int], data: LongTail) -> UsageError:
    """The error for images of another size or with other channels than the dataset's."""
    smaller = len(sides) == 2 and sides[0] == sides[1] < shape[0]
    hint = f"; --size {sides[0]} reduces them to yours" if smaller else ""
    return UsageError(f"{path}: {what}; the images of {data.spec.name} are {describe_shape(shape)}{hint}")

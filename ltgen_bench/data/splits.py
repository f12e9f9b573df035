"""Folders called train, Valid, test_images, ...: the parts of a data set, which must not be taken for its classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

WORDS = {
    "train": "train training trn trainset trainingset traindata trainingdata trainval",
    "test": "test testing tests tst testset testingset testdata testingdata eval evaluation evaluate",
    "val": "val valid validate validation valset validset validationset valdata dev devset holdout heldout",
    "other": "pred preds predict prediction predictions infer inference unlabeled unlabelled unsup extra submission",
}
ROLES = {word: role for role, words in WORDS.items() for word in words.split()}


FILLERS = {"set", "data", "dataset", "image", "images", "img", "imgs", "split", "folder", "files"}
CLASSES_TOO = {"train", "extra", "submission", "dev"}
"""Words that may well name a class, beside others."""


def role(name: str) -> str | None:
    """The part of a data set that a folder's name speaks of: train, test, val, other; None for any other name.

    >>> [role(name) for name in ("Training", "seg_test", "val2017", "trainA", "cat")]
    ['train', 'test', 'val', 'train', None]
    """
    words = _words(name)
    return next((ROLES[word] for word in ("".join(words), *words) if word in ROLES), None)


def is_split(name: str) -> bool:
    """Whether a name says that and nothing else, as Test, val2017, train_images and trainA do, unlike steam_train."""
    words = _words(name)
    known = all(word in ROLES or word in FILLERS or len(word) == 1 for word in words)
    return role(name) is not None and (known or "".join(words) in ROLES)


def _words(name: str) -> list[str]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", apart.casefold())


class Unclear(Exception):
    """Folders of which some seem to be splits, but not all; the message says which, and the way out."""


@dataclass(frozen=True)
class Splits:
    """Folder of the training images; candidates for the held-out ones, best first; and what is in no use."""

    train: str
    held_out: tuple[str, ...]
    unused: tuple[str, ...]


def find(folders: Mapping[str, bool]) -> Splits | None:
    """The splits among folders that lie side by side; None when all are classes. Raises Unclear.

    folders: whether each has all of its images in folders of its own, as a split has, and a class seldom.
    """
    roles = {name: role(name) for name in folders}
    nested = [name for name, deep in folders.items() if deep and roles[name]]
    kinds = {roles[name] for name in nested}
    if not any(map(is_split, nested)) and len(kinds) < 2 and not (nested and all(roles.values())):
        _check_flat(folders)
        return None
    if plain := [name for name, found in roles.items() if not found]:
        raise Unclear(
            f"{_named(nested)} like splits of a data set, but not {_list(plain)} beside; give the folder that holds "
            "the class folders alone, or rename the class"
        )
    by_role = {kind: [name for name, found in roles.items() if found == kind] for kind in WORDS}
    for kind, names in by_role.items():
        if len(names) > 1 and kind != "other":
            raise Unclear(f"{_list(names)} are two folders for one split; leave one")
    if not by_role["train"]:
        raise Unclear(f"{_named(nested)} like splits of a data set, but there is no train/; give one of them alone")
    (train,) = by_role["train"]
    if not folders[train]:
        raise Unclear(f"{train}/ has images in no class folder; put them into one folder per class")
    return Splits(train, (*by_role["test"], *by_role["val"]), tuple(by_role["other"]))


def _check_flat(folders: Mapping[str, bool]) -> None:
    """Raises Unclear when a folder of images only has a split's name; `train` may be a class beside others."""
    exact = [name for name in folders if is_split(name)]
    if len(exact) == len(folders) > 1:
        raise Unclear(f"{_named(exact)} like splits of a data set; put the images of each into one folder per class")
    odd = [name for name in exact if not CLASSES_TOO & set(_words(name)) and not _has_opposite(name, folders)]
    if odd and len(folders) > 1:
        raise Unclear(f"{_named(odd)} like a split of a data set; move it elsewhere or, if it is a class, rename it")


def _has_opposite(name: str, folders: Iterable[str]) -> bool:
    """As valid has in invalid, which makes it a class."""
    return any(name.casefold() in other.casefold() and role(other) is None for other in folders)


def _named(names: Sequence[str]) -> str:
    return f"{_list(names)} {'is' if len(names) == 1 else 'are'} named"


def _list(names: Sequence[str]) -> str:
    shown = [f"{name}/" for name in names[:4]] + ([f"{len(names) - 4} more"] if len(names) > 4 else [])
    return " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))

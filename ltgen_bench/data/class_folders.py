"""Images in class folders: which are for training and which held out, and of which class each is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ltgen_bench.data import splits
from ltgen_bench.data.file_tree import Tree, is_image, is_unreadable_image, suffix
from ltgen_bench.data.names import in_order
from ltgen_bench.errors import UsageError

Classes = dict[str, list[str]]  # class folder: its images, sorted
Parts = tuple[str, ...]

AROUND = {"images", "image", "imgs", "img", "data", "jpegimages"}
"""Folders that many put around the class folders of a split."""

ARCHIVES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip", ".zst"}


@dataclass(frozen=True)
class ClassFolders:
    """The classes of a tree, in the order of their ids. test: those of the held-out images; empty without any.

    notes: what was passed over, a sentence each.
    """

    train: Classes
    test: Classes
    notes: tuple[str, ...]


def class_folders(tree: Tree) -> ClassFolders:
    """Find the class folders: those right above the images, where all folders around them are passed through.

    Raises UsageError for a layout that can be read in two ways, an image in no class folder, and an empty class folder.
    """
    return _Layout(tree).read()


class _Layout:
    def __init__(self, tree: Tree) -> None:
        self.path = tree.path
        self.names: list[Parts] = sorted(tuple(name.split("/")) for name in tree.files)
        self.images = [parts for parts in self.names if is_image(parts[-1])]
        self.folders = sorted(tuple(name.split("/")) for name in tree.folders)
        self.notes: list[str] = []

    def read(self) -> ClassFolders:
        if not self.images:
            other = next((parts for parts in self.names if is_unreadable_image(parts[-1])), None)
            hint = f"; {_text(other)} is of a format that Pillow does not read" if other else ""
            raise self.error(
                " has no images in it (.bmp, .gif, .jpg, .png, .tif, .webp and all that Pillow reads)" + hint
            )
        root = _shared(parts[:-2] for parts in self.images)
        try:
            found = splits.find(self.nested(root))
        except splits.Unclear as unclear:
            raise self.error(f": {unclear}") from None
        if found is None:
            self.check_order_of_folders(root)
            self.check_same_inside(root)
            return ClassFolders(self.classes(root), {}, tuple(self.notes))
        self.check_loose(root)
        for name in found.unused:
            self.leave_out((*root, name), "is not used")
        train = self.classes(self.inside((*root, found.train)))
        return ClassFolders(train, self.held_out(root, found, train), tuple(self.notes))

    def held_out(self, root: Parts, found: splits.Splits, train: Classes) -> Classes:
        """The first candidate with class folders, which must be those of the training images."""
        chosen: Classes = {}
        for name in found.held_out:
            top = self.inside((*root, name))
            inside = self.nested(top)
            flat = any(len(parts) == len(top) + 1 for parts in self.below(top))
            if chosen:
                self.leave_out((*root, name), "is not used: one set of held-out images is enough")
            elif flat or (len(inside) < 2 and not inside.keys() & train):
                self.leave_out((*root, name), "has no class folders and is not used")
            else:
                chosen = self.classes(top, at_least=1)
                if chosen.keys() != train.keys():
                    odd = in_order(chosen.keys() ^ train.keys())
                    more = f" and {len(odd) - 3} more" if len(odd) > 3 else ""
                    raise self.error(
                        f": {name}/ has other class folders than {found.train}/: {', '.join(odd[:3])}{more} "
                        f"in one of them only; make them the same, or move {name}/ elsewhere"
                    )
        return chosen

    def classes(self, root: Parts, at_least: int = 2) -> Classes:
        """The images of each folder in `root`, at any depth."""
        self.check_loose(root)
        images: dict[str, list[str]] = {}
        others: dict[str, list[str]] = {}  # suffixes of the files that are no images
        for parts in self.names:
            inside = parts[len(root) :]
            if parts[: len(root)] != root or len(inside) < 2:
                continue
            if is_image(parts[-1]):
                images.setdefault(inside[0], []).append(_text(parts))
            elif is_unreadable_image(parts[-1]):
                raise self.error(
                    f": {_text(parts)} is an image of a format that Pillow does not read; convert it, or remove it"
                )
            else:
                others.setdefault(inside[0], []).append(suffix(parts[-1]) or "no suffix")
        self.check_empty(root, images, others)
        if len(images) < at_least:
            raise self.error(f" needs at least two class folders with images; found: {', '.join(images) or 'none'}")
        if beside := Counter(kind for name in images for kind in others.get(name, ())):
            which = "file that is no image is" if beside.total() == 1 else "files that are no images are"
            kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(beside.items()))
            where = f" in {_text(root)}/" if root else ""
            self.notes.append(f"{beside.total()} {which} passed over{where}: {kinds}")
        return {name: images[name] for name in in_order(images)}

    def check_loose(self, root: Parts) -> None:
        if loose := next((parts for parts in self.below(root) if len(parts) == len(root) + 1), None):
            raise self.error(f": {_text(loose)} is an image in no class folder")

    def check_empty(self, root: Parts, images: Iterable[str], others: Mapping[str, Iterable[str]]) -> None:
        """Without its images a class would be gone, and the ids of those after it others."""
        all_folders = {
            parts[len(root)] for parts in self.folders if len(parts) > len(root) and parts[: len(root)] == root
        }
        for name in in_order(all_folders - set(images)):
            where = f"{_text((*root, name))}/"
            if ARCHIVES & set(others.get(name, ())):
                raise self.error(f": {where} has no images, but an archive; unpack it, or move the folder elsewhere")
            if name in others:
                self.notes.append(f"{where} has no images in it and is no class")
            elif splits.role(name) is None:
                raise self.error(f": the class folder {where} has no images; put some in, or remove it")

    def check_order_of_folders(self, root: Parts) -> None:
        """Raises UsageError when splits lie in the class folders, where they would be mixed."""
        inner = [parts[len(root) + 1 :] for parts in self.below(root)]
        tops = {parts[0] for parts in inner if len(parts) > 1}
        if len(tops) > 1 and all(len(parts) > 1 for parts in inner) and all(map(splits.is_split, tops)):
            names = " and ".join(f"{name}/" for name in sorted(tops))
            raise self.error(f": {names} lie inside of each class folder; put the class folders into them instead")

    def check_same_inside(self, root: Parts) -> None:
        """Raises UsageError for what seems to hold the classes once more: splits in another language, folds, a copy."""
        inside: dict[str, set[str]] = {}
        for parts in self.below(root):
            inside.setdefault(parts[len(root)], set()).update(parts[len(root) + 1 : -1][:1])
        same = in_order(set.intersection(*inside.values()))
        if 1 < len(inside) <= len(same):
            raise self.error(
                f": {_list(in_order(inside))} all hold {_list(same)}, which seem to be the classes; call them train/ "
                "and test/, or give the one to train on alone; if they are the classes, put their images right into "
                "them"
            )
        for name, folders in inside.items():
            again = in_order(folders & (inside.keys() - {name}))
            if len(again) > 1 >= len(same):
                raise self.error(
                    f": {name}/ holds {_list(again)} once more, which are class folders beside it; move {name}/ "
                    "elsewhere, or rename what it holds"
                )

    def nested(self, root: Parts) -> dict[str, bool]:
        """Each folder in `root` that has images: whether none of them lies in the folder itself."""
        found: dict[str, bool] = {}
        for parts in self.below(root):
            if len(parts) > len(root) + 1:
                name = parts[len(root)]
                found[name] = found.get(name, True) and len(parts) > len(root) + 2
        return found

    def inside(self, root: Parts) -> Parts:
        """Pass through one folder in a split that holds all of it: seg_train/seg_train/, train/images/."""
        tops = {parts[len(root)] for parts in self.below(root)}
        if len(tops) == 1 and all(len(parts) > len(root) + 1 for parts in self.below(root)):
            (name,) = tops
            if splits.role(name) or name.casefold() in AROUND:
                return (*root, name)
        return root

    def leave_out(self, folder: Parts, why: str) -> None:
        count = len(self.below(folder))
        self.notes.append(f"{_text(folder)}/ {why} ({count:,} image{'s' if count > 1 else ''})")

    def below(self, root: Parts) -> list[Parts]:
        return [parts for parts in self.images if parts[: len(root)] == root]

    def error(self, what: str) -> UsageError:
        return UsageError(f"{self.path}{what}")


def _shared(folders: Iterable[Parts]) -> Parts:
    """The folders that all of these begin with."""
    folders = list(folders)
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(min(folders), max(folders), strict=False))
    return tuple(name for name, _ in pairs)


def _text(parts: Parts) -> str:
    return "/".join(parts)


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"{name}/" for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

"""Find the plugin folders: the top-level methods/ and datasets/ of a checkout, and those named by the user."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import MutableSequence
from pathlib import Path

from ltgen_bench import ROOT

shadowed: set[str] = set()
"""Folders in whose place those of a checkout stand: what is there under a name that the checkout has is not used."""
_noted = False


def extend(path: MutableSequence[str], kind: str) -> None:
    """Put onto a package's search path the checkout's `kind/` folder and `kind/` of each folder in LTGEN_PLUGINS.

    In a checkout that another installation is used from, a plain one perhaps, the checkout's files take the place of
    the installed ones: what is edited there is what runs. Where they differ, that is said.

    There is no `__init__.py` in the top-level folders on purpose: with one, every process started at the root of a
    checkout would import ours as `datasets`, in place of Hugging Face's package of that name.
    """
    folder = ROOT / kind
    if (ROOT / "pyproject.toml").is_file() and folder.is_dir():
        path.insert(0, str(folder))
    if Path("ltgen_bench/_plugin_path.py").is_file() and Path(kind).is_dir() and (here := Path.cwd()) != ROOT:
        _note(here, [Path(installed) for installed in path], kind)
        shadowed.update(path)
        path.insert(0, str(here / kind))
    for plugins in filter(None, os.environ.get("LTGEN_PLUGINS", "").split(os.pathsep)):
        found = str(Path(os.path.expanduser(plugins)).resolve() / kind)
        if found not in path:
            path.append(found)


def _note(here: Path, installed: list[Path], kind: str) -> None:
    """Say once that a checkout's files are used in place of the installed ones, if they are others."""
    global _noted
    files = [(file, folder / file.name) for file in (here / kind).glob("[!_.]*.py") for folder in installed]
    changed = [mine.name for mine, its in files if its.is_file() and mine.read_bytes() != its.read_bytes()]
    if changed and not _noted:
        _noted = True
        print(
            f"note: methods and datasets are those of {here}, where {kind}/{min(changed)} differs from the installed "
            "one; after pip install -e . there is only one",
            file=sys.stderr,
        )


def normal(name: str) -> str:
    """A plugin's name as it is compared: an accent may be spelt in two ways, as an editor or a keyboard likes it."""
    return unicodedata.normalize("NFC", name)

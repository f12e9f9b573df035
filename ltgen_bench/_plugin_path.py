"""Find the plugin folders: the top-level methods/ and datasets/ of a checkout, and those named by the user."""

from __future__ import annotations

import os
from collections.abc import MutableSequence
from pathlib import Path

from ltgen_bench import ROOT


def extend(path: MutableSequence[str], kind: str) -> None:
    """Add to a package's search path the checkout's `kind/` folder and `kind/` of each folder in LTGEN_PLUGINS.

    In a checkout that another, plain installation is used from, a file dropped into its folders is found too.

    There is no `__init__.py` in the top-level folders on purpose: with one, every process started at the root of a
    checkout would import ours as `datasets`, in place of Hugging Face's package of that name.
    """
    folder = ROOT / kind
    if (ROOT / "pyproject.toml").is_file() and folder.is_dir():
        path.insert(0, str(folder))
    if Path("ltgen_bench/_plugin_path.py").is_file() and (here := Path.cwd()) != ROOT:
        path.append(str(here / kind))
    for plugins in filter(None, os.environ.get("LTGEN_PLUGINS", "").split(os.pathsep)):
        path.append(str(Path(plugins).resolve() / kind))

"""One type for every path that is typed or stands in an environment variable."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import typer

from ltgen_bench.errors import UsageError

Holds = Literal["folder", "file", "either"]


def path_option(
    name: str,
    help: str,
    *,
    holds: Holds = "either",
    envvar: str | None = None,
    absolute: bool = False,
    metavar: str = "PATH",
) -> Any:
    """A path option.

    holds: what it must be, if it exists. absolute: as other processes use it, which may work in another folder. From
    the variable `envvar` it is taken in the same way.
    """
    where = f"{name} (or {envvar})" if envvar else name
    return typer.Option(name, help=help, metavar=metavar, envvar=envvar, parser=_parser(where, holds, absolute))


def path_argument(metavar: str, help: str, *, holds: Holds = "either") -> Any:
    """A path that is typed without an option's name."""
    return typer.Argument(metavar=metavar, help=help, parser=_parser(metavar, holds, absolute=False))


def as_path(text: str | Path, where: str, holds: Holds = "either") -> Path:
    """A path as the user means it: ~ is the home folder, nothing at all is no path.

    where: what the error begins with. Raises UsageError for an empty text, a home that is unknown, a path that cannot
    exist, a file in the place of a folder and a folder in the place of a file.
    """
    if not str(text).strip():
        raise UsageError(f"{where}: the path is empty; name one, or leave the option out")
    try:
        path = Path(text).expanduser()
        with suppress(FileNotFoundError, NotADirectoryError):
            path.stat()
        if holds == "file" and path.is_dir():
            raise UsageError(f"{where}: {path} is a folder; name a file")
        if holds == "folder" and path.exists() and not path.is_dir():
            raise UsageError(f"{where}: {path} is a file; name a folder")
    except (OSError, RuntimeError, ValueError) as error:  # a name that is too long, no permission; an unknown ~user
        raise UsageError(f"{where}: {text} cannot be used: {getattr(error, 'strerror', None) or error}") from None
    return path


def _parser(where: str, holds: Holds, absolute: bool) -> Callable[[str], Path]:
    def path(text: str) -> Path:
        found = as_path(text, where, holds)
        return found.absolute() if absolute else found

    return path

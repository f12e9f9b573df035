"""The errors a user can cause, each one clear sentence, and how they are worded."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """Something the user asked for cannot be done; the message says what, why and the way out. Exit code 2."""


class RunFailed(Exception):
    """A run ended without a result; the message says at which step and what is kept. Exit code 1."""


def short(value: object) -> str:
    """A value as a message shows it: as Python writes it, cut where it is long.

    >>> short("x" * 99)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx..."
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


def unknown(kind: str, name: str, known: Iterable[str], where: str = "") -> UsageError:
    """The error for a name that is not known, with the nearest known one.

    >>> str(unknown("method", "cbmd", ["cbdm", "cm"], "--method cm+cbmd"))
    "unknown method 'cbmd' in --method cm+cbmd. Did you mean 'cbdm'? Known: cbdm, cm"
    """
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return UsageError(
        f"unknown {kind} {short(name)}{f' in {where}' if where else ''}.{hint} Known: {', '.join(known) or 'none'}"
    )

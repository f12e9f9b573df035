"""What the user should know of how images were read, though nothing is wrong."""

from __future__ import annotations

import functools
import sys


@functools.cache
def say(note: str) -> None:
    """Print a sentence on stderr, once in a process."""
    print(note, file=sys.stderr)

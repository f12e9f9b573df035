"""Names of classes and files in one form and order, whatever system, encoding or archive they come from."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation


def normal(name: str) -> str:
    r"""A name as it is compared, shown and recorded: NFC, and always text that can be written as UTF-8 on one line.

    macOS spells an accent as a character of its own (NFD), others do not. Bytes that are not UTF-8, which Python keeps
    as surrogates, and control characters are written out.

    >>> normal("caf\udce9"), normal("cafe\u0301") == "caf\xe9", normal("a\nb")
    ('caf\\xe9', True, 'a\\nb')
    """
    if name.isascii() and name.isprintable():
        return name
    text = "".join(_escape(c) if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in name)
    return unicodedata.normalize("NFC", text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else character.encode("unicode_escape").decode()


def from_system(name: str) -> str:
    """A file's name as text, whatever the locale: POSIX names are bytes, taken for UTF-8."""
    return os.fsencode(name).decode("utf-8", "surrogateescape") if os.name == "posix" else name


def in_order(names: Iterable[str]) -> list[str]:
    """Sorted with numbers by their value: 1, 2, 10; class2, class10; -1, 0, 0.5.

    >>> in_order(["10", "2", "1"]), in_order(["b10", "b9", "a"])
    (['1', '2', '10'], ['a', 'b9', 'b10'])
    """
    names = list(names)
    try:
        return sorted(names, key=lambda name: (Decimal(name), name))
    except InvalidOperation:
        return sorted(names, key=_natural)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(
        r"([0-9]+)", name
    )  # text and numbers by turns; a number is longer or, of equal length, sorted later
    digits = [part.lstrip("0") if i % 2 else part for i, part in enumerate(parts)]
    return [(len(part) if i % 2 else 0, part) for i, part in enumerate(digits)], name

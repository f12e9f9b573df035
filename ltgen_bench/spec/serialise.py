"""Specs to plain JSON and back, their hashes, and values typed on the command line."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import math
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from ltgen_bench.errors import UsageError, short, unknown

Spec = TypeVar("Spec")

# What a field's metadata may say: `field(default=1, metadata=within(1, 10))`, several of them joined by `|`.

NOT_HASHED: Mapping[str, Any] = {"identity": False}
"""Recorded, but not part of what identifies a spec."""


def within(low: float, high: float) -> dict[str, Any]:
    """A number of this range, both ends included."""
    return {"range": (low, high)}


def before(value: Any) -> dict[str, Any]:
    """A field that was added later: the value that everything had before it existed.

    JSON without the field is read as that value, and the field is left out of the hash while it has it: what was made
    before keeps its ids.
    """
    return {"before": value}


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


@functools.cache
def _fields(kind: Any) -> tuple[dataclasses.Field[Any], ...] | None:
    """Of a dataclass; None of another type."""
    return dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else None


_SCALARS = frozenset({str, int, float, bool, type(None)})


def to_json(spec: Any) -> dict[str, Any]:
    """A spec as plain JSON values (tuples as lists)."""
    value: dict[str, Any] = _plain(spec)
    return value


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:
        return value
    if (fields := _fields(cast(Any, type(value)))) is not None:
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def identity(spec: Any) -> Any:
    """What is hashed of a spec, as plain JSON values: see `NOT_HASHED` and `before`."""
    return _identity(spec, type(spec).__name__)


def _identity(value: Any, where: str) -> Any:
    if (fields := _fields(cast(Any, type(value)))) is not None:
        hints, found = _hints(cast(Any, type(value))), {}
        for field in fields:
            if field.metadata.get("identity", True):
                place = f"{where}.{field.name}"
                item = coerce(getattr(value, field.name), hints[field.name], place)  # as `canonical` has it
                if not _as_before(field, item):
                    found[field.name] = _identity(item, place)
        return found
    if isinstance(value, tuple):
        return [_identity(item, where) for item in value]
    return _plain(value)


def _as_before(field: dataclasses.Field[Any], value: Any) -> bool:
    return "before" in field.metadata and bool(field.metadata["before"] == value)


def canonical(spec: Spec) -> Spec:
    """The spec with every value of its field's type, so that equal settings hash equally: 2 for a float is 2.0."""
    return from_json(type(spec), to_json(spec), type(spec).__name__)


def digest(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of the canonical JSON (sorted keys, no spaces, no NaN)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_json(kind: type[Spec], value: Any, where: str = "spec") -> Spec:
    """Read a spec back; a field that is younger than the JSON gets the value of that time (`before`).

    Raises UsageError for missing or unknown fields and wrong types.
    """
    if not isinstance(value, Mapping):
        raise UsageError(f"{where} must be an object of {kind.__name__}'s fields, not {short(value)}")
    hints, fields = _hints(cast(Any, kind)), _fields(cast(Any, kind)) or ()
    names = [field.name for field in fields]
    for name in value:
        if name not in names:
            raise unknown("field", name, names, where)
    older = {}
    for field in fields:
        if field.name in value:
            continue
        if "before" in field.metadata:
            older[field.name] = field.metadata["before"]
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where} lacks the field {field.name!r}")
    return kind(**{name: coerce(v, hints[name], f"{where}.{name}") for name, v in value.items()}, **older)


def override(spec: Spec, changes: Mapping[str, str], where: str) -> Spec:
    """A spec with some fields replaced by values typed on the command line.

    Raises UsageError for an unknown field, with the near miss, and for a value of the wrong type.
    """
    hints = _hints(cast(Any, type(spec)))
    names = [f.name for f in dataclasses.fields(spec)]  # type: ignore[arg-type]
    for name in changes:
        if name not in names:
            raise unknown("setting", f"{where}.{name}", [f"{where}.{n}" for n in names], "--set")
    values = {name: coerce(v, hints[name], f"--set {where}.{name}") for name, v in changes.items()}
    return dataclasses.replace(spec, **values)  # type: ignore[type-var]


_EXACT = frozenset({str, int, bool})
"""Types whose values need no second look: a float may be infinite, or -0.0."""


@functools.cache
def _parts(kind: Any) -> tuple[Any, tuple[Any, ...]]:
    """Of a type such as tuple[int, ...]: tuple, and what stands in the brackets."""
    return typing.get_origin(kind), typing.get_args(kind)


def coerce(value: Any, kind: Any, where: str) -> Any:
    """`value` as a `kind`: from JSON, or from text typed on the command line. Raises UsageError."""
    if type(value) is kind and kind in _EXACT:
        return value  # as almost everything in a file is
    origin, args = _parts(kind)
    if origin is Literal:
        if value in args:
            return value
        raise unknown("value", str(value), [str(a) for a in args], where)
    if origin in (typing.Union, types.UnionType):
        if type(None) in args and value in (None, "none"):
            return None
        kinds = [a for a in args if a is not type(None)]
        for candidate in kinds[:-1]:
            if _has_others(value, candidate):
                continue
            with contextlib.suppress(UsageError):
                return coerce(value, candidate, where)
        return coerce(value, kinds[-1], where)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if isinstance(items, list | tuple):
            if args[0] in _EXACT and set(map(type, items)) <= {args[0]}:
                return tuple(items)
            return tuple(coerce(item, args[0], where) for item in items)
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return value if isinstance(value, kind) else from_json(kind, value, where)
    elif kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
    elif kind in (int, float) and (number := _number(value, kind)) is not None:
        return number
    elif kind is Any or (kind is str and isinstance(value, str)):
        return value
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return dict(value)
    raise UsageError(f"{where} must be {_words(kind)}, not {short(value)}")


def typed(value: object) -> str:
    """A setting's value as it is typed on the command line."""
    if isinstance(value, tuple | list):
        return ",".join(map(typed, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _has_others(value: Any, kind: Any) -> bool:
    """Whether a value has fields that a dataclass has not, which it is then not read as: cheaper than an error."""
    return (
        isinstance(value, dict)
        and (fields := _fields(kind)) is not None
        and not value.keys() <= {f.name for f in fields}
    )


def _number(value: Any, kind: type[int] | type[float]) -> int | float | None:
    """`value` as a finite int or float; None when it is not one."""
    if isinstance(value, bool):
        return None
    try:
        number = kind(value.replace("_", "") if isinstance(value, str) else value)
        exact = isinstance(value, str) or number == value
        return number + 0 if exact and math.isfinite(number) else None  # + 0: -0.0 is 0.0
    except (TypeError, ValueError, OverflowError):
        return None


def _words(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is tuple:
        item = typing.get_args(kind)[0]
        if dataclasses.is_dataclass(item):
            return f"a list of objects of {item.__name__}'s fields"  # type: ignore[union-attr]
        return f"a comma-separated list of {_words(item).removeprefix('a ')}s"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return "an object"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(kind, str(kind))

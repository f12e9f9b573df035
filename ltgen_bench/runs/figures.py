"""What the figures of a record are, as types, and whether those of a file are so: pages and tables rely on it."""

from __future__ import annotations

import functools
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from ltgen_bench.errors import short


class _Value(TypedDict):
    value: float


class Figures(_Value, total=False):
    """Of a metric and a group of classes, or a class. Those that are not named here may be anything finite.

    n_real, n_gen, n_train, n_unseen: images that were computed from. floor: what a perfect generator would get. flag:
    what the scorer warns of.
    """

    se: float
    n_real: int
    n_gen: int
    n_train: int
    n_unseen: int
    floor: float
    debiased: float
    ceiling: float
    ceiling_n: int
    copies: float
    gap: float
    unseen: float
    flag: str


class _Unseen(TypedDict):
    unseen: float


class Memorised(Figures, _Unseen):  # type: ignore[misc]
    """Of shares of images that are flagged as memorised: pages show what they are compared with."""


class _Ceiling(TypedDict):
    ceiling: float


class Doubted(Figures, _Ceiling):  # type: ignore[misc]
    """Of an accuracy that says that the labels are wrong: pages show what real images reach."""


LARGEST = 1e100
"""No figure means anything beyond it, and sums of such figures would overflow."""

ClassPull = TypedDict("ClassPull", {"value": float, "within_group": float, "class": str})
"""How a class pulls the distance of all images up, and that of its group; with the class's name."""


class Training(TypedDict, total=False):
    """How a training went."""

    seconds: float
    images_per_s: float
    flops_per_s: float
    mfu: float | None
    peak_device_bytes: int | None
    parameters_trained: int
    devices: Mapping[str, int]
    alarm_steps: Mapping[str, int]


class Provenance(TypedDict, total=False):
    """What made a result, and when."""

    versions: Mapping[str, str]
    python: str
    device: str
    commit: str
    dirty: bool
    compiled: bool
    finished: str
    code: Mapping[str, str]


def score_problems(scores: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with scores, as {metric: {group: figures}}."""
    for metric, groups in scores.items():
        if not isinstance(groups, Mapping):
            yield f"{metric} holds no groups"
            continue
        by_class = metric.startswith("class-pull")
        for group, figures in groups.items():
            if not isinstance(figures, Mapping) or not _fits(figures.get("value"), float):
                yield f"{metric} of {group} has no value"
            elif by_class and not group.isdecimal():
                yield f"{metric} is of classes by number, not of {group!r}"
            elif not _sound(figures, _kind(metric, figures)):
                for problem in problems(figures, _kind(metric, figures)):
                    yield problem.format(of=f" of {metric} {group}")


def problems(values: Mapping[str, Any], kind: Any) -> Iterator[str]:
    """What is wrong with the values of a typed dictionary; `{of}` stands where what they belong to is to be named."""
    if missing := kind.__required_keys__ - values.keys():
        yield from (f"{name}{{of}} is missing" for name in sorted(missing))
    for name, value in values.items():
        wanted = _hints(kind).get(name, Any)
        if isinstance(value, float | int) and not abs(value) <= LARGEST:
            yield f"{name}{{of}} is not a number up to {LARGEST:g}"
        elif not _fits(value, wanted):
            yield f"{name}{{of}} must be {_WORDS.get(wanted, 'of another type')}, not {_shown(value)}"


def _sound(values: Mapping[str, Any], kind: Any) -> bool:
    """Whether nothing is wrong, told quickly, as of most: a leaderboard holds millions. False where it may be."""
    plain = _plain(kind)
    for name, value in values.items():
        if type(value) not in plain.get(name, _NUMBERS) or not (type(value) is str or -LARGEST <= value <= LARGEST):
            return False
    return bool(kind.__required_keys__ <= values.keys())


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


_NUMBERS = (float, int)
_PLAIN: Mapping[Any, tuple[type, ...]] = {float: _NUMBERS, int: (int,), str: (str,)}


@functools.cache
def _plain(kind: Any) -> dict[str, tuple[type, ...]]:
    """The types of values from JSON that suit each name without further ado."""
    return {name: _PLAIN.get(wanted, ()) for name, wanted in _hints(kind).items()}


def _kind(metric: str, figures: Mapping[str, Any]) -> Any:
    if metric.startswith("class-pull"):
        return ClassPull
    if figures.get("flag") == "labels?":
        return Doubted
    return Memorised if metric.startswith("memorised") and "flag" in figures else Figures


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value from JSON is of a type; a whole number is a float too, but true is no number."""
    if type(value) is kind:
        return True
    if isinstance(kind, types.UnionType):
        return any(_fits(value, one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is not None:
        item = typing.get_args(kind)[-1]
        return isinstance(value, Mapping) and all(_fits(v, item) for v in value.values())
    if kind is Any:
        return True
    if kind in (int, float):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return isinstance(value, kind)


_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


def _shown(value: Any) -> str:
    return short(value).replace("{", "{{").replace("}", "}}")

"""Dataclasses of tensors and numbers as named arrays, and back, by their types."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltgen_bench.storage.array_cache import cached

T = TypeVar("T")


def cached_dataclass(kind: type[T], path: Path | None, make: Callable[[], T]) -> T:
    """`array_cache.cached` of a dataclass."""
    found: T = cached(path, make, pack, lambda arrays: unpack(kind, arrays))
    return found


def pack(value: Any, name: str = "") -> dict[str, NDArray[Any]]:
    """{"groups/overall/radii": array} of nested dataclasses, dictionaries, tensors and numbers; None is left out."""
    if value is None:
        return {}
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: v for key, item in value.items() for k, v in pack(item, f"{name}/{key}" if name else key).items()}
    return {name: np.asarray(value)}


def unpack(kind: type[T], arrays: Mapping[str, NDArray[Any]]) -> T:
    """What `pack` was given, a dataclass of type `kind`. Raises KeyError or ValueError for arrays of another one."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *parents, leaf = name.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = array
    value: T = _typed(kind, tree)
    return value


def _typed(kind: Any, node: Any) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if node is None else _typed(args[0], node)
    if origin is dict:
        return {args[0](key): _typed(args[1], item) for key, item in (node or {}).items()}
    if node is None:
        raise KeyError("an array is missing")
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]
        return kind(**{name: _typed(hints[name], node.get(name)) for name in names})  # type: ignore[operator]
    if kind is Tensor:
        return torch.from_numpy(node)
    return kind(node.item())

"""Keys of the last version: they go on working for one version, with a warning that names the new one."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any


def renamed(data: Any, section: str, names: Mapping[str, str]) -> Any:
    """`data`, a model's raw input, with its old keys under their new names (`names`: old -> new). Raises ValueError
    where both are given."""
    if not isinstance(data, Mapping):
        return data
    data = dict(data)
    for old, new in names.items():
        if old in data:
            if new in data:
                raise ValueError(f"{old} is the old name of {new}: give one of the two")
            _warn(f"{section}.{old}", f"{section}.{new}")
            data[new] = data.pop(old)
    return data


def moved_up(data: Any, section: str, key: str) -> Any:
    """`data` with `section.key` at the top level, as `key`. Raises ValueError where both are given."""
    inner = data.get(section) if isinstance(data, Mapping) else None
    if not isinstance(inner, Mapping) or key not in inner:
        return data
    if data.get(key) is not None:
        raise ValueError(f"{section}.{key} is the old name of {key}: give one of the two")
    _warn(f"{section}.{key}", key)
    return {**data, section: {name: value for name, value in inner.items() if name != key}, key: inner[key]}


def _warn(old: str, new: str) -> None:
    warnings.warn(f"{old} is now {new}; the old name is refused from the next version on", FutureWarning, stacklevel=4)

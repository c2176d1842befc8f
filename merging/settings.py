"""A parameter of a merge as mergekit's YAML writes it: one number, one per layer, or one per tensor.

    weight: 0.5                                       # everywhere
    weight: [0, 0.5, 1]                               # a gradient: interpolated from the first layer to the last
    weight: [{filter: self_attn, value: 0.3}, {value: [0, 1]}]   # the first whose filter is part of the name

Everything outside the layers (embedding, output layer, last norm) takes a gradient's first value, as mergekit does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Scalar = bool | int | float | str

MAX_VALUES = 4096
"""Numbers of one gradient, filters of one parameter."""


class RecipeError(ValueError):
    """A recipe that cannot be carried out; the message names the file and the key."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The values of the tensors whose name contains `filter` (None: of all)."""

    filter: str | None
    values: tuple[Scalar, ...]

    def at(self, depth: float) -> Scalar:
        """The value at `depth` (0: first layer, 1: last). Numbers are interpolated, all else is chosen."""
        position = depth * (len(self.values) - 1)
        low = int(position)
        here = self.values[low]
        if not isinstance(here, int | float) or isinstance(here, bool) or position == low:
            return here
        there = self.values[low + 1]
        assert isinstance(there, int | float)
        return (1 - (position - low)) * here + (position - low) * there


Setting = tuple[Choice, ...]
Settings = Mapping[str, Setting]


def setting(raw: Any, where: str) -> Setting:
    """Check one parameter. Raises `RecipeError` naming `where`."""
    if isinstance(raw, dict):
        raw = [raw]
    if isinstance(raw, list) and raw and all(isinstance(item, dict) for item in raw):
        if len(raw) > MAX_VALUES:
            raise RecipeError(f"{where}: more than {MAX_VALUES} filters")
        return tuple(_choice(item, f"{where}[{number}]") for number, item in enumerate(raw))
    return (Choice(None, _values(raw, where)),)


def value(wanted: Setting, name: str, depth: float) -> Scalar | None:
    """What the parameter says for tensor `name`; None if no filter fits."""
    for choice in wanted:
        if choice.filter is None or choice.filter in name:
            return choice.at(depth)
    return None


def _choice(item: dict[Any, Any], where: str) -> Choice:
    unknown = sorted(str(key) for key in item if key not in ("filter", "value"))
    if unknown or "value" not in item:
        raise RecipeError(f"{where}: wants `value` and perhaps `filter`, not {', '.join(unknown) or 'a filter alone'}")
    filter_ = item.get("filter")
    if filter_ is not None and not isinstance(filter_, str):
        raise RecipeError(f"{where}.filter: wants a part of a tensor's name, not {str(filter_)[:80]!r}")
    return Choice(None if filter_ == "*" else filter_, _values(item["value"], f"{where}.value"))


def _values(raw: Any, where: str) -> tuple[Scalar, ...]:
    items = raw if isinstance(raw, list) else [raw]
    if not items or len(items) > MAX_VALUES:
        raise RecipeError(f"{where}: wants one value or a list of up to {MAX_VALUES}")
    for item in items:
        if not isinstance(item, bool | int | float | str) or (isinstance(item, float) and not math.isfinite(item)):
            raise RecipeError(f"{where}: {str(item)[:80]!r} is no number, text, true or false")
    values = tuple(_number(item) for item in items)
    if len({isinstance(item, int | float) and not isinstance(item, bool) for item in values}) > 1:
        raise RecipeError(f"{where}: a gradient is either all numbers or none")
    return values


def _number(item: Scalar) -> Scalar:
    """YAML 1.1 reads 1e-5 as text: a number is meant."""
    if not isinstance(item, str):
        return item
    try:
        number = float(item)
    except ValueError:
        return item
    return number if math.isfinite(number) else item

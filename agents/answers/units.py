"""One quantity in two units: `2.5 hours, or 150 minutes`."""

from __future__ import annotations

import re
from fractions import Fraction

_IN_BASE: dict[str, tuple[str, Fraction]] = {}
for _quantity, _units in {
    "time": {"s sec second": 1, "min minute": 60, "h hr hour": 3600, "day": 86_400, "week": 604_800},
    "months": {"month": 1, "year": 12, "decade": 120},
    "metric": {
        "mm millimeter millimetre": 1,
        "cm centimeter centimetre": 10,
        "m meter metre": 1000,
        "km kilometer kilometre": 10**6,
    },
    "imperial": {"in inch inche": 1, "ft foot feet": 12, "yd yard": 36, "mi mile": 63_360},
    "mass": {"mg milligram": 1, "g gram": 1000, "kg kilogram": 10**6, "ton tonne": 10**9},
    "weight": {"oz ounce": 1, "lb pound": 16},
    "volume": {"ml milliliter millilitre": 1, "cl": 10, "l liter litre": 1000},
    "kitchen": {"cup": 1, "pint": 2, "quart": 4, "gallon": 16},
    "money": {"cent ¢": 1, "dollar $": 100},
    "count": {"": 1, "dozen": 12},
    "share": {"%": 1, "percent": 1},
}.items():
    for _names, _size in _units.items():
        for _name in _names.split() or [""]:
            _IN_BASE[_name] = (_quantity, Fraction(_size))
_UNIT = re.compile(r"\s?(%|\$|¢|[^\W\d_]{0,12})")


def same(first: Fraction, behind: str, second: Fraction, behind_second: str) -> bool:
    """Whether two numbers, each with the text behind it, are one quantity."""
    left, right = _unit(behind), _unit(behind_second)
    if left is None or right is None or left[0] != right[0]:
        return False
    return left[1] != right[1] and first * left[1] == second * right[1]


def _unit(behind: str) -> tuple[str, Fraction] | None:
    found = _UNIT.match(behind)
    name = "" if found is None else found.group(1)
    for one in (name, name.lower(), name.lower().removesuffix("s")):
        if one in _IN_BASE:
            return _IN_BASE[one]
    return None

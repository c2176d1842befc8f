"""One key for all ways to write a term. Numbers are exact; a rational function becomes its lowest terms (sympy); all
else is known by its values at fixed points, ten digits each, which two different terms share by no accident.

Every step is bounded: powers by their digits, polynomials by their terms, floats by their range. What passes a bound
has no key.
"""

from __future__ import annotations

import cmath
import hashlib
import math
from fractions import Fraction
from functools import lru_cache
from typing import Any

from agents.answers.numbers import written
from agents.answers.terms import ONE, Tree, negative

DIGITS = 400
"""Digits of an exact number."""
TERMS = 120
"""Terms of a polynomial of several symbols that is written out; of one symbol its degree."""
POINTS = 3


@lru_cache(maxsize=4096)
def key_of(tree: Tree) -> str | None:
    """The key of a tree, or None where it passes a bound or has no value."""
    if tree == ("constant", "oo"):
        return "oo"
    if tree == negative(("constant", "oo")):
        return "-oo"
    symbols = sorted(names(tree))
    try:
        if not symbols:
            value = exact(tree)
            if value is not None:
                return written(value)
            number = _float(tree, 0)
            near = _rational(number)
            return written(near) if near is not None else _digits(number) + "…"
        found = _lowest_terms(tree, symbols)
        return found if found is not None else _values(tree, symbols)
    except (ArithmeticError, ValueError, RecursionError, OverflowError):
        return None


def names(tree: Tree) -> set[str]:
    """The symbols in a tree."""
    if tree[0] == "symbol":
        return {tree[1]}
    return set().union(*(names(part) for part in tree[1:] if isinstance(part, tuple)))


def exact(tree: Tree) -> Fraction | None:
    """The rational value of a tree without symbols, where its parts are all rational. Raises ArithmeticError."""
    kind = tree[0]
    if kind == "number":
        return Fraction(tree[1])
    if kind in ("symbol", "constant"):
        return None
    if kind == "function":
        inner = exact(tree[2])
        return None if inner is None else _exact_function(tree[1], inner)
    left, right = exact(tree[1]), exact(tree[2])
    if left is None or right is None:
        return None
    if kind == "+":
        return _bounded(left + right)
    if kind == "*":
        return _bounded(left * right)
    if kind == "/":
        return _bounded(left / right)
    if kind == "binomial":
        if left.denominator == right.denominator == 1 and 0 <= right <= left <= 1000:
            return _bounded(Fraction(math.comb(int(left), int(right))))
        raise ArithmeticError
    return _exact_power(left, right)


def _exact_power(base: Fraction, up: Fraction) -> Fraction | None:
    if up.denominator != 1:
        root = _root(base, up.denominator)
        return None if root is None else _exact_power(root, Fraction(up.numerator))
    if base in (0, 1, -1):
        return base ** (int(up) % 2 if base == -1 else int(up)) if base or up > 0 else _undefined()
    size = max(abs(base.numerator), base.denominator).bit_length() * abs(up)
    if size > DIGITS * 4:
        raise OverflowError
    return _bounded(base ** int(up))


def _undefined() -> Fraction:
    raise ArithmeticError


def _root(value: Fraction, degree: int) -> Fraction | None:
    """The exact root of a positive number, where it has one."""
    if value < 0 or degree > 64:
        return None
    parts = []
    for part in (value.numerator, value.denominator):
        if part.bit_length() > 1000:
            return None
        root = round(part ** (1 / degree)) if degree > 2 else math.isqrt(part)
        if root**degree != part:
            return None
        parts.append(root)
    return Fraction(*parts)


def _exact_function(name: str, value: Fraction) -> Fraction | None:
    if name == "abs":
        return abs(value)
    if name == "floor":
        return Fraction(math.floor(value))
    if name == "ceil":
        return Fraction(math.ceil(value))
    if name == "sqrt":
        return _root(value, 2)
    if name == "factorial":
        if value.denominator != 1 or not 0 <= value <= 170:
            raise ArithmeticError
        return Fraction(math.factorial(int(value)))
    if value == 0:
        return {"sin": Fraction(0), "cos": Fraction(1), "tan": Fraction(0), "exp": Fraction(1)}.get(name)
    return Fraction(0) if name == "ln" and value == 1 else None


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > DIGITS * 4:
        raise OverflowError
    return value


def _lowest_terms(tree: Tree, symbols: list[str]) -> str | None:
    """A rational function's lowest terms as text; None where it is none, or too large to write out."""
    size = _degree(tree)
    if size is None or size > (TERMS if len(symbols) == 1 else _widest(len(symbols))):
        return None
    import sympy

    found = sympy.cancel(sympy.together(_to_sympy(tree)))
    if found.has(sympy.zoo, sympy.nan):
        raise ArithmeticError
    top, bottom = sympy.fraction(found)
    top, bottom = sympy.expand(top), sympy.expand(bottom)
    if top.is_Rational and bottom.is_Rational:
        return written(Fraction(int(top.p), int(top.q)) / Fraction(int(bottom.p), int(bottom.q)))
    return str(top) if bottom == 1 else f"({top})/({bottom})"


def _widest(symbols: int) -> int:
    """The degree up to which a polynomial of so many symbols has at most `TERMS` terms."""
    degree = 0
    while math.comb(degree + 1 + symbols, symbols) <= TERMS:
        degree += 1
    return degree


def _degree(tree: Tree) -> int | None:
    """An upper bound of the degree of a rational function with rational coefficients; None where it is none."""
    kind = tree[0]
    if kind == "number":
        return 0
    if kind == "symbol":
        return 1
    if kind in ("constant", "function", "binomial"):
        return None
    left, right = _degree(tree[1]), _degree(tree[2])
    if left is None or right is None:
        return None
    if kind == "^":
        up = tree[2][1] if tree[2][0] == "number" else None
        return left * abs(int(up)) if up is not None and up.denominator == 1 and abs(up) <= 1000 else None
    return left + right


def _to_sympy(tree: Tree) -> Any:
    import sympy

    kind = tree[0]
    if kind == "number":
        return sympy.Rational(tree[1].numerator, tree[1].denominator)
    if kind == "symbol":
        return sympy.Symbol(tree[1])
    left, right = _to_sympy(tree[1]), _to_sympy(tree[2])
    if kind == "+":
        return sympy.Add(left, right)
    if kind == "^":
        if left == 0 and right <= 0:
            raise ArithmeticError
        return sympy.Pow(left, right)
    if kind == "/" and right == 0:
        raise ArithmeticError
    return sympy.Mul(left, right if kind == "*" else sympy.Pow(right, -1))


def _values(tree: Tree, symbols: list[str]) -> str:
    values = [_digits(_float(tree, point)) for point in range(POINTS)]
    return f"f({', '.join(symbols)}) ≈ {' | '.join(values)}"


def relation_key(left: Tree, right: Tree) -> str | None:
    """The key of `left = right`, equal for all equations that differ by a factor."""
    difference: Tree = ("+", left, negative(right))
    symbols = sorted(names(difference))
    try:
        values = [_float(difference, point) for point in range(POINTS + 1)]
        if not symbols or abs(values[0]) < 1e-9:
            return None
        return f"[{', '.join(symbols)}]: 0 = {' | '.join(_digits(one / values[0]) for one in values[1:])}"
    except (ArithmeticError, ValueError, RecursionError):
        return None


def _digits(value: complex) -> str:
    """Ten significant digits of a value. Raises ArithmeticError where it is not finite."""
    if not cmath.isfinite(value):
        raise ArithmeticError
    size = abs(value)
    real = 0.0 if abs(value.real) <= 1e-11 * max(1.0, size) else value.real
    imaginary = 0.0 if abs(value.imag) <= 1e-11 * max(1.0, size) else value.imag
    return f"{real:.10g}" if not imaginary else f"{real:.10g}{imaginary:+.10g}i"


def _rational(value: complex) -> Fraction | None:
    """The simple fraction that a value is up to rounding, such as 2 for (sqrt 2) squared."""
    if not cmath.isfinite(value):
        raise ArithmeticError
    if abs(value.imag) > 1e-14 * max(1.0, abs(value)) or abs(value) > 1e9:
        return None
    found = Fraction(value.real).limit_denominator(100)
    return found if abs(float(found) - value.real) <= 1e-13 * max(1.0, abs(value)) else None


def _point(name: str, point: int) -> float:
    seed = int.from_bytes(hashlib.sha256(f"{name}/{point}".encode()).digest()[:6], "big") / 2**48
    # The last points are negative, so that |x| and x differ.
    return (0.3 + 1.5 * seed) * (-1 if point % 2 else 1)


def _float(tree: Tree, point: int) -> complex:
    kind = tree[0]
    if kind == "number":
        return complex(float(tree[1]))
    if kind == "symbol":
        return complex(_point(tree[1], point))
    if kind == "constant":
        return {"pi": math.pi + 0j, "e": math.e + 0j, "i": 1j}.get(tree[1]) or _infinite()
    if kind == "function":
        return _function(tree[1], _float(tree[2], point))
    left, right = _float(tree[1], point), _float(tree[2], point)
    if kind == "+":
        return left + right
    if kind == "*":
        return left * right
    if kind == "/":
        return left / right
    if kind == "^":
        return complex(left**right)
    if kind == "binomial" and not left.imag and not right.imag:
        n, k = left.real, right.real
        return complex(math.gamma(n + 1) / (math.gamma(k + 1) * math.gamma(n - k + 1)))
    raise ArithmeticError


def _infinite() -> complex:
    raise ArithmeticError


def _function(name: str, value: complex) -> complex:
    if name == "abs":
        return complex(abs(value))
    if name == "factorial" and not value.imag:
        return complex(math.gamma(value.real + 1))
    if name in ("floor", "ceil", "factorial"):
        raise ArithmeticError
    if name in ("cot", "sec", "csc"):
        return 1 / {"cot": cmath.tan, "sec": cmath.cos, "csc": cmath.sin}[name](value)
    return {
        "sqrt": cmath.sqrt,
        "exp": cmath.exp,
        "ln": cmath.log,
        "sin": cmath.sin,
        "cos": cmath.cos,
        "tan": cmath.tan,
        "arcsin": cmath.asin,
        "arccos": cmath.acos,
        "arctan": cmath.atan,
        "sinh": cmath.sinh,
        "cosh": cmath.cosh,
        "tanh": cmath.tanh,
    }[name](value)


__all__ = ["ONE", "exact", "key_of", "names", "relation_key"]

"""Reads one mathematical term, in LaTeX or plain, into a tree. Bounded by size; what it cannot read wholly is None.

A tree is a tuple: ("number", Fraction), ("symbol", name), ("constant", "pi" | "e" | "i" | "oo"), ("function", name,
tree), or (operator, left, right) with operator one of + * / ^.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, TypeAlias

Tree: TypeAlias = tuple[Any, ...]

LENGTH = 400
DEPTH = 40

FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "exp",
        "ln",
        "log",
        "sqrt",
        "abs",
        "floor",
        "ceil",
    ]
)
_NAMES = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "lg": "log", "lfloor": "floor", "lceil": "ceil"}
_GREEK_LOWER = [
    *("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"),
    *("mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega"),
]
_GREEK_UPPER = ["Gamma", "Delta", "Theta", "Lambda", "Xi", "Sigma", "Phi", "Psi", "Omega"]
_GREEK = frozenset([*_GREEK_LOWER, *_GREEK_UPPER, "varepsilon", "vartheta", "varphi", "hbar", "ell"])
_LETTERS = {
    **dict(zip("αβγδεζηθικλμνξρστφχψω", _GREEK_LOWER, strict=True)),
    **dict(zip("ΓΔΘΛΞΣΦΨΩ", _GREEK_UPPER, strict=True)),
}
_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d{1,3}(?:,\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)|\\(?P<command>[a-zA-Z]+)"
    r"|(?P<word>[A-Za-zα-ωΑ-Ω])|(?P<sign>\*\*|[-+*/^_(){}\[\]|!'·×÷⋅√π∞]))"
)
_EXPONENT = re.compile(r"\d[eE][-+]?\d")
_SPELLED = re.compile(
    r"(?<![A-Za-z\\])(arc(?:sin|cos|tan)|sinh?|cosh?|tanh?|cot|sec|csc|exp|ln|log|sqrt|abs|pi|infinity|oo|"
    + "|".join(sorted(_GREEK))
    + r")(?![A-Za-z])"
)


class Unreadable(Exception):
    """The text is no term that this module knows."""


def read_term(text: str) -> Tree | None:
    """The tree of a term, or None."""
    if not text or len(text) > LENGTH:
        return None
    try:
        reader = _Reader(_tokens(text))
        tree = reader.sum(0)
        reader.end()
    except (Unreadable, RecursionError):
        return None
    return tree


def _tokens(text: str) -> list[tuple[str, str]]:
    text = _SPELLED.sub(r"\\\1 ", text)
    if _EXPONENT.search(text):
        raise Unreadable  # `1e999999999` is no product with Euler's number
    tokens, place, text = [], 0, text.rstrip()
    while place < len(text):
        found = _TOKEN.match(text, place)
        if found is None:
            raise Unreadable
        kind = str(found.lastgroup)
        token = found.group(kind)
        if kind == "command" and token in ("frac", "sqrt"):
            # `\frac12` and `\sqrt2` take single digits.
            tokens.append((kind, token))
            place = found.end()
            for _ in range(2 if token == "frac" else 1):
                digit = re.compile(r"\s*(\d)").match(text, place)
                if digit is None:
                    break
                tokens.append(("number", digit.group(1)))
                place = digit.end()
            continue
        tokens.append((kind, token))
        place = found.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens, self._at = tokens, 0
        self._bars = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "")

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._at += 1
        return token

    def _take(self, sign: str) -> bool:
        if self._peek() == ("sign", sign):
            self._at += 1
            return True
        return False

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise Unreadable

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise Unreadable

    def sum(self, depth: int) -> Tree:
        if depth > DEPTH:
            raise Unreadable
        left = self._product(depth + 1)
        while True:
            if self._take("+"):
                left = ("+", left, self._product(depth + 1))
            elif self._take("-"):
                left = ("+", left, negative(self._product(depth + 1)))
            else:
                return left

    def _product(self, depth: int) -> Tree:
        if self._take("-"):
            return negative(self._product(depth + 1)) if depth < DEPTH else self._fail()
        if self._take("+"):
            return self._product(depth + 1) if depth < DEPTH else self._fail()
        left = self._power(depth)
        while True:
            kind, token = self._peek()
            if (kind, token) in (("command", "cdot"), ("command", "times")) or (kind == "sign" and token in "*·×⋅"):
                self._at += 1
                left = ("*", left, self._signed(depth))
            elif (kind, token) == ("command", "div") or (kind == "sign" and token in "/÷"):
                self._at += 1
                left = ("/", left, self._signed(depth))
            elif self._begins_factor(kind, token):
                if kind == "number" and left[0] == "number":
                    raise Unreadable  # two numbers side by side are no product
                if kind == "command" and token == "frac" and left[0] == "number" and left[1].denominator == 1:
                    part = self._power(depth)
                    if part[0] == "/" and part[1][0] == part[2][0] == "number":
                        left = ("+", left, part)  # a mixed number
                    else:
                        left = ("*", left, part)
                    continue
                left = ("*", left, self._power(depth))
            else:
                return left

    def _fail(self) -> Tree:
        raise Unreadable

    def _signed(self, depth: int) -> Tree:
        if self._take("-"):
            return negative(self._power(depth))
        return self._power(depth)

    def _begins_factor(self, kind: str, token: str) -> bool:
        if kind in ("number", "word"):
            return True
        if kind == "command":
            return token not in ("cdot", "times", "div", "rfloor", "rceil", "rvert", "end", "mid")
        return kind == "sign" and (token in "([{√π∞" or (token == "|" and not self._bars))

    def _power(self, depth: int) -> Tree:
        if depth > DEPTH:
            raise Unreadable
        base = self._atom(depth)
        while self._take("!"):
            base = ("function", "factorial", base)
        if self._take("^") or self._take("**"):
            up = self._signed(depth + 1)
            return ("^", base, up)
        return base

    def _atom(self, depth: int) -> Tree:
        kind, token = self._next()
        if kind == "number":
            return ("number", Fraction(token.replace(",", "")))
        if kind == "word":
            return self._symbol(_LETTERS.get(token, token))
        if kind == "command":
            return self._command(token, depth)
        if kind == "sign":
            if token == "π":
                return ("constant", "pi")
            if token == "∞":
                return ("constant", "oo")
            if token == "√":
                return ("function", "sqrt", self._atom(depth + 1))
            if token in "({[":
                inside = self.sum(depth + 1)
                self._need({"(": ")", "{": "}", "[": "]"}[token])
                return inside
            if token == "|" and not self._bars:
                self._bars += 1
                inside = self.sum(depth + 1)
                self._bars -= 1
                self._need("|")
                return ("function", "abs", inside)
        raise Unreadable

    def _symbol(self, name: str) -> Tree:
        if name == "e":
            return ("constant", "e")
        if name == "i":
            return ("constant", "i")
        if self._take("_"):
            name += "_" + self._subscript()
        while self._take("'"):
            name += "'"
        return ("symbol", name)

    def _subscript(self) -> str:
        if not self._take("{"):
            return self._next()[1]
        parts: list[str] = []
        while not self._take("}"):
            kind, token = self._next()
            if kind == "end" or len(parts) > 10:
                raise Unreadable
            parts.append(token)
        return "".join(parts)

    def _command(self, name: str, depth: int) -> Tree:
        name = _NAMES.get(name, name)
        if name == "pi":
            return ("constant", "pi")
        if name in ("infty", "infinity", "oo"):
            return ("constant", "oo")
        if name in _GREEK:
            return self._symbol(name)
        if name == "frac":
            return ("/", self._atom(depth + 1), self._atom(depth + 1))
        if name == "sqrt":
            root = None
            if self._take("["):
                root = self.sum(depth + 1)
                self._need("]")
            inside = self._atom(depth + 1)
            return ("function", "sqrt", inside) if root is None else ("^", inside, ("/", ONE, root))
        if name in ("floor", "ceil"):
            inside = self.sum(depth + 1)
            if self._next() != ("command", "rfloor" if name == "floor" else "rceil"):
                raise Unreadable
            return ("function", name, inside)
        if name == "log" and self._take("_"):
            base = self._atom(depth + 1)
            return ("/", ("function", "ln", self._argument(depth)), ("function", "ln", base))
        if name in FUNCTIONS:
            up = None
            if self._take("^"):
                up = self._signed(depth + 1)
                if up == negative(ONE):
                    raise Unreadable  # the inverse or the reciprocal: nobody can tell
            inside = ("function", "ln" if name == "log" else name, self._argument(depth))
            return inside if up is None else ("^", inside, up)
        if name in ("binom", "dbinom", "tbinom"):
            return ("binomial", self._atom(depth + 1), self._atom(depth + 1))
        raise Unreadable

    def _argument(self, depth: int) -> Tree:
        """`(x)`, or as much as belongs to a function without brackets: `\\sin 2x`."""
        if self._peek() == ("sign", "(") or self._peek() == ("sign", "{"):
            return self._power(depth + 1)
        left = self._power(depth + 1)
        while self._peek()[0] in ("number", "word") or self._peek() in (("command", "pi"), ("sign", "π")):
            left = ("*", left, self._power(depth + 1))
        return left


ONE: Tree = ("number", Fraction(1))
_MINUS: Tree = ("number", Fraction(-1))


def negative(tree: Tree) -> Tree:
    """The tree of the opposite value."""
    if tree[0] == "number":
        return ("number", -tree[1])
    return ("*", _MINUS, tree)

"""Mathematics beyond one number: terms, equations, tuples, sets, intervals, matrices, each with one key.

A text that cannot be read wholly has no key: an expression never becomes a number that happened to stand in it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from agents.answers import numbers
from agents.answers.brackets import closing, split_at, thousands
from agents.answers.relations import is_relation, relation
from agents.answers.terms import LENGTH, negative, read_term
from agents.answers.undress import undress
from agents.answers.values import key_of, names, relation_key

PARTS = 200
"""Members of a list."""

_MATRIX = re.compile(r"\\begin\{([pbvBV]?matrix|array)\}(?:\{[lcr|\s]*\})?(.*?)\\end\{\1\}", re.DOTALL)
_UNION = re.compile(r"\s*(?:\\cup(?![a-z])|∪|(?<=[)\]}])\sU\s)\s*")
_OWN = re.compile(
    r"-?\d[\d.e+-]*(?:[+-]\d[\d.e+-]*i)?(?:…|\.\.\.)|f\([^()]{1,200}\) ≈ [-\d.e+i| ]{1,200}|"
    r"\[[^\[\]]{1,200}\]: 0 = [-\d.e+i| ]{1,200}|"
    r"(?:[^<=>≈,]{1,300} (?:<=?|!=) )?f\([^()]{1,200}\) ≈ [-\d.e+i| ]{1,200}(?: (?:<=?|!=) [^<=>,]{1,300})?"
)
"""Keys that are no mathematics any more: they stay what they are."""
_NOT_MATHEMATICS = re.compile(
    r"\d{1,4}\s?/\s?\d{1,2}\s?/\s?\d{2,4}|\d{4}-\d{1,2}-\d{1,2}|\d{1,4}-\d{1,4}(?:-\d{1,4})?|\d{1,2}:\d{2}.{0,6}"
)
"""Dates, times and ranges."""
_RATIO = re.compile(r"\d{1,9} ?: ?\d{1,9}")
_IN_WORDS = re.compile(r"[^\W\d_]+(?: [^\W\d_]+){0,3}")
_APPROXIMATELY = re.compile(r"\s*(?:\\approx(?![a-z])|\\simeq|≈|≃)\s*")
_TWO = re.compile(r"-?\d{1,20},-?\d{1,20}")
_MEMBER = re.compile(r"^\s*[a-zA-Z](?:_\{?\w{1,3}\}?)?\s*(?:\\in(?![a-z])|∈)\s*")
_FACTORS = re.compile(
    r"[-+]?[\d.,]{1,40}(?!\s?(?:[cmk]m|[km]g|m[lis]|ft|in|hrs?|[kMG]?W|kWh|lbs?|oz|mph|rpm|[kMG]?Hz|min|sec|deg|"
    r"rad|mol|"
    r"gal|st|nd|rd|th)\b)(?:[A-Za-zα-ωΑ-Ω]{1,20}|\s[A-Za-zα-ωΑ-Ω]{1,2})"
)
"""`2a` and `2 ab` are products: letters that stand at a number are units only where they are those of a common one."""
_HEDGED = re.compile(
    r"\b(?:is|are|or|either|neither|maybe|perhaps|cannot|not|unknown|correct|incorrect|see|above|below|all|any|every|each)\b",
    re.IGNORECASE,
)
_TIMES = re.compile(r"(?<=\d)(?: x | X |(?<!0)x)(?=\d)")
"""`4 x 12` is a product."""
_NOTHING = re.compile(r"\\(?:emptyset|varnothing)(?![a-z])\s*|∅|\\?\{\s*\\?\}|(?:the )?empty set", re.IGNORECASE)
_REALS = re.compile(
    r"\\mathbb\s?\{?\s?R\s?\}?|\\(?:R|Reals|reals)|ℝ|(?:the set of )?(?:all |the )?real numbers|all reals",
    re.IGNORECASE,
)
_VALUED = re.compile(r"\\(?:lim|int|iint|oint|sum|prod|max|min|sup|inf|det|gcd|Pr)(?![a-z])")
"""What this module does not read, but what its value is said of: `\\lim ... = 2`."""
_OR = re.compile(r"\s*(?:\\(?:text|mathrm)\{\s*(?:or|and)\s*\}|\b(?:or|and|und|et|y|oder|ou)\b|;)\s*")
_INFINITE = re.compile(r"(?P<sign>[+-]|(?:positive|negative) )?(?:infinity|infinite)", re.IGNORECASE)
_NAMED = re.compile(r"(?P<name>[a-zA-Z](?:_\{?\w\}?)?)\s*=\s*(?P<value>[^=]+)")
_NUMBERED = re.compile(r"(?:^|(?<=[,;\s]))\(?(\d{1,2})[.)]\s(?=\D)")
_THEN = re.compile(r"\b(?:first(?:ly)?|then|next|finally|lastly)\b(?: comes?| is)?:?\s?", re.IGNORECASE)
_SPACED = re.compile(r"[^\W\d_]{2,}(?: (?!and\b|or\b)[^\W\d_]{2,})+")
"""A list of words in order, as sorting tasks write it."""
_ARROW = re.compile(r"\s*(?:->|→|⟶|=>|\\(?:to|rightarrow)(?![a-z]))\s*")
_GREATER = re.compile(r"\s>\s")
_BASE = re.compile(r"^([0-9A-Fa-f]{1,60})_\{?(\d{1,2})\}?$")
_WORDS = re.compile(r"(?<!\\)(?<![a-zA-Z])[^\W\d_]{2,}")
_KNOWN = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "exp",
        "ln",
        "log",
        "sqrt",
        "abs",
        "pi",
        "infinity",
        "oo",
        "sinh",
        "cosh",
        "tanh",
        "arcsin",
        "arccos",
        "arctan",
    ]
)
_FUNCTION = re.compile(
    r"[a-zA-Z]'{1,3}(?:\s?\([a-z](?:,\s?[a-z])?\))?|[a-zA-Z]\^\{?(?:-1|\(\d\)|\\prime|\\prime\\prime)\}?\s?\([a-z]\)|"
    r"\\frac\s?\{(?:d|\\partial)\^?\{?\d?\}?\s?[a-zA-Z]?\}\s?\{(?:d|"
    r"\\partial)\s?[a-z]\^?\{?\d?\}?\}(?:\s?[a-zA-Z](?:\([a-z]\))?)?|d[a-z]/d[a-z]"
)
"""What an equation defines: `f'(x)`, `f^{-1}(x)`, `dy/dx`."""
_DERIVED = re.compile(r"\\frac\s?\{\s?d(?:\^\{?\d\}?)?\s?\}\s?\{\s?d\s?[a-z](?:\^\{?\d\}?)?\s?\}|d/d[a-z]\b")
"""What is derived, `\\frac{d}{dx}x^6`: its value is said behind it."""
_PLUS_MINUS = re.compile(r"\\pm(?![a-z])|±|\+/-")


def expression(text: str, kind: str = "expression") -> str | None:
    """The key of an answer in mathematics, or None where it cannot be read. `kind` set or list forces the order."""
    bare = undress(text).strip(" \t,;")
    bare = bare[:-1].rstrip() if bare.endswith(".") and not bare.endswith("..") else bare
    if not bare or len(bare) > 2 * LENGTH:
        return None
    return _key(bare, kind)


@lru_cache(maxsize=4096)
def _key(bare: str, kind: str) -> str | None:
    if _OWN.fullmatch(bare):
        return bare.replace("...", "…")
    bare = _TIMES.sub("*", bare.replace("π", "\\pi "))
    if kind in ("set", "list"):
        return _collection(bare, kind)
    if kind == "expression":
        if _RATIO.fullmatch(bare):
            return bare.replace(" ", "")
        if _REALS.fullmatch(bare):
            return "(-oo, oo)"
        if (endless := _INFINITE.fullmatch(bare)) is not None:
            return "-oo" if endless["sign"] in ("-", "negative ") else "oo"
        if _IN_WORDS.fullmatch(bare) and not all(map(_is_product, bare.split())) and not _HEDGED.search(bare):
            return bare.casefold()  # `\\text{odd}`
        parts = [part.strip() for part in split_at(bare, ",;")]
        if 1 < len(parts) <= PARTS and not _alternatives(bare):
            keys = [_whole(part) for part in parts]
            read = [key for key in keys if key is not None]
            if len(read) == len(parts) and (values := _by_name(parts, read)) is not None:
                return values
            # In mathematics the order of solutions does not count, that of a tuple in brackets does.
            return "{" + ", ".join(sorted(set(read))) + "}" if len(read) == len(parts) else None
        if (both := _alternatives(bare)) is not None and both.startswith("("):
            return "{" + ", ".join(sorted(set(split_at(both[1:-1].replace(", ", ","), ",")))) + "}"
    return _whole(bare)


def _collection(bare: str, kind: str) -> str | None:
    if kind == "set" and _NOTHING.fullmatch(bare):
        return "{}"
    parts = members(bare, kind)
    if parts is None:
        return None
    read: list[str] = []
    for part in parts:
        key = _member(part)
        if key is None or closing("(" + key + ")", 0) != len(key) + 1:
            return None  # brackets without partners: where the members end nobody can tell
        if kind == "set" and _PLUS_MINUS.search(part) and key.startswith("{"):
            read += split_at(key[1:-1].replace(", ", ","), ",")  # `x = ±2` are two members
        else:
            read.append(key)
    return "{" + ", ".join(sorted(set(read))) + "}" if kind == "set" else "[" + ", ".join(read) + "]"


def numbered(bare: str) -> list[str] | None:
    """The items of `1. Alice, 2. Bob`; None where a text is none."""
    marks = list(_NUMBERED.finditer(bare))
    if len(marks) < 2 or marks[0].start() or [int(mark[1]) for mark in marks] != list(range(1, len(marks) + 1)):
        return None
    ends = [*(mark.start() for mark in marks[1:]), len(bare)]
    return [bare[mark.end() : end].strip(" ,;.") for mark, end in zip(marks, ends, strict=True)][:PARTS]


def _member(part: str) -> str | None:
    """A member of a set or list: mathematics, else the words it is."""
    key = _whole(part) if looks_mathematical(part) else None
    return key or " ".join(part.split()).strip(" .\"'`").casefold() or None


def members(bare: str, kind: str = "list") -> list[str] | None:
    """The members of a set or list, with brackets or without; None without any."""
    bare = re.sub(r"^[a-zA-Z]\s*(?:=|\\in|∈)\s*", "", bare.strip())
    bare = bare.replace("\\{", "{").replace("\\}", "}")
    if bare[:1] in "([{" and closing(bare, 0) == len(bare) - 1:
        bare = bare[1:-1]
    bare = re.sub(r",\s*(?:and|or)\s+", ", ", bare)
    arrow = _ARROW if bare.count(" > ") < 2 else _GREATER
    if "," not in bare and ";" not in bare and (arrows := arrow.split(bare))[1:]:
        bare = ", ".join(arrows)
    if (listed := numbered(bare)) is not None:
        return listed
    bare = _THEN.sub("", bare) if kind == "list" and " then " in bare else bare
    if kind == "list" and _SPACED.fullmatch(bare):
        return bare.split()
    parts = [piece.strip() for one in split_at(bare, ",;、\n") for piece in _OR.split(one)]
    found = [part.strip("\"' ") for part in parts if part.strip("\"' ")]
    return found[:PARTS] if found and len(found) <= PARTS else None


def looks_mathematical(bare: str) -> bool:
    """Whether a text is meant as mathematics: it has digits or operators, and no words but those of mathematics."""
    words = (word for word in _WORDS.findall(bare) if word.lower() not in _KNOWN and word not in ("and", "or"))
    if not all(map(_is_product, words)):
        return False
    return bool(re.search(r"[\d\\^=<>≤≥√π∞±]|[a-z]\s?[-+*/]\s?[a-z(]", bare))


def _is_product(word: str) -> bool:
    """`xy` and `abc` may be products; longer runs of letters are words."""
    return len(word) <= 2 and word.lower() not in (
        "or",
        "of",
        "to",
        "is",
        "in",
        "if",
        "so",
        "no",
        "we",
        "it",
        "an",
        "as",
        "at",
    )


def _whole(bare: str) -> str | None:
    bare = bare.strip()
    if not bare or len(bare) > 2 * LENGTH:
        return None
    if _OWN.fullmatch(bare):
        return bare.replace("...", "…")
    if _NOT_MATHEMATICS.fullmatch(bare):
        return None
    two = _TWO.fullmatch(bare) and not thousands(bare, bare.index(","))
    readable = bare[0] not in "([{" and bare[-1] != "!" and not two and not _FACTORS.fullmatch(bare)
    value = numbers.whole(bare) if readable else None
    if value is not None:
        return numbers.written(value)
    if _NOTHING.fullmatch(bare):
        return "{}"
    if _REALS.fullmatch(bare):
        return "(-oo, oo)"
    if (based := _BASE.match(bare)) is not None:
        return _in_base(based.group(1), int(based.group(2)))
    if "\\begin" in bare:
        return _matrix(bare[bare.rfind("=", 0, bare.index("\\begin")) + 1 :].strip())
    if any(not _is_product(word) and word.lower() not in _KNOWN for word in _WORDS.findall(bare)):
        return _alternatives(bare)
    bare = _MEMBER.sub("", bare)
    about = [part for part in _APPROXIMATELY.split(bare) if part]
    if len(about) == 2:
        # `x = 1/3 ≈ 0.33` is 1/3, and `x ≈ 11` is 11.
        return _whole(about[1] if re.fullmatch(r"[A-Za-z](?:_\{?\w\}?)?", about[0].strip()) else about[0])
    parts = _UNION.split(bare)
    if len(parts) > 1:
        keys = [_whole(part) for part in parts]
        read = [key for key in keys if key is not None]
        return " U ".join(sorted(read)) if len(read) == len(parts) else None
    if _PLUS_MINUS.search(bare):
        both = (_whole(_PLUS_MINUS.sub(sign, bare)) for sign in ("+", "-"))
        read = [key for key in both if key is not None]
        return "{" + ", ".join(sorted(set(read))) + "}" if len(read) == 2 else None
    if (alternatives := _alternatives(bare)) is not None:
        return alternatives
    if len(split_at(bare, ",;")) > 1:
        return _listed(split_at(bare, ",;"), "(", ")")
    if (enclosed := _enclosed(bare)) is not None:
        return enclosed
    if is_relation(bare):
        return relation(bare)
    if "=" in bare:
        return _equation(bare)
    tree = read_term(_without_unit(bare))
    return None if tree is None else key_of(tree)


def _without_unit(bare: str) -> str:
    return re.sub(r"\s*\^\s*\{?\s*\\circ\s*\}?|\s*\\%|°", "", bare)


def _in_base(digits: str, base: int) -> str | None:
    """`4210_{5}` keeps its base: it is not the number 4210."""
    return f"{digits.lower().lstrip('0') or '0'}_{base}" if 2 <= base <= 36 else None


def _alternatives(bare: str) -> str | None:
    """`x = 1 or x = 2` is the set of both; `2 and 3` a list."""
    parts = [part for part in _OR.split(bare) if part.strip()]
    if len(parts) < 2 or len(parts) > PARTS:
        return None
    parts = [piece.strip() for part in parts for piece in split_at(part, ",") if piece.strip()]
    keys = [_whole(part) for part in parts]
    read = [key for key in keys if key is not None]
    if len(read) != len(parts):
        return None
    if (values := _by_name(parts, read)) is not None:
        return values
    solutions = all("=" in part for part in parts) or re.search(r"\b(?:or|oder|ou)\b", bare)
    return "{" + ", ".join(sorted(set(read))) + "}" if solutions else "(" + ", ".join(read) + ")"


def _by_name(parts: list[str], read: list[str]) -> str | None:
    """`x = 2, y = 3` is the tuple of the values in the order of the names; None where a name is missing or repeated."""
    named = {found["name"] for part in parts if (found := _NAMED.fullmatch(part)) is not None}
    if len(named) != len(parts):
        return None
    return f"({', '.join(read[at] for at in sorted(range(len(parts)), key=lambda at: parts[at]))})"


def _enclosed(bare: str) -> str | None:
    """A tuple, an interval, a list or a set in brackets; None where the brackets do not enclose all of it."""
    text = bare.replace("\\{", "{").replace("\\}", "}").replace("\\langle", "(").replace("\\rangle", ")")
    opening = text[0]
    if opening not in "([{" or closing(text, 0) != len(text) - 1:
        return None
    parts = split_at(text[1:-1], ",;")
    if len(parts) == 1:
        if opening == "{" and bare.startswith("\\{"):
            inner = _whole(text[1:-1])
            return None if inner is None else "{" + inner + "}"
        return _whole(text[1:-1]) if opening == "(" or (opening == "{" and not bare.startswith("\\{")) else None
    return _listed(parts, opening, text[-1])


def _listed(parts: list[str], opening: str, closing: str) -> str | None:
    if not 1 < len(parts) <= PARTS:
        return None
    keys = [_whole(part) for part in parts]
    read = [key for key in keys if key is not None]
    if len(read) != len(parts):
        return None
    if opening == "{":
        return "{" + ", ".join(sorted(set(read))) + "}"
    if (
        all("=" in part for part in parts)
        and opening == "("
        and len({part.split("=")[0].strip() for part in parts}) == 1
    ):
        return "{" + ", ".join(sorted(set(read))) + "}"
    return f"{opening}{', '.join(read)}{closing}"


def _equation(bare: str) -> str | None:
    """`x = 3` is 3, `2 + 3 = 5` is 5, `y = 2x` is 2x; any other equation keeps both its sides."""
    sides = [side.strip() for side in bare.split("=")]
    if len(sides) > 6 or not sides[-1]:
        return None
    if len(sides) == 2 and _FUNCTION.fullmatch(sides[0]):
        return _whole(sides[1])
    if _DERIVED.match(sides[0]):
        return _whole(sides[-1])
    left, right = read_term(_without_unit(sides[0])), read_term(_without_unit(sides[-1]))
    if left is None and _VALUED.match(sides[0]):
        return _whole(sides[-1])
    if right is None:
        # A tuple, a set, a unit: `(x, y) = (1, 2)`.
        named = re.fullmatch(
            r"[A-Za-z](?:_\{?\w{1,3}\}?)?(?:\([a-z](?:,\s?[a-z])?\))?|\([a-z](?:,\s?[a-z])*\)", sides[0]
        )
        return _whole(sides[-1]) if named or (left is not None and not names(left)) else None
    if left is None:
        return key_of(right) if re.fullmatch(r"[A-Za-z]\([a-z](?:,\s?[a-z])?\)", sides[0]) else None
    if (not names(left) and not names(right)) or (left[0] == "symbol" and left[1] not in names(right)):
        return key_of(right)
    if left[0] == "*" and re.fullmatch(r"[A-Za-z]\s?\([a-z]\)", sides[0]):
        return key_of(right)
    if right[0] == "symbol" and not names(left):
        return key_of(left)
    if len(sides) == 2 and (same := key_of(left)) is not None and same == key_of(right):
        return same
    return relation_key(left, right) if len(sides) == 2 else None


def _matrix(bare: str) -> str | None:
    found = _MATRIX.fullmatch(bare.strip())
    if found is None:
        return None
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", found.group(2)) if row.strip()]
    read = []
    for row in rows[:PARTS]:
        keys = [_whole(cell) for cell in row.split("&")]
        if any(key is None for key in keys):
            return None
        read.append("[" + ", ".join(str(key) for key in keys) + "]")
    return "[" + ", ".join(read) + "]" if read else None


__all__ = ["expression", "looks_mathematical", "members", "negative", "numbered"]

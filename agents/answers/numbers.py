"""Numbers as people write them, read exactly.

Decimal and thousands marks, the rule: a comma between groups of three digits separates thousands (`1,234`), as do
spaces, apostrophes, and points that come twice or before a decimal comma (`1.234.567`, `1.234,5`); India's groups
count too (`1,00,000`). Any other comma between digits is a decimal mark (`3,5`), and a single point always is one
(`1.234`). A percentage has the value of its number: `50%` is 50. Units and currencies do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

BODY = (
    r"(?:(?P<thousands>[1-9]\d{0,2}(?:,\d{3}){1,20}(?![\d,]|\.\d{3},)(?:\.\d{1,400})?)"
    r"|(?P<lakhs>[1-9]\d?(?:,\d{2}){1,10},\d{3}(?!\d)(?:\.\d{1,400})?)"
    r"|(?P<points>[1-9]\d{0,2}(?:\.\d{3}){1,20},\d{1,400}|[1-9]\d{0,2}(?:\.\d{3}){2,20}(?!\d))"
    r"|(?P<spaces>[1-9]\d{0,2}(?P<gap>[ '_])\d{3}(?:(?P=gap)\d{3}){0,20}(?!\d)(?:[.,]\d{1,400}(?!\d))?)"
    r"|(?P<comma>\d{1,400},\d{1,400}(?![,\d]))"
    r"|(?P<plain>\d{1,400}(?:\.\d{1,400})?|\.\d{1,400}))"
)
_CURRENCY = r"(?:US\$|A\$|C\$|HK\$|[$€£¥₹₩₽₺฿₫]|(?:Rs|INR|USD|EUR|GBP|CNY|RMB|JPY|CHF|AUD|CAD)\b\.?)"
_POWER = (
    r"(?:[eE](?P<exponent>[-+]?\d{1,3})(?!\w)|\s?(?:\\times|\\cdot|[x×*·⋅])\s?10\s?(?:\^|"
    r"\*\*)\s?\{?\s?(?P<power>[-+]?\d{1,3})\s?\}?)"
)
_SIGN = r"(?P<sign>[-+]|(?:minus|negative)\s)"
NUMBER = re.compile(
    rf"(?=[-+\s\d.\\UAHCRIEGJmn$€£¥₹₩₽₺฿₫]){_SIGN}?\s?{_CURRENCY}?\s?(?P<sign2>[-+])?"
    rf"(?:(?:(?P<mixed>\d{{1,100}})(?:\s{{1,3}}|(?=\\)|\s?(?:and|&)\s))?"
    rf"\\frac\s?(?:\{{\s?(?P<over>-?\d{{1,100}})\s?\}}|"
    rf"(?P<over1>\d))\s?(?:\{{\s?(?P<under>\d{{1,100}})\s?\}}|(?P<under1>\d))"
    rf"|(?P<mixed2>\d{{1,100}})(?:\s{{1,3}}|\s?(?:and|"
    rf"&)\s)(?P<over2>\d{{1,100}})\s?/\s?(?P<under2>\d{{1,100}})(?![\d/.])"
    rf"|10\s?\^\s?\{{?(?P<ten>[-+]?\d{{1,3}})\}}?(?![\w^])"
    rf"|{BODY}{_POWER}?(?:\s?/\s?(?P<below>\d{{1,100}})(?![\d/]|\.\d))?)"
)
DIGIT = re.compile(r"\d")
_ORDINAL = re.compile(r"(?:#|№|No\.|Nr\.)\s?(?=\d)")
_APPROXIMATELY = re.compile(
    r"^(?:(?:is|are|was|were|be|equals?|exactly|approximately|approx\.?|about|around|roughly|nearly|"
    r"almost|circa|ca\.|some|only|just"
    r"|precisely|a total of|ungefähr|etwa|environ|unos|около|约|大约"
    r"|=>|⇒|=|:|≈|~|≃|≅|\\approx|\\sim|\\simeq)\s{0,3}){1,4}",
    re.IGNORECASE,
)
_SCALES = {
    "hundred": 100,
    "thousand": 1_000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
    "mn": 10**6,
    "bn": 10**9,
    "lakh": 10**5,
    "crore": 10**7,
    "万": 10**4,
    "亿": 10**8,
}
BELOW_ZERO = re.compile(r"\s?(?:degrees?\s?|°\s?)(?:celsius|fahrenheit|[CF])?\s?below zero\b", re.IGNORECASE)
_SCALE = re.compile(r"\s?-?(" + "|".join(_SCALES) + r")s?\b", re.IGNORECASE)
_LETTER_SCALES = {"k": 1_000, "K": 1_000, "M": 10**6, "B": 10**9}
_WITHOUT_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
"""Scripts that set no spaces between words."""
_PERCENT = re.compile(r"\s?(?:%|percent(?:age points?)?\b|per cent\b|pct\b)", re.IGNORECASE)
_SYMBOL = re.compile(r"(?<![Ͱ-Ͽ])[α-λν-ωϑϕϵ∞](?![Ͱ-Ͽ])")
"""A Greek letter alone is a factor, as in 3π, and no unit; μ stands in front of units."""
_UNIT = re.compile(
    r"\s?(?:°\s?[CFK]?|\^\{?\\circ\}?\s?[CFK]?|'s?\b|[^\W\d_]{1,30}(?:\^\{?-?\d\}?|\d(?!\d))?)"
    r"(?:[\s./·*-]{1,2}\\?[^\W\d_]{1,30}(?:\^\{?-?\d\}?|\d(?!\d))?){0,5}\s?[.!]?$"
)
_NOT_UNITS = frozenset(
    [
        "and",
        "or",
        "to",
        "not",
        "but",
        "if",
        "than",
        "minus",
        "plus",
        "times",
        "divided",
        "over",
        "half",
        "quarter",
        "third",
        "thirds",
        "hundred",
        "thousand",
        "million",
        "billion",
        "dozen",
        "is",
        "are",
        "was",
        "were",
        "i",
        "you",
        "maybe",
        "perhaps",
        "possibly",
        "either",
        "neither",
        "nor",
        "no",
        "between",
        "unless",
        "wrong",
        "incorrect",
        "most",
        "least",
        "x",
        "y",
        "z",
        "n",
        "pi",
        "e",
        "sqrt",
        "cannot",
        "unknown",
        "undetermined",
        "por",
        "oder",
        "und",
        "ou",
        "et",
        "y",
        "o",
        "или",
        "и",
    ]
)
_END = " \t.!,;:"

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: value for value, word in enumerate(_ONES)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
_WORD_RUN = re.compile(
    rf"\b(?:a |(?=\w))(?:{'|'.join([*_WORDS, 'hundred', 'thousand', 'million', 'billion'])})\b"
    rf"(?:(?:\s|-|\sand\s)(?:{'|'.join([*_WORDS, 'hundred', 'thousand', 'million', 'billion'])})\b){{0,12}}",
    re.IGNORECASE,
)
_DOZENS = {"a dozen": 12, "one dozen": 12, "dozen": 12, "half a dozen": 6, "a half dozen": 6, "two dozen": 24}
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "tenth": 10,
}
_AND_PART = re.compile(r"\sand (?:an?|one)[\s-](?P<part>half|third|quarter|fourth|fifth|eighth)\b", re.IGNORECASE)
_PART_WORDS = re.compile(
    rf"^(?:(?P<count>an?|{'|'.join(_ONES[1:11])})[\s-])?(?P<part>{'|'.join(_PARTS)}|"
    rf"halves)s?(?:\sof\s[^\d]{{1,40}})?$",
    re.IGNORECASE,
)


def written(value: Fraction) -> str:
    """The one spelling of a number: an integer, or a fraction in lowest terms."""
    return str(value.numerator) if value.denominator == 1 else f"{value.numerator}/{value.denominator}"


def value_of(match: re.Match[str]) -> Fraction | None:
    """The value of a match of `NUMBER`; None for a division by zero."""
    negative = (match["sign"] or "+").strip() != "+" if match["sign"] else False
    if match["sign2"] == "-":
        negative = not negative
    over, under = (
        match["over"] or match["over1"] or match["over2"],
        match["under"] or match["under1"] or match["under2"],
    )
    if over:
        if not under or not int(under):
            return None
        value = Fraction(int(over), int(under))
        value += int(match["mixed"] or match["mixed2"] or 0)
    elif match["ten"]:
        value = Fraction(10) ** int(match["ten"])
    else:
        value = Fraction(_digits(match)) * Fraction(10) ** int(match["exponent"] or match["power"] or 0)
        if match["below"]:
            if not int(match["below"]):
                return None
            value /= int(match["below"])
    return -value if negative else value


def _digits(match: re.Match[str]) -> str:
    if body := match["plain"]:
        return body
    if (
        (body := match["thousands"])
        and (match["power"] or match["exponent"])
        and body.count(",") == 1
        and "." not in body
    ):
        return str(body.replace(",", "."))  # `6,022 · 10^23`
    if body := match["thousands"] or match["lakhs"]:
        return body.replace(",", "")
    if body := match["points"]:
        return body.replace(".", "").replace(",", ".")
    if body := match["spaces"]:
        return body.replace(match["gap"], "").replace(",", ".")
    return str(match["comma"]).replace(",", ".")


def whole(text: str) -> Fraction | None:
    """The number that an undressed text consists of, with its sign, currency, unit or percent sign and nothing else."""
    text = text.strip(" \t,;:!?\"'")
    text = text[:-1].rstrip() if text.endswith(".") else text
    if len(text) > 1 and text[0] in "([{" and text[-1] == {"(": ")", "[": "]", "{": "}"}[text[0]]:
        return whole(text[1:-1])
    if (found := _APPROXIMATELY.match(text)) is not None:
        text = text[found.end() :]
    if (ordinal := _ORDINAL.match(text)) is not None:
        text = text[ordinal.end() :]
    match = NUMBER.match(text)
    if match is None:
        return in_words(text)
    value = value_of(match)
    if value is None:
        return None
    if (part := _AND_PART.match(text, match.end())) is not None and value.denominator == 1:
        return value + Fraction(1, _PARTS[part["part"].lower()]) if unit_only(text[part.end() :]) else None
    scale, end = scale_after(text, match.end())
    scale = -scale if BELOW_ZERO.match(text, end) else scale
    rest = text[end:]
    if not rest or unit_only(rest):
        return value * scale
    return None


def scale_after(text: str, end: int) -> tuple[int, int]:
    """(factor of the word behind a number, such as a million; where the text goes on)."""
    found = _SCALE.match(text, end)
    if found is not None:
        return _SCALES[found.group(1).lower()], found.end()
    letter = text[end : end + 1]
    if letter in _LETTER_SCALES and not text[end + 1 : end + 2].isalnum():
        money = any(sign in text[max(0, end - 30) : end] for sign in "$€£¥₹")
        if letter == "k" or money:
            return _LETTER_SCALES[letter], end + 1
    return 1, end


def unit_only(rest: str) -> bool:
    """Whether what stands behind a number is a percent sign, a unit or a few words, and no further statement."""
    rest = rest.rstrip(_END)
    if not rest or _PERCENT.fullmatch(rest):
        return True
    if (found := _PERCENT.match(rest)) is not None:
        rest = rest[found.end() :].rstrip(_END)
    if rest in ("$", "€", "£", "¥", "₹", "°", "元", "個", "个", "円", "원", "руб"):
        return True
    if _UNIT.fullmatch(rest) is None or _SYMBOL.search(rest):
        return False
    words = re.findall(r"[^\W\d]+", rest.lower())
    if words == ["times"]:
        return True
    return not _NOT_UNITS.intersection(words)


def in_words(text: str) -> Fraction | None:
    """The number that English words say, and nothing else but a unit: `twenty-one`, `minus three`, `two thirds`."""
    if not text or not text[0].isalpha():
        return None
    text = text.rstrip(_END)
    if (dozens := _DOZENS.get(text.casefold())) is not None:
        return Fraction(dozens)
    if part := _PART_WORDS.match(text):
        count = part["count"]
        counted = 1 if count is None or count.lower() in ("a", "an") else _WORDS[count.lower()]
        name = part["part"].lower()
        return Fraction(counted, 2 if name == "halves" else _PARTS[name])
    negative = re.match(r"(?:minus|negative)\s", text, re.IGNORECASE)
    start = negative.end() if negative else 0
    run = _WORD_RUN.match(text, start)
    if run is None:
        return None
    value = _counted(run.group())
    if value is not None and (half := _AND_PART.match(text, run.end())) is not None and unit_only(text[half.end() :]):
        return (value + Fraction(1, _PARTS[half["part"].lower()])) * (-1 if negative else 1)
    if value is None or not (run.end() == len(text) or unit_only(text[run.end() :])):
        return None
    return Fraction(-value if negative else value)


def _counted(words: str) -> int | None:
    total = current = 0
    last = 0
    for word in re.split(r"[\s-]+", words.lower()):
        if word in ("and", "a"):
            current = max(current, 1) if word == "a" else current
            continue
        if word in _WORDS:
            value = _WORDS[word]
            # Two numbers side by side, such as "three four", are not one.
            if last and not (last >= 20 and last < 100 and value < 10) and last != 100 and last < 1000:
                return None
            if word and current == 1 and last == 0:
                current = 0
            current, last = current + value, value or 1
        elif word == "hundred":
            current, last = max(current, 1) * 100, 100
        else:
            total += max(current, 1) * _SCALES[word]
            current, last = 0, 1000
    return total + current


def each(text: str) -> Iterator[tuple[int, int, Fraction]]:
    """(start, end, value) of every number that stands by itself in a text: not a part of a word, a date or a time."""
    for match in NUMBER.finditer(text) if DIGIT.search(text) else ():
        start, end = match.span()
        while start < end and text[start] in " +":
            start += 1
        before, after = text[start - 1 : start], text[end : end + 2]
        inside = before.isalpha() and not _WITHOUT_SPACES.match(before)
        if (
            before
            and (inside or before in "_/:^.√∛∜" or text[start - 2 : start] in ("^{", "_{"))
            and text[start] not in "$€£¥"
        ):
            continue
        if before.isdigit() or (before == "-" and text[start - 2 : start - 1].isalnum()):
            continue
        if after[:1] in ("/", ":", "^") and after[1:2].isdigit():
            continue
        sign = match["sign"] or ""
        value = value_of(match)
        if value is None:
            continue
        # A hyphen behind a word or a number is no minus sign: `10-15`, `step-3`.
        if sign == "-" and start > 0 and text[start - 1].isalnum():
            value = -value
        scale, end = scale_after(text, end)
        scale = -scale if BELOW_ZERO.match(text, end) else scale
        yield start, end, value * scale

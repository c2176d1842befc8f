"""Numbers that stand by themselves in a reply: on its first line, in bold, in front of an aside."""

from __future__ import annotations

import re
from fractions import Fraction

from agents.answers.numbers import whole
from agents.answers.undress import undress

NUMBER_ASIDE = re.compile(r"(?P<number>[^()]{1,60})\s\([^()]{1,200}\)\.?")
EQUAL_ASIDE = re.compile(r"(?P<value>[^()]{1,60})\s\((?P<aside>[^()]{1,60})\)\.?")
_EXPLAINS = re.compile(
    r"\s*[*_#>-]{0,4}\s?(?:explanation|reason(?:ing)?|because|since|note|justification|details?|this is|"
    r"here(?:'s| is) (?:how|why)|"
    r"steps?\b)",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,60})\*\*")


def first_line(text: str) -> Fraction | None:
    """The number that a reply consists of, before it explains itself."""
    first = before_reasons(text)
    return whole(undress(first)) if first != text and len(first) < 60 else None


def before_reasons(text: str) -> str:
    """The first line of a text that explains itself behind it; else the text."""
    first, _, rest = text.partition("\n")
    return first if _EXPLAINS.match(rest) else text


def bold(line: str) -> Fraction | None:
    """The one bold number of a line."""
    found = _BOLD.findall(line)
    return whole(undress(found[0])) if len(found) == 1 and len(line) < 400 else None

"""What a statement only reports, doubts or supposes: `Some say Paris, but that is wrong` answers nothing."""

from __future__ import annotations

import re

from agents.answers.guarded import Guarded
from agents.answers.statements import sentences

_SAID = Guarded(
    r"(?:^|[.!?]\s)\W{0,4}(?:(?:some|many|most|everyone|everybody|people|others?|my \w+|you|one)(?: [^\W\d_]+){0,2}? "
    r"(?:say|says|said|think|thinks|thought|believe|believes|claim|claims|assume|might (?:think|say|guess|expect))|"
    r"i doubt|it is (?:often|commonly|sometimes|widely) (?:said|thought|believed|claimed))\b[^.!?]*?"
    r"(?:,?\s(?:but|however|yet|though)[,\s]\s?(?P<rest>[^.!?]{2,200}))?[.!]?$",
    "say|said|think|thought|believe|claim|assume|guess|expect|doubt",
)
"""What somebody else says, with what the reply says itself behind it."""
_WRONG = Guarded(
    r"(?:that|this|it|which|they)(?:['’]s| is| was| are|['’]re)?\s?(?:is |was )?(?:clearly |of course |actually "
    r")?(?:wrong|incorrect|"
    r"false|a (?:myth|mistake|misconception)|untrue|not (?:right|true|correct|so|the case)|isn['’]t (?:right|true|"
    r"correct|so))\W*$",
    "wrong|incorrect|false|myth|mistake|misconception|untrue|not |n't|n’t",
)
_SUPPOSED = Guarded(
    r"\bwould be (?:(?:the )?(?:correct|right|true|best)|yes|no)\b[^.!?]*\bif\b|\b(?:wrong|incorrect|false) "
    r"(?:option|answer|choice|one) is\b|"
    r"(?:^|[.!?]\s)\W{0,4}if (?:(?:yes|no|true|false)\b|(?:it|this|that|the answer)\b[^,.]{0,40}(?:\bnot\b|"
    r"n['’]t)[^,.]{0,40},)|\bquestion is whether\b|\b(?:might|could|may) (?:well "
    r")?be\b[^.!?,;]*[.!]?$|"
    r"\bwould be too (?:many|much|few|large|small|high|low|big)\b",
    "would be|wrong|incorrect|false|if |whether|might|could|may ",
)
_ANSWERS = re.compile(r"\W{0,4}(?:yes|no|true|false)\b", re.IGNORECASE)
_DECIDES = re.compile(
    r"\b(?:so|therefore|thus|hence|answer|final)\b|=|\bi(?:['’]d| would)? (?:choose|pick|go)", re.IGNORECASE
)


def undenied(text: str) -> str | None:
    """A short reply as it stands, or what it says itself behind what others say; None where it only reports, doubts or
    supposes."""
    said = _SAID.search(text)
    if said is not None:
        rest = said["rest"]
        if rest is None:
            return None if _DECIDES.search(text) is None else text
        return None if _WRONG.search(rest) is not None else rest
    if ", but " in text and _WRONG.search(text.rsplit(", but ", 1)[1]) is not None:
        return None
    if "\n" in text or _ANSWERS.match(text) is not None or _DECIDES.search(text) is not None:
        return text
    return None if _SUPPOSED.search(text) is not None and len(sentences(text)) == 1 else text

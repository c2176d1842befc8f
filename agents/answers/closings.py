"""What a reply says after its answer and not of it: courtesies, and how sure it is."""

from __future__ import annotations

import re

_COURTESY = re.compile(
    r"\W*(?:(?:please )?let me know\b|(?:please )?feel free\b|"
    r"(?:so )?(?:i )?(?:really )?hope (?:this|that|it|you|the)\b|"
    r"if you(?:['’]d like| have| need| want| would)\b|is there anything\b|would you like\b|do you (?:want|need|have)\b|"
    r"(?:i['’]m )?happy to\b|good luck\b|happy \w+ing\b|thank(?:s| you)\b|have a (?:nice|great|good)\b|"
    r"(?:lassen sie|lass) (?:es )?mich wissen\b|n['’]hésitez pas\b|si (?:tienes|necesitas|vous avez)\b|"
    r"如果(?:你|您)(?:还)?有|希望(?:这|这个|对)|если у вас)",
    re.IGNORECASE,
)
_SURE = re.compile(
    r"\W*(?:(?:i(?:['’]m| am| feel)|my|with|overall|stated)\s[^.!?\n]{0,40}?)?"
    r"(?:\d{1,3}(?:\.\d)?\s?% (?:confiden(?:t|ce)|sure|certain)|(?:confidence|certainty)\b(?!\s(?:interval|band)))",
    re.IGNORECASE,
)
_RETURNS = re.compile(r"\b(?:so|therefore|thus|hence|total|answer is|result)\b(?! far)|=", re.IGNORECASE)
"""What comes back to the question behind a courtesy."""
_QUICK = (
    *("let me", "feel free", "hope", "if you", "anything", "would you", "do you", "happy", "luck", "thank", "have a"),
    *("wissen", "hésitez", "si ", "confid", "sure", "certain", "如果", "希望", "если"),
)
"""What such a sentence holds, in lower case."""
_BEGINS = re.compile(r"(?<=[.!?*)])[ \t]+|(?<=[。！？])")
"""Where a sentence may begin; decimal points have no space behind them."""


def without_closings(text: str) -> str:
    """A reply without the sentences at its end that only close it: `Let me know if ...`, `I am 95% confident.` Behind a
    courtesy on the last line nothing is said of the question.

    A text that is nothing else stays as it is.
    """
    for _ in range(4):
        stripped = text.rstrip()
        line = stripped.rfind("\n") + 1
        last = stripped[line:]
        if len(last) > 600:
            return text
        lowered = last.lower()
        if not any(word in lowered for word in _QUICK):
            return text
        begins = [0, *(found.end() for found in _BEGINS.finditer(last) if found.end() < len(last))]
        closes = next((one for one in begins if _COURTESY.match(last, one)), begins[-1])
        start = line + closes
        sentence = stripped[start:]
        if not stripped[:start].strip() or _RETURNS.search(sentence):
            return text
        if not (_COURTESY.match(sentence) or _SURE.match(sentence)):
            return text
        text = stripped[:start].rstrip(" \t\n-—*_")
    return text

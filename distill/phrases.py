"""Removes what an agent says about others' answers instead of the question: agreement, disagreement, surrender.

A student that answers alone must not learn to say "I agree with the others" (MAGDi, https://arxiv.org/abs/2402.01620,
section 3.1), nor "I am not sure, so I follow the most confident answer". A sentence goes only if it says no more than
that: "I agree, because 3 x 4 is 12" keeps its reason.
"""

from __future__ import annotations

import re

_WHO = (
    r"(?:(?:the|both|all|most|some|any|my) )?(?:of )?(?:the )?(?:other|others|previous|earlier|first|second|third|"
    r"majority|most confident|surest)?[ ]?"
    r"(?:agents?|answers?|group|majority|team|panel|others?|reasoning|solutions?|explanations?|opinions?|everyone|"
    r"them|you|this|that|it|claude\d?|bard|chatgpt|gpt-?\d?|agent_?\d{1,3})(?:['’]s? (?:answers?|reasoning))?"
)
_HEDGE = r"(?:after (?:reviewing|considering|reading) [^,.;:]{1,80}, )?(?:so |thus |therefore,? |however,? |and |but )?"
_VERB = (
    r"i (?:still |also |now |strongly |fully |completely |partially |respectfully |do not |don['’]t |would )?"
    r"(?:agree|disagree|concur|follow|accept|adopt|side|stick|am with)"
)
_MERE = re.compile(
    rf"{_HEDGE}(?:"
    rf"{_VERB}(?: (?:with|to|by|and|or|{_WHO}|{_VERB}))*"
    rf"|i am not sure(?:,? so {_VERB}(?: (?:with|to|{_WHO}))*)?"
    r"|i (?:am unsure|do not know|don['’]t know|am not certain|have no idea)"
    r"|(?:the )?(?:other agents|others|they|everyone) (?:are|is|all) (?:right|wrong|correct|incorrect|agree[ds]?)"
    r"|(?:my|the) answer (?:remains|stays)(?: the same| unchanged)"
    r")[ ]?[.!,;]*",
    re.IGNORECASE,
)
LONGEST = 240
"""Characters of a sentence that may be mere agreement: a longer one has something to say."""


def without_agreement(reasoning: str) -> str:
    """The reasoning without sentences that only agree, disagree or give up; may be empty. Takes linear time."""
    kept = [part for part in _sentences(reasoning) if not _is_mere(part)]
    return "".join(kept).strip()


def _is_mere(sentence: str) -> bool:
    bare = " ".join(sentence.split())
    return 0 < len(bare) <= LONGEST and _MERE.fullmatch(bare) is not None


def _sentences(text: str) -> list[str]:
    """The text cut after each full stop, question or exclamation mark and line break that ends a sentence."""
    parts, start = [], 0
    for place, character in enumerate(text):
        following = text[place + 1 : place + 2]
        if character == "\n" or (character in ".!?" and (not following or following.isspace())):
            parts.append(text[start : place + 1])
            start = place + 1
    return [*parts, text[start:]]

"""Replies that take back what they answered: `Answer: 14... no, 17`, and a later line that calls the answer wrong."""

from __future__ import annotations

import re

from agents.answers.guarded import Guarded

_WORDS = (
    r"(?:oh|ah|hm{1,4}|oops|sorry|wait|hold on|nope|no|nein|non|actually|correction|scratch that|strike that|i mean|"
    r"i meant|"
    r"my mistake|my bad|on second thoughts?|let me correct (?:that|myself|this))"
)
_CORRECTS = re.compile(
    rf"(?:[.…,;!?—–(\n]|(?<=\s)-(?=\s))\.{{0,2}}\s{{0,3}}(?:but |and "
    rf")?(?P<words>{_WORDS}(?:[\s,.:;!?…—–-]{{1,4}}{_WORDS}){{0,5}})"
    rf"(?P<end>[\s,.:;!?…—–-]{{1,4}})(?=\S)",
    re.IGNORECASE,
)
_WEAK = frozenset({"no", "nope", "nein", "non", "actually", "sorry", "oh", "ah"})
"""Alone, these correct only where punctuation follows them; in words, `actually` and `sorry` do not."""
_NOT_ALONE = frozenset({"sorry", "oh", "ah", "hm", "hmm", "actually"})
_TAKES_BACK = Guarded(
    r"(?:^|(?<=[.!?…\n])\s{0,3})[\s*_>#(-]{0,4}(?:but |hm+,? |oh,? |no,? )?"
    r"(?:wait|hold on|oops|scratch that|correction|on second thoughts?|my mistake|"
    r"i (?:made|think i made|have made|see i made) an? (?:mistake|error|arithmetic)|i was wrong|"
    r"(?:i )?apologi[sz]e for the (?:mistake|error)|(?:sorry|edit),? (?:i mean(?:t)?\b|it(?:'s| is)\b|i made|"
    r"that(?:'s| is| was) (?:wrong|incorrect))|"
    r"actually,? (?:that(?:'s| is| was)|this is|it(?:['’]s| is| was)|i (?:made|was|mis)|no\b)|"
    r"(?:that|this|my (?:previous |last )?(?:answer|calculation))(?:'s| is| was)"
    r" (?:wrong|incorrect|not (?:right|correct)|a mistake|an error))\b",
    (
        "wait|hold on|oops|scratch|correction|second thought|mistake|i made|think i|have made|see i|"
        "i was wrong|apologi|sorry|edit|actually|that|this is|this was|answer|calculation"
    ),
)
_WITHDRAWN = re.compile(
    r"\b(?:wrong|incorrect|not (?:right|correct)|mistake|error|recheck|re-check|check|recalculate|redo|reconsider)\b",
    re.IGNORECASE,
)


def corrected(content: str, words: bool = False, no_counts: bool = True) -> str | None:
    """What stands behind the last correction within an answer; None where there is none. `words`: the answer may be
    any words, so that only plain corrections count. `no_counts`: a lone "no" is a correction and no answer."""
    content = content[:1_000]
    for match in reversed(list(_CORRECTS.finditer(content))):
        if not any(c.isalnum() for c in content[: match.start()]):
            continue
        said = {one.casefold() for one in re.findall(r"[^\W\d_]+", match["words"])}
        if said <= _NOT_ALONE and words:
            continue
        if said <= {"no", "nope", "nein", "non"} and not no_counts:
            continue
        if said <= _WEAK and not match["end"].strip():
            continue
        return content[match.end() :]
    return None


def withdrawn(text: str) -> bool:
    """Whether a text calls what was answered before it wrong, or wants to check it."""
    return _WITHDRAWN.search(text) is not None


def taken_back(text: str, start: int) -> str | None:
    """What follows the first place behind `start` that takes the answer before it back; None where nothing does."""
    if len(text) - start < 8:
        return None
    found = _TAKES_BACK.search(text, start)
    return None if found is None else text[found.end() :]

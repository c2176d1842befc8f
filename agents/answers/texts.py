"""Answers in words: the key that is equal for the same words, whatever their case, spacing and punctuation.

A text that is mathematics, such as `2x+3` or `(3, 4)`, has the key of the mathematics.
"""

from __future__ import annotations

import re
import string

from agents.answers.expressions import expression, looks_mathematical
from agents.answers.guarded import words_of
from agents.answers.undress import undress

EDGES = string.whitespace + string.punctuation.replace("-", "").replace("+", "") + "“”‘’«»…。！？，、；："
_OPERATOR = re.compile(r"[-=^\\*+/√π(]|\A(?:[^A-Za-z]|\band\b)*\Z|\d[A-Za-z]\b")
"""`3 PM` and `B 12` are words."""
_BETWEEN = re.compile(r"(?<!\d)[,;](?=\s)|[,;](?!\d)(?=\s)")
_THE = re.compile(r"^the (?=\w{3,})")
_BOLD = re.compile(r"\*\*([^*\n]{1,100})\*\*")
_STATED = re.compile(
    r"(?:So|Thus|Hence|Therefore)?,?\s?(?:the|it|this|that|his|her|their|its|today|tomorrow|yesterday)\b[^.!?;:]{0,150}?\b(?:is|was|are|"
    r"were)\b\s+(?:(?:\w{3,}ed|written|drawn|made|built|sung|won|known|given|found)(?: by| as) |(?:called|named) )?"
    r"(?P<value>(?:(?!\b(?:is|was|are|were|that|which|who|because|not)\b)[^.!?;:]){1,60})[.!]?",
    re.IGNORECASE,
)
_IT_IS = re.compile(
    r"(?:(?:I think|I believe|So|Thus|Therefore|Hence|I would say|I'd say),? (?:that )?)?(?:it|that|"
    r"this)(?:['’]s| is| was| would be| must be)(?: called| named| known as)?"
    r" (?P<value>(?!(?:not|hard|difficult|impossible|unclear|possible|likely|important|because|true "
    r"that)\b)[^.!?;:]{1,60})[.!]?",
    re.IGNORECASE,
)
_BELIEF = re.compile(r",\s(?:i (?:believe|think|guess|suppose|would say)|probably|most likely)\.?$", re.IGNORECASE)
_I_THINK = re.compile(
    r"^(?:(?:i (?:think|believe|guess|suppose|would say)|i['’]d say)(?: that)?,? )?(?:it(?:['’]s| is| was| must "
    r"be) |(?=\S))(?!not\b)",
    re.IGNORECASE,
)
_GIVES = re.compile(r"[^:\n]{1,80}\b(?:gives|yields|is|are|get|becomes|so)(?: us)?:\s+(?P<value>[^:\n]{1,80}?)[.!]?")
"""`Reversing the letters gives: olleh`"""
_QUOTED = re.compile(r"[^\"\n]{1,120}\b(?:gives|yields|is|get|becomes|spells)(?: us)?:? \"(?P<value>[^\"]{1,80})\"\.?")
"""`Concatenating them gives "nyle".`"""
_BY = re.compile(
    r"[^.!?;:\n]{1,80}\b(?:was|were|is|are) (?:\w{3,}ed|written|drawn|made|built|sung|won|known|given|found|led) by "
    r"(?P<value>(?:(?!\b(?:is|was|are|were|that|which|who|because|not|in)\b)[^.!?;:]){1,60})[.!]?"
)
"""`Emma was written by Jane Austen.`"""
_IS_ANSWER = re.compile(
    r"(?P<value>[^.!?;:]{1,60}?)\s(?:is|was)\s(?:the|my)\s(?:correct |right |final |best )?answer[.!]?", re.IGNORECASE
)
_UNSURE = re.compile(
    r"\bno (?:idea|clue)\b|\b(?:not|n't) able to\b|\bunable to\b|\b(?:cannot|can't|could not|couldn't) find\b|"
    r"\b(?:cannot|can't|could not|impossible to) (?:be )?(?:determine|answer|tell|say|decide|know|solve)|"
    r"\b(?:i do not|i don't|do not|don't) know\b|\bnot (?:sure|enough)\b",
    re.IGNORECASE,
)
_UNSURE_WORDS = frozenset(
    "idea clue able unable find determine determined answer answered tell say decide decided know solve solved sure "
    "enough".split()
)
"""Of these words every match of it has one."""
_SORRY = re.compile(
    r"\W*(?:(?:i am |i'm )?sorry\b|(?:n/a|unsure|not sure|idk|none of (?:the|these|those|them)|no answer|"
    r"see (?:above|below|the|step|explanation))\b|"
    r"(?:none|unknown|undetermined|unclear|null|see)(?:\W*$|\W*[.,;:(–—-]\s|"
    r"\s(?:at|from|to|who|which|what|whether|how|if|because|as|since|without|given|based)\b)|(?-i:NA)\W*$)",
    re.IGNORECASE,
)
UNSURE_LIMIT = 200
"""Characters of a text that may say so and nothing else."""
_YEARS = re.compile(
    r"(?<=\w) \((?:(?:born|b\.|d\.|c\.|ca\.|circa)\s)?\d{3,4}(?:\s?[-–—]\s?(?:\d{2,4}|"
    r"present)?)?\)\.?$"
)
"""`Marie Curie (1867-1934)`: the years are not part of the name."""
MATHEMATICS = 200
"""Characters up to which a text may be mathematics."""


def is_unsure(text: str) -> bool:
    """Whether a reply says that it does not know."""
    if _SORRY.match(text):
        return True
    return not _UNSURE_WORDS.isdisjoint(words_of(text)) and _UNSURE.search(text) is not None


def plain(text: str) -> str:
    """Words in lower case with single spaces, without enclosing punctuation. Nothing but punctuation keeps it."""
    text = " ".join(text.split())  # all white space, not only ASCII's
    return (text.strip(EDGES) or text).casefold()


def text_key(text: str) -> str | None:
    """The key of an answer in words, or None where there are none."""
    bare = undress(text)
    if not bare:
        return None
    if (
        len(bare) <= MATHEMATICS
        and any(c.isdigit() or c in "=^\\*+√π" for c in bare)
        and _OPERATOR.search(bare)
        and looks_mathematical(bare)
    ):
        key = expression(bare, "text")
        if key is not None:
            return key
    bare = _YEARS.sub("", bare)
    words = _BETWEEN.sub(" ", bare) if "," in bare or ";" in bare else bare
    return _THE.sub("", plain(words)) or None


def without_belief(text: str) -> str:
    """A short answer without the words by which somebody believes it: `It is Vienna, I believe`."""
    if len(text) > MATHEMATICS:
        return text
    bare = _BELIEF.sub("", text.strip())
    lead = _I_THINK.match(bare)
    return bare[lead.end() :] if lead is not None and lead.end() and len(bare) - lead.end() < 60 else bare


def stated(sentence: str) -> str:
    """What a sentence without a marker states: its one bold part, or what stands behind `is` in `The ... is ...`."""
    bold = _BOLD.findall(sentence)
    if len(bold) == 1 and len(bold[0]) < len(sentence.strip(" *.")):
        return str(bold[0])
    found = (
        _GIVES.fullmatch(sentence.strip())
        or _QUOTED.fullmatch(sentence.strip())
        or _BY.fullmatch(sentence.strip())
        or _IS_ANSWER.fullmatch(sentence.strip())
        or _IT_IS.fullmatch(sentence.strip())
        or _STATED.fullmatch(sentence.strip())
        if not bold
        else None
    )
    return sentence if found is None else found["value"]

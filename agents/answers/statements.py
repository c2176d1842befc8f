"""The number that a statement states: `Room 2 has 5 chairs` states 5, `3 or 4` states none."""

from __future__ import annotations

import re
from fractions import Fraction

from agents.answers import numbers

_LABELS = re.compile(
    r"(?:\b(?:room|step|question|option|choice|chapter|figure|table|part|no\.|number|level|phase|grade|"
    r"problem|equation|case|type|class|page|line|"
    r"item|section|exercise|example|route|bus|train|highway|apartment|flight|gate|player|team|group|box|"
    r"in the year)\s?|#)$",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:or|either|between|range|ranges|ranging|oder|ou|o|или|at least|at most|more than|less than|fewer than)\b|或",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:cannot|can't|can not|could not|couldn't|unable|impossible|unknown|undetermined|insufficient|"
    r"not enough|unclear|not possible|no way to|"
    r"don't know|do not know|not sure|no answer|none|undefined|depends|indeterminate|not given|"
    r"tbd|error|timeout|see (?:step|section|page|above|below)|(?:is|are)(?:n't| not) (?:among|one of|in|listed)|"
    r"let me (?:think|see|check|try|compute|calculate|work)|not determined|maybe|perhaps|might be|could be)\b",
    re.IGNORECASE,
)
_GIVES_UP = re.compile(
    r"^\W{0,4}(?:error|exception|traceback|timeout)\b|\b(?:i do not|i don't|don't|do not) know\b|\bnot (?:sure|"
    r"enough information)\b|"
    r"\bimpossible to (?:say|tell|know)\b|"
    r"\b(?:cannot|can't|unable to|could not) (?:be )?(?:determined?|answer(?:ed)?|tell|say|know|solved?)\b",
    re.IGNORECASE,
)
_PLAN = re.compile(
    r"\b(?:needs?|have|has|want) to (?:know|find|calculate|compute|determine|figure|solve|consider|first|multiply|"
    r"subtract|divide|convert)\b|\bneed (?:one |some )?more\b|\b(?:now|next),? (?:let's|we (?:will|can))\b|"
    r"^\W{0,4}(?:let|suppose|assume|consider|define)\b",
    re.IGNORECASE,
)
"""What a solution is going to do, not what it found."""
_ORDER = re.compile(
    r"^\W{0,4}(?:step \d{1,2}\W{1,3})?(?:now |then |next,? |first,? )?(?:multiply|add|subtract|divide|compute|"
    r"calculate|find|solve|"
    r"identify|determine|sum|convert|simplify|write|set up|list|count|check)\b",
    re.IGNORECASE,
)
"""A step of a plan that tells what to do."""
_ASKS = re.compile(
    r"\W{0,4}(?:could|can|would|should|will|do|does|did|is|are|was|were|what|which|why|how|who|have|"
    r"has)\b",
    re.IGNORECASE,
)
_HYPOTHETICAL = re.compile(
    r"\bwould (?:be|have|get|make|cost)\b.*\bif\b|\bif (?:there|it|we|he|she|they|you|i)\b.{0,80}\b(?:had|"
    r"were)\b.*\bwould\b|"
    r"\bwith (?:a )?remainder\b",
    re.IGNORECASE,
)
_ASIDE = re.compile(
    r"[,;(]\s*(?:(?:which|since|because|as|where|up from|down from|or (?:about|approximately|roughly|"
    r"equivalently))\b|i\.e\.|"
    r"that is,).*$",
    re.IGNORECASE | re.DOTALL,
)
_SURE_ENOUGH = re.compile(
    r",?\s\(?(?:but|though|although)\s(?:i['’]m|i am|i|it)\b[^.!?]{0,40}\b(?:not (?:entirely |completely |"
    r"totally |100% |fully )?"
    r"(?:sure|certain)|wrong|mistaken|off)\b.*$",
    re.IGNORECASE | re.DOTALL,
)
"""`but I could be wrong` takes nothing back."""
_WHICH_IS = re.compile(
    r",\s(?:which|that) (?:is|equals|gives|makes|comes to|amounts to)\s(?:a total of "
    r")?(?P<value>[^\s,;]{1,40}(?:\s[^\W\d_]{1,15})?)\.?$",
    re.IGNORECASE,
)
"""`20% of $150, which is $30`"""
_TOTAL_IS = re.compile(
    r"[,;]\s(?:so |and )?(?P<value>[^,;]{1,40}?)\s(?:altogether|in total|in all|overall)\.?$|"
    r"[,;]\s(?:the )?(?:total|sum|answer|result)\s?[:=]\s?(?P<after>[^,;:=]{1,30})$",
    re.IGNORECASE,
)
"""`15 adults and 16 children, 31 altogether`, `Adults: 15, Children: 16, Total: 31`"""
_EACH = re.compile(r"\s?[^\W\d_]{0,12}\s?[,;]\s?(?:and |or )?[$€£]?")
_OF_SO_MANY = re.compile(r"\d\s(?:in|out of)\s(?:every\s)?\d")
"""`3 out of 10`, `1 in 3`"""
_ITEM = re.compile(r"\s{0,8}[-*•–]\s+\S")
_TOTALS = re.compile(
    r"\b(?:total|sum|answer|result|therefore|so|altogether|final|overall|remaining|"
    r"left)\b",
    re.IGNORECASE,
)
_CHECK = re.compile(
    r"\n[ \t*_#>(-]{0,6}(?:please )?(?:note|notes|caveat|disclaimer|remark|n\.b\.)\b[^\n]*\Z|"
    r"\n[ \t*_#>(-]{0,6}(?:(?:let(?:'s| us| me)|we can|to) )?(?:double[- ])?(?:check|verif(?:y|ication))(?:ing)?\b"
    r"(?![^\n]{0,200}\n[^\n]*\b(?:so|therefore|thus|hence|answer)\b)",
    re.IGNORECASE,
)
"""A check or a note at the end, whose numbers are no conclusion."""
_IN_BRACKETS = re.compile(r"\W{0,4}\([^()]{1,300}\)\W{0,3}")
_ORDINAL = re.compile(r"(?:st|nd|rd|th)\b")
_LISTED = re.compile(r"\s?[,;]\s?(?:and |or )?[$€£]?\d")
_SO = re.compile(
    r"[,;]?(?:所以|因此|よって|だから)|[,;]?\s\(?(?:so|therefore|thus|hence|also|donc|por lo tanto|giving|making|"
    r"leaving|yielding|"
    r"totall?ing|resulting in|"
    r"for a total of)\b,?\s",
    re.IGNORECASE,
)
_NOT = re.compile(r"\b(?:not|isn't|rather than|instead of|nicht|pas|no es)\s(?:\w+\s){0,1}\W{0,2}$", re.IGNORECASE)
_REJECTED = re.compile(
    r"\W{0,3}(?:\s?\w+)?\s(?:is|are|was|were|would be|can be|seems|looks)\s(?:also |clearly |definitely |simply )?"
    r"(?:wrong|incorrect|false|not (?:right|correct|true|possible|the)|impossible|ruled out)\b|"
    r"\W{0,3}\s(?:cannot|can't|can not) be\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(?:step|question|problem|equation|figure|table|example|exercise)\s?$", re.IGNORECASE)
_RANGE_BEFORE = re.compile(r"\d(?:\s?[-–—~]\s?|\s?\S{0,3}\sto\s)\W?$")
_RANGE_AFTER = re.compile(r"(?:\s?[-–—~]\s?|\s?\S{0,3}\sto\s)\W?\d")
_VERB = re.compile(
    r"(?:\b(?:is|are|was|were|equals?|has|have|had|makes?|gives?|gave|leaves?|left with|totals|totall?ed|total "
    r"of|total is|"
    r"cost|costs|saved?|saves|received?|won|lost|uses?|used|reads?|ran|walked|drove|collected|found|gained|"
    r"earns?|earned|spent|spends?|pays?|paid|"
    r"needs?|takes?|took|gets?|got|becomes?|be|contains?|holds?|reach(?:es)?|remain|sold|made|ate|bought|"
    r"ist|sind|hat|est|sont|(?:il|elle|on) a|es|son|tiene)\b|['’]s\b|[=≈:])"
    r"(?:\s?\\approx)?\W{0,4}(?:(?:us|me|you|him|her|them|a|an|the|total|about|only|exactly|approximately|"
    r"around|just|now|still|"
    r"of|at|in|roughly|equal to|to|thus|therefore|then)\s){0,3}\W{0,4}$",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"\s?\S{0,20}(?:\s\w+){0,5}?\s?(?:[,;—(]|\b(?:since|because|which|as|so|that|per|for|at|in|each|every|"
    r"from|after|by|when|than|with|if|on|of|out of|while|given|to)\b)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?<!i\.e\.)(?<!e\.g\.)(?<!approx\.)(?<!\bca\.)(?<!\bvs\.)(?<!\b[DMS][rst]\.)(?<!\bMrs\.)(?<!\b[NR][os]\.)(?:"
    r"(?<=[^\s.\d][.!?])\s+(?=\S)|(?<=\d[.!?])\s+(?=[A-Z\"'(])|[。！？])"
)
_OR = re.compile(r"\b(?:or|oder|ou|или)\b|或", re.IGNORECASE)
_UNSOLVED = re.compile(r"(?<![\w.])\d{1,9}(?:[xyzn]\b|[a-z]\s?[-+*]\s?\d)[^=]{0,60}=")
"""`2x + 5 = 25` does not say what x is."""
_EQUATIONS = re.compile(
    r"(?<![\w)])[^\W\d_]\w{0,20}\s?=\s?[^=,;]{1,40}(?:[,;]|"
    r"\band\b)\s*(?:and\s)?(?:the\s)?[^\W\d_]\w{0,20}\s?=\s?[^=]{1,40}$"
)
"""`width = 4, length = 9` are two quantities."""
_COMPOUND = re.compile(
    r"\d\s?(?:hours?|hrs?|h|minutes?|mins?|days?|weeks?|months?|years?|feet|foot|ft|yards?|miles?|pounds?|lbs?|"
    r"dollars?|"
    r"euros?|kilomet(?:er|re)s?|km|met(?:er|re)s?|m|kg|kilograms?|gallons?|degrees?)\b(?:,?\s(?:and\s)?|,\s?)"
    r"(?=(\d[\d.,]{0,9})\s?(?:minutes?|mins?|seconds?|secs?|s|hours?|hrs?|days?|weeks?|months?|inch(?:es)?|in|feet|ft|"
    r"ounces?|oz|cents?|met(?:er|re)s?|m|centimet(?:er|re)s?|cm|g|grams?|pints?|quarts?)\b)",
    re.IGNORECASE,
)
"""`2 hours and 30 minutes` is one quantity, neither of its numbers."""
_AND_CLAUSE = re.compile(r"(?:\band(?:\s[^\W\d_]{2,12})?|;|,)\s\W?$")
_IS_LEFT = re.compile(r"\s?(?:\w+\s){0,2}(?:is|are|was|were|remain|remains|left)\b", re.IGNORECASE)
"""`each gets 4 and 2 are left over` states two numbers."""
_PARENTHESIS = re.compile(r"\([^()]{0,200}\)")
_WORD_NUMBER = re.compile(
    r"\b(?:zero|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|(?:twen|thir|for|fif|"
    r"six|seven|eigh|nine)ty|(?:one|an?) (?:half|third|quarter|fifth))\b",
    re.IGNORECASE,
)


_AFTER_ONE = ("half", "third", "quarter", "fourth", "fifth", "hundred", "thousand", "million", "billion")


def sentences(text: str) -> list[str]:
    """The sentences of a text; decimal points and initials end none."""
    return [part for part in _SENTENCE.split(text) if part and part.strip()]


def _has_number(sentence: str) -> bool:
    return any(c.isdigit() for c in sentence) or _WORD_NUMBER.search(sentence) is not None


def are_several(text: str) -> bool:
    """Whether a text is several sentences, of which the first with a number is no number alone."""
    parts = sentences(text)
    having = [one for one in parts if _has_number(one)]
    return len(parts) > 1 and bool(having) and numbers.whole(having[0].strip(" *_`")) is None


def stated(text: str) -> Fraction | None:
    """The one number that an undressed answer states, in its first sentence that has any; None where it is not
    plain which."""
    parts = sentences(text)
    for sentence, after in zip(parts, [*parts[1:], ""], strict=False):
        if after.startswith("or "):
            return None
        if _has_number(sentence):
            return in_sentence(sentence)
        if _REFUSAL.search(sentence):
            return None
    return None


def in_sentence(sentence: str) -> Fraction | None:
    """The one number that a sentence states."""
    bare = _PARENTHESIS.sub(" ", sentence) if "(" in sentence else sentence
    bare = _SURE_ENOUGH.sub("", bare.strip())
    if not bare or _PLAN.search(bare) or is_question(bare) or _HYPOTHETICAL.search(bare):
        return None
    found = list(numbers.each(bare))
    if not found:
        return _in_words(bare)
    if bare.count("=") == 1 and _UNSOLVED.search(bare):
        return None
    refused = _REFUSAL.search(bare)
    if refused is not None:
        return None
    if "=" not in bare and _OF_SO_MANY.search(bare) is not None:
        return None
    if "=" not in bare and _COMPOUND.search(bare) is not None:
        return None
    found = [one for one in found if not _NOT.search(bare[max(0, one[0] - 30) : one[0]])]
    found = [one for one in found if not _REJECTED.match(bare, one[1])]
    named = [one for one in found if not _LABELS.search(bare[max(0, one[0] - 20) : one[0]])]
    named = [one for one in named if not _ORDINAL.match(bare, one[1])] or named
    # "Step 3 of the proof" says nothing of 3; "page 3" may be an answer.
    found = named or [
        one for one in found if not _PLACE.search(bare[max(0, one[0] - 12) : one[0]]) or one[1] == len(bare)
    ]
    if not found:
        return None
    aside = _ASIDE.search(bare)
    if (
        aside is not None
        and _WHICH_IS.search(bare) is None
        and (before := [one for one in found if one[1] <= aside.start()])
    ):
        bare, found = bare[: aside.start()], before
    values = {value for *_, value in found}
    if len(values) == 1:
        start, end, value = found[0]
        return None if _is_partial(bare, start, end) else value
    if "=" in bare or "≈" in bare or "\\approx" in bare:
        place = max(bare.rfind("="), bare.rfind("≈"), bare.rfind("\\approx"))
        after = [one for one in found if one[0] > place]
        if (equals := bare.find("=")) >= 0 and (_OR.search(bare, equals) or _EQUATIONS.search(bare)):
            return None
        return (
            after[0][2]
            if after and len({value for *_, value in after}) == 1 and not _HEDGE.search(bare[place:])
            else None
        )
    if _HEDGE.search(bare):
        return None
    if (total := _TOTAL_IS.search(bare)) is not None and (
        summed := numbers.whole(total["value"] or total["after"])
    ) is not None:
        return summed
    if (result := _WHICH_IS.search(bare)) is not None and sum(end <= result.start() for _, end, _ in found) > 1:
        return numbers.whole(result["value"])
    turns = list(_SO.finditer(bare))
    if turns and (alone := numbers.whole(bare[: turns[0].start()].strip(" ,;"))) is not None:
        return alone  # `$30, leaving $120`
    ends = [one.end() for one in turns]
    if ends and any(start >= ends[-1] for start, *_ in found):
        return in_sentence(bare[ends[-1] :])
    kept = [one for one in found if _VERB.search(bare[max(0, one[0] - 40) : one[0]])]
    if len({value for *_, value in kept}) == 1:
        listed = _LISTED.match(bare, kept[-1][1]) is not None or any(
            (found_and := _AND_CLAUSE.search(bare[max(0, start - 20) : start])) is not None
            and (found_and.group().startswith("and") or _IS_LEFT.match(bare, end))
            for start, end, value in found
            if start > kept[-1][1] and value != kept[-1][2]
        )
        return None if listed or _is_partial(bare, *kept[-1][:2]) else kept[-1][2]
    first, second = found[0], found[1]
    if _EACH.fullmatch(bare[first[1] : second[0]]) is not None:
        return None  # `30 each, 90 total`
    if first[0] <= 4 and (lead := _CLAUSE.match(bare, first[1])) is not None and lead.end() <= second[0]:
        return None if _in_range(bare, *first[:2]) else first[2]
    return None


def is_question(sentence: str) -> bool:
    """Whether a sentence asks, such as `Is it 60?`."""
    return sentence.rstrip(" *.").endswith(("?", "？")) and _ASKS.match(sentence) is not None


def _is_partial(bare: str, start: int, end: int) -> bool:
    """Whether a number is a bound, an end of a range, or the first part of a longer term."""
    return _bound(bare, start) or _open_ended(bare, end) or _goes_on(bare, end) or _in_range(bare, start, end)


def _in_range(bare: str, start: int, end: int) -> bool:
    """`42-45` names a range, neither of its ends; a minus sign with an equation behind it was read before."""
    return (
        _RANGE_AFTER.match(bare, end) is not None or _RANGE_BEFORE.search(bare[max(0, start - 8) : start]) is not None
    )


def _bound(bare: str, start: int) -> bool:
    """`at least 5` and `less than 5` name a bound, not a number."""
    return (
        re.search(
            r"[<>≤≥]\s?\W{0,3}$|\b(?:at least|at most|more than|less than|fewer than|under|over|up to)\s\W{0,3}$",
            bare[max(0, start - 20) : start],
            re.IGNORECASE,
        )
        is not None
    )


def _open_ended(bare: str, end: int) -> bool:
    """`3 or more`, `3+` name a bound too."""
    return (
        re.match(
            r"\s?(?:\w+\s)?(?:(?:or|and) (?:more|less|fewer|above|below|higher|lower|over)\b|at (?:most|"
            r"least)\b|(?:max|min)(?:imum)?\b|\+(?!\s?[\w(]))",
            bare[end:],
        )
        is not None
    )


def _goes_on(bare: str, end: int) -> bool:
    """The number is only the first part of a term that this module does not read, such as `2\\sqrt{3}`, `5x`, `3^k`."""
    return (
        re.match(
            r"\s?(?:\\(?:sqrt|frac|pi|times|cdot)|\^|√|π|[*+×·]\s?[\w(\\]|(?!(?:[cdkm]?m|s|ft|in)\^\{?-?[1-3]|"
            r"[a-zA-Z]{1,3}/(?:s|h|hr|min|L|l|kg|"
            r"m|mol|K|C|cm|day|dL|mL)\b)[a-z](?:\^|\s?[+*/=-]\s?\w)|[xyzn]\b|"
            r"!|\(|and (?:an?|one) (?:half|third|quarter)\b)",
            bare[end:],
        )
        is not None
    )


def _in_words(bare: str) -> Fraction | None:
    """A number in words at the beginning or the end of a sentence: `Three apples are left`, `the answer is three`."""
    if _REFUSAL.search(bare) or _HEDGE.search(bare):
        return None
    words = bare.split()
    for start in range(max(0, len(words) - 6), len(words)):
        part = words[start + 1].lower().strip(".,") if start + 1 < len(words) else "half"
        if words[start].lower() in ("a", "an", "one") and part not in _AFTER_ONE:
            continue
        value = numbers.in_words(" ".join(words[start:]))
        if value is not None:
            return value if start == 0 or _VERB.search(" ".join(words[:start]) + " ") else None
    return None


def conclusion(text: str) -> Fraction | None:
    """The number that a reply without any marker ends with: stated by its last sentence with a number.

    A long text that breaks off in mid-sentence was cut and concludes nothing.
    """
    text = text.rstrip()
    if (check := _CHECK.search(text)) is not None and _has_number(text[: check.start()]):
        text = text[: check.start()].rstrip()
    lines = text.rsplit("\n", 2)
    last = lines[-1]
    if len(lines) > 1 and _ITEM.match(last) and _ITEM.match(lines[-2]) and not _TOTALS.search(last):
        return None  # the last of several things that are listed
    if len(text) > 300 and text[-1:].isalpha() and not re.search(r"\d\s?[^\W\d]{1,20}$", last):
        return None
    kept = [one for line in text[-2_000:].split("\n") for one in sentences(line) if one.strip(" .")]
    kept = [one for one in kept if _IN_BRACKETS.fullmatch(one) is None] or kept
    if len(kept) > 1 and text[-1:].isalpha() and len(kept[-1].split()) > 2 and not _has_number(kept[-1]):
        return None  # a last sentence without its end was cut
    if any(_GIVES_UP.search(sentence) for sentence in kept[-3:]):
        return None
    for sentence in reversed(kept[-3:]):
        if _PLAN.search(sentence) or (_ORDER.match(sentence) and not _has_number(_ORDER.sub("", sentence))):
            return None
        if is_question(sentence):
            continue
        if _has_number(sentence):
            return in_sentence(sentence.rstrip(" ."))
        if _REFUSAL.search(sentence):
            return None
    return None

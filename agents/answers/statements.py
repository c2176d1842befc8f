"""The number that a statement states: `Room 2 has 5 chairs` states 5, `3 or 4` states none."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from agents.answers import numbers, units
from agents.answers import statement_words as patterns

_LEFT_OVER = re.compile(r"\s(?:left over|left|remaining|altogether|in total|in all|over)\W*$", re.IGNORECASE)


@lru_cache(maxsize=16)  # several steps divide the same text
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text; decimal points and initials end none."""
    parts, begins = [], 0
    for found in patterns.END.finditer(text):
        place = found.start()
        ends = place + (text[place] in ".!?")
        before, after = text[max(0, place - 1) : place], text[found.end() : found.end() + 1]
        if ends > place and (
            not before
            or before.isspace()
            or before == "."
            or (before.isdigit() and not ("A" <= after <= "Z" or after in "\"'("))
            or (text[place] == "." and patterns.NO_END.search(text, max(0, place - 8), ends))
        ):
            continue
        parts.append(text[begins:ends])
        begins = found.end()
    return tuple(part for part in (*parts, text[begins:]) if part.strip())


def _has_number(sentence: str) -> bool:
    return numbers.DIGIT.search(sentence) is not None or patterns.WORD_NUMBER.search(sentence) is not None


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
        if patterns.REFUSAL.search(sentence):
            return None
    return None


@lru_cache(maxsize=512)  # several steps look at the same sentence
def in_sentence(sentence: str) -> Fraction | None:
    """The one number that a sentence states."""
    if sentence.endswith("!") and sentence.count("!") == 1 and len(patterns.WORDS.findall(sentence)) > 2:
        sentence = sentence[:-1]  # `So the number was 84!` calls out
    bare = " ".join(patterns.PARENTHESIS.sub(" ", sentence).split()) if "(" in sentence else sentence
    bare = patterns.GIVEN.sub("", _without_lead(patterns.SURE_ENOUGH.sub("", bare.strip())))
    if not bare or patterns.PLAN.search(bare) or is_question(bare) or patterns.HYPOTHETICAL.search(bare):
        return None
    found = list(numbers.each(bare))
    if not found:
        return _in_words(bare)
    if bare.count("=") == 1 and patterns.UNSOLVED.search(bare):
        return None
    if (so := patterns.SO_MANY.search(bare)) is not None and (result := numbers.whole(so["value"])) is not None:
        return result  # `None are left, so 0.`
    if (rises := patterns.RISES.search(bare)) is not None and (result := numbers.whole(rises["value"])) is not None:
        return result
    if (more := patterns.MORE_THAN.search(bare)) is not None and (result := numbers.whole(more["value"])) is not None:
        return result
    if (had := patterns.CONSUMES.search(bare)) is not None and (result := numbers.whole(had["value"])) is not None:
        return result
    if (factors := patterns.FACTORS.match(bare)) is not None:
        return numbers.whole(factors["value"])  # `1001 = 7 × 11 × 13 is the smallest`
    if (rounds := patterns.ROUNDS.search(bare)) is not None and (result := numbers.whole(rounds["value"])) is not None:
        return result
    clause = bare.rpartition(";")[2]
    continues = patterns.COMPUTES.search(clause) or patterns.THEN.match(clause)
    if clause is not bare and continues and (result := in_sentence(clause.strip())) is not None:
        return result  # `Each of 3 boxes holds 7; 3 x 7 makes 21.`
    refused = patterns.REFUSAL.search(bare)
    if refused is not None:
        return None
    if "=" not in bare and (many := patterns.OF_SO_MANY.search(bare)) and patterns.SO.search(bare, many.end()) is None:
        if (count := patterns.COUNT_OF.search(bare)) is not None and not patterns.CHANCE.search(bare):
            return Fraction(count["count"])
        that_is = patterns.THAT_IS.search(bare, many.end())
        return None if that_is is None else numbers.whole(that_is["value"])
    if "=" not in bare and patterns.COMPOUND.search(bare) is not None:
        that_is = patterns.THAT_IS.search(bare)
        return None if that_is is None else numbers.whole(that_is["value"])
    found = [one for one in found if not patterns.NOT.search(bare[max(0, one[0] - 30) : one[0]])]
    found = [one for one in found if not patterns.REJECTED.match(bare, one[1])]
    named = [
        one
        for one in found
        # "bus 2" is a label, "takes the bus 2 hours" is none
        if patterns.TIME.match(bare, one[1]) or not patterns.LABELS.search(bare[max(0, one[0] - 20) : one[0]])
    ]
    named = [one for one in named if not patterns.ORDINAL.match(bare, one[1])] or named
    # "Step 3 of the proof" says nothing of 3; "page 3" may be an answer.
    found = named or [
        one
        for one in found
        if not (place := patterns.PLACE.search(bare[max(0, one[0] - 12) : one[0]]))
        or (one[1] == len(bare) and place.start())
    ]
    if not found:
        return None
    if (chosen := patterns.CHOSEN.search(bare)) is not None:
        return in_sentence(bare[chosen.end() :])
    aside = patterns.ASIDE.search(bare)
    if (
        aside is not None
        and patterns.WHICH_IS.search(bare) is None
        and (before := [one for one in found if one[1] <= aside.start()])
    ):
        that_is = patterns.THAT_IS.search(bare)
        if len({value for *_, value in before}) > 1 and that_is is not None:
            return numbers.whole(that_is["value"])  # `7 rows of 9 plants, i.e. 63 plants`
        bare, found = bare[: aside.start()], before
    if len(found) == 2 and found[1][2] == 100 * found[0][2] and bare[found[1][1] :].lstrip("\\ ").startswith("%"):
        del found[1]  # `3/8, or 37.5%` is one quantity
    if (
        len(found) == 2
        and (or_ := patterns.OR_ELSE.search(bare, found[0][1], found[1][0])) is not None
        and units.same(found[0][2], bare[found[0][1] :], found[1][2], bare[found[1][1] :])
    ):
        bare = bare[: or_.start()]
        del found[1]  # `2.5 hours, or 150 minutes` too
    values = {value for *_, value in found}
    if len(values) == 1:
        return None if all(_is_partial(bare, start, end) for start, end, _ in found) else found[0][2]
    turns = list(patterns.SO.finditer(bare))
    lead, colon, rest = bare.partition(": ")
    alone = ": " not in rest and ("=" in lead or not lead[-1:].isdigit()) and not patterns.HEDGE.search(bare)
    parts = [one[2] for one in found[1:]]
    if colon and len(parts) > 1 and found[0][1] <= len(lead) < found[1][0] and sum(parts) == found[0][2]:
        return found[0][2]  # `35 flowers: 10 yellow, 18 purple and 7 green`
    if colon and (count := patterns.THERE_ARE.search(lead)) is not None:
        value = numbers.whole(count["count"])
        if value is not None and value == sum(start >= len(lead) for start, *_ in found):
            return value  # `There are three such integers: 2, 4 and 6`
    if colon and alone and (result := numbers.whole(rest)) is not None:
        return result  # `n(n-1)/2 with n = 6: 15`
    if (sign := max(map(bare.rfind, patterns.RESULT_SIGNS))) >= 0:
        if turns and turns[-1].end() > sign and any(start >= turns[-1].end() for start, *_ in found):
            return in_sentence(bare[turns[-1].end() :])
        after = [one for one in found if one[0] > sign]
        if (equals := bare.find("=")) >= 0 and (patterns.OR.search(bare, equals) or patterns.EQUATIONS.search(bare)):
            return None
        return (
            after[0][2]
            if after and len({value for *_, value in after}) == 1 and not patterns.HEDGE.search(bare[sign:])
            else None
        )
    if patterns.HEDGE.search(patterns.BETWEEN_THEM.sub("", bare)):
        return None
    if (total := patterns.TOTAL_IS.search(bare)) is not None and (
        summed := numbers.whole(total["value"] or total["after"])
    ) is not None:
        return summed
    if (which := patterns.WHICH_IS.search(bare)) is not None and sum(end <= which.start() for _, end, _ in found) > 1:
        return numbers.whole(which["value"])
    if turns and (begins := numbers.whole(bare[: turns[0].start()].strip(" ,;"))) is not None:
        return begins  # `$30, leaving $120`
    ends = [one.end() for one in turns]
    if ends and any(start >= ends[-1] for start, *_ in found):
        return in_sentence(bare[ends[-1] :])
    kept = [
        one
        for one in found
        if patterns.VERB.search(lead_in := bare[max(0, one[0] - 40) : one[0]]) and patterns.AIM.search(lead_in) is None
    ]
    if len({value for *_, value in kept}) == 1:
        listed = patterns.LISTED.match(bare, kept[-1][1]) is not None or any(
            (found_and := patterns.AND_CLAUSE.search(bare[max(0, start - 20) : start])) is not None
            and (found_and.group().startswith("and") or patterns.IS_LEFT.match(bare, end))
            for start, end, value in found
            if start > kept[-1][1] and value != kept[-1][2]
        )
        return None if listed or _is_partial(bare, *kept[-1][:2]) else kept[-1][2]
    free = [one for one in found if not _is_governed(bare, one[0], one[1])]
    if len(free) == 1 and not patterns.OPERATES.search(bare) and not patterns.MONTH.search(bare):
        return None if _is_partial(bare, *free[0][:2]) else free[0][2]
    first, second = found[0], found[1]
    if patterns.EACH.fullmatch(bare[first[1] : second[0]]) is not None:
        return None  # `30 each, 90 total`
    if (
        first[0] <= 4
        and first in free
        and (behind := patterns.CLAUSE.match(bare, first[1])) is not None
        and behind.end() <= second[0]
    ):
        return None if _in_range(bare, *first[:2]) else first[2]
    return None


def _without_lead(bare: str) -> str:
    """A sentence without the reason or the circumstances at its beginning."""
    shorter = patterns.SINCE.sub("", bare)
    return patterns.BESIDES.sub("", shorter) if patterns.OF_SO_MANY.match(shorter) is None else shorter


def is_question(sentence: str) -> bool:
    """Whether a sentence asks, such as `Is it 60?`."""
    return sentence.rstrip(" *.").endswith(("?", "？")) and patterns.ASKS.match(sentence) is not None


def _is_governed(bare: str, start: int, end: int) -> bool:
    """Whether a number only tells of circumstances: `in 5 hours`, `at 60 mph`."""
    before = bare[max(0, start - 30) : start]
    if patterns.GOVERNED.search(before) is not None or patterns.NAME_BEFORE.search(before) is not None:
        return True
    return patterns.FOR_SO_LONG.search(before) is not None and patterns.TIME.match(bare, end) is not None


def _is_partial(bare: str, start: int, end: int) -> bool:
    """Whether a number is a bound, an end of a range, or the first part of a longer term."""
    return (
        patterns.TERM_BEFORE.search(bare, 0, start) is not None
        or _bound(bare, start)
        or _open_ended(bare, end)
        or _goes_on(bare, end)
        or _in_range(bare, start, end)
    )


def _in_range(bare: str, start: int, end: int) -> bool:
    """`42-45` names a range, neither of its ends; a minus sign with an equation behind it was read before."""
    return (
        patterns.RANGE_AFTER.match(bare, end) is not None
        or patterns.RANGE_BEFORE.search(bare[max(0, start - 8) : start]) is not None
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
            r"least)\b|(?:max(?:imum)?|minimum)\b|\+(?!\s?[\w(]))",
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
    if patterns.REFUSAL.search(bare) or patterns.HEDGE.search(bare):
        return None
    if (many := patterns.SO_MANY_OF.match(bare)) is not None and (value := numbers.in_words(many["count"])) is not None:
        return value  # `Exactly three of the numbers are odd`
    words = _LEFT_OVER.sub("", bare).split()
    for start in range(max(0, len(words) - 6), len(words)):
        part = words[start + 1].lower().strip(".,") if start + 1 < len(words) else "half"
        if words[start].lower() in ("a", "an", "one") and part not in patterns.AFTER_ONE:
            continue
        value = numbers.in_words(" ".join(words[start:]))
        if value is not None:
            before = " ".join(words[:start]) + " "
            return value if patterns.VERB.search(before) or patterns.NO_VERB.search(before) is None else None
    return None


def conclusion(text: str) -> Fraction | None:
    """The number that a reply without any marker ends with: stated by its last sentence with a number.

    A long text that breaks off in mid-sentence was cut and concludes nothing.
    """
    text = text.rstrip()
    if (check := patterns.CHECK.search(text)) is not None and _has_number(text[: check.start()]):
        text = text[: check.start()].rstrip()
    lines = text.rsplit("\n", 2)
    last = lines[-1]
    if (
        len(lines) > 1
        and patterns.ITEM.match(last)
        and patterns.ITEM.match(lines[-2])
        and not patterns.TOTALS.search(last)
    ):
        return None  # the last of several things that are listed
    if len(text) > 300 and text[-1:].isalpha() and not re.search(r"\d\s?[^\W\d]{1,20}$", last):
        return None
    kept = [one for line in text[-2_000:].split("\n") for one in sentences(line) if one.strip(" .")]
    kept = [one for one in kept if patterns.IN_BRACKETS.fullmatch(one) is None] or kept
    if len(kept) > 1 and text[-1:].isalpha() and len(kept[-1].split()) > 2 and not _has_number(kept[-1]):
        return None  # a last sentence without its end was cut
    if any(patterns.GIVES_UP.search(sentence) for sentence in kept[-3:]):
        return None
    for sentence in reversed(kept[-3:]):
        if patterns.PLAN.search(sentence) or (
            patterns.ORDER.match(sentence) and not _has_number(patterns.ORDER.sub("", sentence))
        ):
            return None
        if is_question(sentence):
            continue
        if _has_number(sentence):
            return in_sentence(sentence.rstrip(" ."))
        if patterns.REFUSAL.search(sentence):
            return None
    return None

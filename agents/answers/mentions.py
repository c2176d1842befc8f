"""Labels within sentences: which option a text names, rejects, or calls right in a table of verdicts."""

from __future__ import annotations

import re

from agents.answers.labels import AnswerOptions, is_word, label_of
from agents.answers.texts import plain
from agents.answers.undress import undress

BEFORE_NOT = re.compile(
    r"(?:\b(?:not|cannot|can't|couldn't|won't|wouldn't|doesn't|isn't|neither|nor|never|eliminate[sd]?|"
    r"exclude[sd]?|rule[sd]? out|ruling out|reject(?:s|"
    r"ed)?|rather than|instead of|unlike|than"
    r"|(?:every|any|all|each)\w*(?: \w+){0,2} (?:except|but)(?: for)?"
    r"|nicht|pas|no es|不是|не)(?:\s(?:option|choice|answer|be|necessarily|the|simply|just|correct))*|"
    r"\bwrong[ :]{1,3}(?:is\b)?)\W{0,4}$",
    re.IGNORECASE,
)
AFTER_NOT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:"
    r"(?:is|are|was|would be|can be|should be|seems|looks)\s(?:also |clearly |definitely |simply |therefore )?"
    r"(?:not\b|wrong|incorrect|false|ruled out|eliminated|out of the question)|"
    r"not (?:correct|right|true|accurate|applicable|possible|relevant|necessarily)|"
    r"isn't|aren't|wasn't|cannot be|can't be|can not be|be (?:ruled out|eliminated)|"
    r"(?:is|was) (?:a|the) (?:common |popular |tempting |classic )?(?:misconception|mistake|distractor|trap|"
    r"myth|error))\b",
    re.IGNORECASE,
)
_WRONG = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:[-–—:(]|->|→)\W{0,3}(?:incorrect|wrong|false|not (?:correct|right|true))\b", re.IGNORECASE
)
ALL_NOT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:(?:are|were) (?:both |all |also |clearly )?"
    r"(?:not\b|wrong|incorrect|false|ruled out|eliminated)|aren't|weren't|can(?:not| not|'t) (?:both )?be)\b",
    re.IGNORECASE,
)
"""Rejects all that were named together."""
RIGHT = re.compile(
    r"[\s)\]*\"'.]{0,4}(?:is|was|must be|has to be)(?: clearly| therefore| thus| indeed)? (?:the )?"
    r"(?:(?:only |best |most )?(?:right|correct|answer|accurate|true|appropriate)\b|"
    r"(?:only|best|remaining|correct) (?:\w+ )?(?:option|choice|one|possibility|candidate|left|remaining)\b|"
    r"better\b|(?:more|most) (?:likely|plausible|fitting|reasonable|suitable|consistent)\b)|"
    r"[\s)\]*\"'.]{0,4}(?:makes? (?:the )?most sense|(?:fits|works|matches|seems) (?:the )?best)\b",
    re.IGNORECASE,
)
_TURNED_DOWN = re.compile(
    r"\b(?:eliminate[sd]?|exclude[sd]?|rul(?:e[sd]?|ing) out|reject(?:s|ed)?|neither|nor|not either)\b", re.IGNORECASE
)
_VERDICT = re.compile(
    r"\W{0,6}[:：—–-]{0,2}\W{0,4}(?P<verdict>yes|true|correct|right|no|false|incorrect|wrong|not correct|"
    r"not true)?"
    r"(?:\W{0,6}|\W{0,3}(?:[–—,.;:(]|\s-)(?P<reason>.{1,300}))",
    re.IGNORECASE,
)
_PAIR = re.compile(
    r"[\"'](?P<label>[^\"'\n]{1,12})[\"']\s?:\s?[\"']?(?P<verdict>true|false|yes|no|correct|incorrect)\b", re.IGNORECASE
)
_TICKED = re.compile(r"\s*[-*•]?\s*\[[xX✓]\]\s*(?P<rest>\S.*)")
_OPEN = re.compile(r"\s*[-*•]?\s*\[ \]\s*(?P<rest>\S.*)")
_RULE = re.compile(r"[|\s:-]+")
LINK = re.compile(
    r"\s*(?:[,;/&]|\bor\b|\band\b|\band/or\b|\boder\b|\bund\b|\bou\b|\bet\b|\by\b|\bo\b|или|и|或|和|"
    r"、)\s*(?:maybe |perhaps |possibly |even |also )?(?:option |choice )?|\s*\((?:or|and)\s+(?:maybe |perhaps |"
    r"possibly |even |also )?",
    re.IGNORECASE,
)
_NO_LABEL = re.compile(
    r"\b(?:vitamins?|hepatitis|grade|appendix|schedule|h(?:a)?emophilia|influenza|blood type|plan|serie|group|"
    r"bus|gate)\s$",
    re.IGNORECASE,
)
"""`vitamin C` is no option."""
_CHOOSES = re.compile(
    r"(?:^|\b(?:choose|chose|pick|picked|select|selected|is|be|say|with|option|answer|choice|number|guess|"
    r"therefore|so)|[:#=])"
    r"\W{0,4}$",
    re.IGNORECASE,
)
"""What stands before a label that is a number, which anything else may be in a sentence."""
_ENDS = re.compile(r"[.!?:\n]\s")
_TOGETHER = re.compile(
    r"\W*(?:(?:maybe|perhaps|possibly|even|also|and|or|and/or|oder|und|ou|et|y|o|или|и|或|和|either|option|"
    r"choice)\W*){0,3}",
    re.IGNORECASE,
)


NAMED, REJECTED = "named", "rejected"


def mentioned(bare: str, options: AnswerOptions, last: bool) -> tuple[str | None, str]:
    """(the one label that a text names without rejecting it, NAMED, REJECTED or nothing). `last`: of several
    that are named one after the other the last one counts."""
    named: list[tuple[int, int, str]] = []
    rejected = False
    texts = dict(options.texts)
    run = listed = 0
    before, out, strongly = -1, False, False
    for match in options.mention.finditer(bare):
        label = label_of(match, options)
        if label is None or is_word(match, bare):
            continue
        start, end = match.span()
        if match["c"] and _NO_LABEL.search(bare[max(0, start - 16) : start]):
            continue
        if match["c"] and label.isdigit() and not _names_number(bare, start, end) and not RIGHT.match(bare, end):
            continue
        link = bare[before:start] if before >= 0 else ""
        together = (
            before >= 0 and 0 < len(link) < 25 and _TOGETHER.fullmatch(link) is not None and not _ENDS.search(link)
        )
        begins = _begins(bare, start, texts[label])
        turned = BEFORE_NOT.search(bare[max(0, begins - 40) : begins])
        # "not A or B" rejects both, "not A, B" only A; "I eliminate A, B" both.
        out = turned is not None or (together and out and (strongly or any(c.isalpha() for c in link)))
        strongly = (turned is not None and _TURNED_DOWN.search(turned.group()) is not None) or (strongly and out)
        if together and ALL_NOT.match(bare, end):
            del named[len(named) - run :]
            run, rejected, before = 0, True, end
            continue
        asked = bare[end : end + 2].strip(" *").startswith(("?", "？")) and len(bare) > end + 3
        behind = past_text(bare, end, texts[label])
        if (
            out
            or asked
            or AFTER_NOT.match(bare, end)
            or AFTER_NOT.match(bare, behind)
            or _called_wrong(bare, end, texts[label])
        ):
            rejected, run = True, 0
        else:
            run = run + 1 if together else 1
            named.append((start, end, label))
            listed += plain(bare[end : end + len(texts[label]) + 4]).startswith(plain(texts[label]))
        before = end
    if len(named) == listed == len(options.texts) > 2:
        return None, NAMED  # the options repeated
    distinct = list(dict.fromkeys(label for *_, label in named))
    right = list(dict.fromkeys(label for _, end, label in named if _is_right(bare, end, texts[label])))
    if len(distinct) > 1 and len(right) == 1 and not last:
        return right[0], NAMED
    if len(distinct) == 1:
        return distinct[0], NAMED
    if not distinct:
        return None, REJECTED if rejected else ""
    if not last:
        return None, NAMED
    between = bare[named[-2][1] : named[-1][0]]
    differ = named[-2][2] != named[-1][2]
    return (None if differ and len(between) < 25 and _TOGETHER.fullmatch(between) else named[-1][2]), NAMED


def past_text(bare: str, end: int, text: str) -> int:
    """Where a sentence goes on behind a label and its option's text in brackets: `A (Paris) is wrong`."""
    place = bare.find("(", end, end + 2)
    if place < 0 or not text or bare[place + 1 : place + 1 + len(text)].casefold() != text.casefold():
        return end
    closes = place + 1 + len(text)
    return closes + 1 if bare[closes : closes + 1] == ")" else end


def _is_right(bare: str, end: int, text: str) -> bool:
    return RIGHT.match(bare, end) is not None or RIGHT.match(bare, past_text(bare, end, text)) is not None


def _called_wrong(bare: str, end: int, text: str) -> bool:
    """Whether a label, with its option's text or without it, is followed by a verdict: `D. Golgi - Incorrect`."""
    place = bare.casefold().find(text.casefold(), end, end + len(text) + 6) if text else -1
    return _WRONG.match(bare, place + len(text) if place >= 0 else end) is not None


def _begins(bare: str, start: int, text: str) -> int:
    """Where a mention begins: at the option's own text, if that stands in front of its label, as in `Venus (B)`."""
    before = bare[:start].rstrip(" (*")
    return len(before) - len(text) if text and before.casefold().endswith(text.casefold()) else start


def _names_number(bare: str, start: int, end: int) -> bool:
    """Whether a number in a text is a label: chosen by a verb and no amount of what follows, `2` and not `2 cats`."""
    after = re.match(r"\s*(?:[^\w\s]|$|(?:because|since|as|and|or|is|not|nor|but)\b)", bare[end:])
    return after is not None and (
        _CHOOSES.search(bare[max(0, start - 20) : start]) is not None
        or LINK.search(bare[max(0, start - 12) : start]) is not None
    )


def _rows(text: str) -> list[str]:
    """The lines of a text; rows of a table, of a list of boxes to tick, or of a JSON object as lines."""
    if text.lstrip("` \njson").startswith("{") and _PAIR.search(text):
        return [f"{found['label']}: {found['verdict']}" for found in _PAIR.finditer(text)]
    return [
        _TICKED.sub(r"\g<rest> ✓", _OPEN.sub(r"\g<rest> ✗", " - ".join(line.strip("| ").split("|"))))
        if "|" in line or "[" in line
        else line
        for line in text.split("\n")
        if not _RULE.fullmatch(line)
    ]


def verdicts(text: str, options: AnswerOptions) -> list[str] | None:
    """The labels that a table of verdicts calls right, such as `A: no`, `B: yes`; None where a text is none. Lines
    without a label may stand before it, unless they name an option."""
    right, lines = [], 0
    for line in _rows(text[:2_000]):
        bare = undress(line).strip("-•* ")
        lead = options.leading.match(bare) if bare else None
        if lead is None:
            if bare and (lines or mentioned(bare, options, True)[1]):
                return None
            continue
        rest = bare[lead.end() :] + (line[-2:] if not line[-2:].isascii() else "")
        label = options.by_label[lead["label"].casefold()]
        found = _VERDICT.fullmatch(rest.replace(dict(options.texts)[label], " ", 1))
        marks = any(sign in rest for sign in "✓✔✅☑"), any(sign in rest for sign in "✗✘❌✖")
        if found is None or (found["verdict"] is None and sum(marks) != 1):
            return None
        lines += 1
        if marks[0] or (found["verdict"] or "").lower() in ("yes", "true", "correct", "right"):
            right.append(label)
    return right if lines > 1 else None

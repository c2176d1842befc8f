"""What a reply without any marker concludes: the option or the yes or no of its last sentences."""

from __future__ import annotations

import re

from agents.answers import statements
from agents.answers.choices import choice_in, exactly, have_values, named_wholly, of_value, undecided
from agents.answers.guarded import words_of
from agents.answers.labels import AnswerOptions, Choices, prepared
from agents.answers.mathematics import mathematics
from agents.answers.mentions import mentioned, verdicts
from agents.answers.texts import is_unsure
from agents.answers.undress import undress
from agents.answers.yesno import both_ways, is_determiner, yesno

SHORT = 20
"""Characters of a line that can be yes or no and nothing else."""

_BEGINS = re.compile(
    r"\W{0,4}(?:(?P<plain>yes|no|true|false)\b(?=[\s.,:;!*\"')—-]|$)(?! (?:or|and) )|"
    r"(?P<other>[^\W\d_]{1,12})[.,!。，！、](?=\s|[^\x00-\x7f]|$))",
    re.IGNORECASE,
)
_ANSWERS = re.compile(r"\W{0,4}(?:yes|no)\s?[,.;:!—–]", re.IGNORECASE)
_ONLY = re.compile(r"(?:\W*(?:yes|no|true|false)\b){3,60}\W*", re.IGNORECASE)
_TRUTHS = frozenset(("yes", "no", "true", "false"))
_BECAUSE = re.compile(r",?\s(?:because|since|given that|as)\s(?:(?![.!?]\s)[^\n])*$", re.IGNORECASE)
"""The reason at the end of a sentence, which may name other options."""
_LEAVES = re.compile(
    r"\W*(?:(?:so |thus |hence |therefore |which |this |that |we(?:'re| are) )?,?\s?(?:leaves?|left with)(?: us with)?"
    r"(?: only| just)?|"
    r"(?:so|thus|hence|therefore),? (?:it|this|that|the answer)(?:'s| is| must be| has to be))\s(?P<value>.{1,200})",
    re.IGNORECASE,
)
_DECIDES = re.compile(
    r"\b(?:so|thus|hence|therefore|answer|cho(?:ose|se|ice)|pick|select|go(?:ing)? with|correct|right|best|"
    r"better|must|settled|"
    r"reconsider\w*|actually|but|instead|final\w*|leaves|remains|eliminat\w*|rul(?:ed?|ing) out|conclude|yes|"
    r"it(?:'s| is))\b|=>|→|[^\x00-\u024f]",
    re.IGNORECASE,
)
"""Without such a word a text that names several options has chosen none."""
_PLAN = re.compile(r"\W{0,4}(?:let|suppose|assume|consider)\b", re.IGNORECASE)
"""What a text looks at and has not chosen: `Let's consider a tariff.`"""
_SAYS_RIGHT = re.compile(
    r"(?<!not )(?:\b(?:this|that|it|which)(?: one)? is (?:clearly |therefore |thus |indeed )?(?:the )?"
    r"(?:only |best |most )?(?:correct|right|accurate|best)\b|[✓✔✅☑])",
    re.IGNORECASE,
)
_FINALLY = re.compile(
    r"^\W{0,4}(?:so|therefore|thus|hence|in conclusion|overall|finally|consequently|this leaves|因此|所以|"
    r"daher|somit|donc|por lo tanto|следовательно|итак)\b|∴",
    re.IGNORECASE,
)
_ENDED = re.compile(r"(?:[.!。！][\"'*$)\]`]{0,4}|\$|\\\]|\*\*)\s*\Z")
"""How the last sentence of a long reply begins and ends that concludes by an option's words or value alone."""
_TURNS = re.compile(r"\b(?:wait|actually|sorry|oops|correction|hold on|scratch that|i mean)\b|\.\.|…", re.IGNORECASE)
_CONCLUDES = re.compile(
    r"\W*(?:so|therefore|thus|hence|actually|wait|correction|overall|in conclusion|(?:the|my) (?:final )?answer)\b|"
    r"\W*(?:yes|no|true|false)\W*$",
    re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$?(?!\\text|\\boxed|[\d.,]{1,20}\s)[^$\n\\^]{0,200}[\\^][^$\n]{2,400}(?:\$\$?|$)")
"""A letter in a formula is no label."""
_COMPLETE = re.compile(r"[.!?:。！？)\]}\"'*`$>»”’…|]\s*\Z")


def cut_off(text: str) -> bool:
    """Whether a text breaks off within a formula, or a long one in the middle of a sentence: it concludes nothing."""
    if "\\begin{" in text and text.count("\\begin{") > text.count("\\end{"):
        return True  # within a formula
    return len(text) > 300 and _COMPLETE.search(text) is None and len(text.rsplit("\n", 1)[-1]) > 40


def choice(text: str, choices: Choices) -> str | None:
    """The option that a reply without a marker concludes."""
    options = prepared(tuple(choices.items()))
    if (right := verdicts(text[-2_000:], options)) is not None:
        return right[0] if len(right) == 1 else None
    last_line = text.rsplit("\n", 1)[-1]
    if last_line != text and len(last_line) <= 200 and _FINALLY.search(last_line):
        label = None if undecided(last_line) else choice_in(last_line, choices)
        if label is not None or mentioned(undress(last_line), options, False)[1]:
            return label  # `Hence option B.` decides, and so does `Hence B or C.`
    if (label := _last_line(text, choices, options)) is not None:
        return label
    if (listed := _behind_listing(text, options)) is not None:
        right_one, text = listed
        if right_one is not None or not text.strip():
            return right_one
    if len(text) <= 200:
        because = _BECAUSE.sub("", text)
        if because != text and (found := choice_in(because, choices)) is not None:
            return found
        if _PLAN.match(text) and _DECIDES.search(text) is None and choice_in(text, choices, last=True) is None:
            return None
        open_ = undecided(text) and not any("none" in one.casefold() for one in choices.values())
        if open_ or (found := choice_in(text, choices)) is not None or _DECIDES.search(text) is None:
            return None if open_ else found or _of_value(text, choices)
        named = choice_in(text, choices, last=True)
        left = next((one for part in statements.sentences(text)[-1:] if (one := _left(part, options))), None)
        return named or left or _of_value(text, choices)
    parts = statements.sentences(text[-3_000:].replace("\n", " . "))
    for sentence in reversed(parts[-3:]):
        if len(sentence) > 600 or len(sentence.strip(" .*")) < 1:
            continue
        label = choice_in(_FORMULA.sub(" ", sentence).strip(), choices, last=True) or _left(sentence, options)
        if label is not None:
            return label
        if is_unsure(sentence):
            return None
    last = parts[-1] if parts else ""
    if len(last) > 400 or undecided(last) or not (_FINALLY.search(last) and _ENDED.search(last)):
        return None
    return choice_in(last.strip(), choices) or _of_value(last, choices)


def _behind_listing(text: str, options: AnswerOptions) -> tuple[str | None, str] | None:
    """(the option that a text calls right while it goes through them line by line, what it says behind the last); None
    where it does not go through three or more."""
    if text.count("\n") < 2:
        return None
    lines = [line for line in text[-4_000:].split("\n") if line.strip()]
    leads = [options.leading.match(undress(line).strip("-•*# ")) for line in lines]
    places = [place for place, lead in enumerate(leads) if lead is not None]
    labels = [options.by_label[lead["label"].casefold()] for lead in leads if lead is not None]
    if len(labels) < 3 or len(set(labels)) < len(labels):
        return None
    ends = [*places[1:], places[-1] + 1]
    right = [
        label
        for label, begin, end in zip(labels, places, ends, strict=True)
        if _SAYS_RIGHT.search(" ".join(lines[begin:end]))
    ]
    rest = "\n".join(lines[places[-1] + 1 :])
    return (right[0] if len(right) == 1 and not rest else None), rest


def _last_line(text: str, choices: Choices, options: AnswerOptions) -> str | None:
    """The option that the last line is, where the line before it is none of the list of options."""
    lines = [line for line in text[-1_000:].split("\n") if line.strip()]
    if len(lines) < 2 or len(lines[-1]) > 200 or exactly(lines[-2], choices) is not None:
        return None
    listed = options.leading.match(undress(lines[-2]).strip("-•* "))
    return exactly(lines[-1], choices) if listed is None else None


def _of_value(sentence: str, choices: Choices) -> str | None:
    """The option whose value a sentence states, such as `The probability is $\\frac{2}{3}$.`"""
    sentence = sentence.rsplit("\n", 1)[-1]
    if len(sentence) > 400 or not have_values(choices) or not any(c.isdigit() or c == "\\" for c in sentence):
        return None
    key = mathematics(sentence, "expression")
    return None if key is None else of_value(key, choices)


def _left(sentence: str, options: AnswerOptions) -> str | None:
    """The option whose text a last sentence ends with and nothing else: `That leaves London.`"""
    found = _LEAVES.fullmatch(undress(sentence))
    return None if found is None else named_wholly(found["value"], options)


def word(text: str) -> str | None:
    """Yes or no without a marker: the word that a reply begins with, unless a later sentence concludes otherwise."""
    lines = text.split("\n")
    if len(lines) > 2 and all(len(line) < SHORT for line in lines):
        words = {yesno(line) for line in text[-2_000:].split("\n") if line.strip()}
        if len(words - {None}) > 1:
            return None  # yes, no, yes, no, ...
    if both_ways(text) or _says_both(text):
        return None
    begins = _BEGINS.match(text)
    first = None if begins is None or is_determiner(text) else yesno(begins["plain"] or begins["other"])
    parts = _last_two(text)
    for sentence in reversed(parts):
        word = yesno(sentence, last=True)
        if word is None:
            continue
        if first is not None and first != word and len(parts) == 1 and _ANSWERS.match(sentence):
            return word if _TURNS.search(sentence) else first
        if first is not None and len(parts) > 1 and first != word and not _CONCLUDES.match(sentence):
            return None if _ANSWERS.match(sentence) else first
        return word
    return first


def _says_both(text: str) -> bool:
    """Whether a text is nothing but such words, and not all the same: `yes no yes`."""
    words = words_of(text)
    return len(words) > 1 and words <= _TRUTHS and _ONLY.fullmatch(text) is not None


def _last_two(text: str) -> list[str]:
    """The last two sentences of a text that are no questions."""
    found: list[str] = []
    for line in reversed(text[-2_000:].split("\n")):
        for one in reversed(statements.sentences(line)):
            if one.strip(" .") and not one.rstrip(" .").endswith(("?", "？")):
                found.insert(0, one)
                if len(found) == 2:
                    return found
    return found

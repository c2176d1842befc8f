"""What a reply answers, read as a person reads it: as written, and as the key by which answers are compared.

In this order: thoughts are set aside; JSON with an answer; the last marker with content (`Answer:`, a heading, a box,
a tag, "the answer is"), where the content must be an answer of the question's kind; without any marker what the reply
plainly concludes. A reply that names two answers, hedges, refuses or was cut off has none.

Every step looks at no more than the first and last `WINDOW` characters and is linear in them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from agents.answers import bare_numbers, code, conclusions, markers, naming, statements, texts
from agents.answers.choices import choice_in, exactly
from agents.answers.closings import without_closings
from agents.answers.corrections import corrected, taken_back, withdrawn
from agents.answers.denials import undenied
from agents.answers.expressions import expression, looks_mathematical
from agents.answers.guarded import word_set
from agents.answers.labels import Choices
from agents.answers.markers import Marked
from agents.answers.mathematics import concluded, items, mathematics
from agents.answers.numbers import whole, written
from agents.answers.texts import text_key
from agents.answers.undress import ANSWER_LIMIT, undress, without_end_marks
from agents.answers.yesno import yesno
from agents.question import AnswerKind, Question
from reasoning.text import separate

WINDOW = 50_000
SETTLES = 6
"""Readings after which the key of odd punctuation is its own key, or there is none."""
_TRUTHS = {"0": "no", "1": "yes"}
"""What a field of JSON holds where a truth is asked for."""
BARE = 20
"""Characters of a reply that can be an option or yes and nothing else."""
WRITTEN = 200
"""Characters of an answer as written that are kept."""

_CONFIDENCE_LINE = re.compile(r"^[ \t*_#>(-]{0,8}(?:my )?confidence\b[^\n]*", re.IGNORECASE | re.MULTILINE)
_REASON = re.compile(
    r"[,;]? (?:because|since|as|which|so|given that|due to|weil|parce que|porque)\b.*$|"
    r"(?<=[^\s.][.!?])\s+(?=[A-Z\"'(]).*$",
    re.DOTALL,
)
_OWN_WORDS = re.compile(
    r"\b(?:helpful|helps?|useful|clear|below|above|follows|following|clarif\w+|satisfactory)\b", re.IGNORECASE
)
_OPEN_END = word_set(
    "and or but so then because that the an of to we is are with in for by at from if which who whose where "
    "while when than into its their our your his my between using about get obtain be equals has have give "
    "gives"
)
"""Words that a reply does not end with unless it was cut."""
_WITHOUT_END = re.compile(r"-?\d[\d.e+-]{0,40}…")
"""The key of an irrational number."""
_ABOUT = re.compile(r"(?:≈|\\approx|≃|\\simeq)\s?(?P<value>[^≈=]{1,60})$")
_TURNS = re.compile(
    r"\W{0,4}(?:or|but|no|not|wait|actually|however|although|maybe|perhaps|alternatively|sorry|oops|hmm?|both|neither|[^\W\d_]{1,3}[.)])\b",
    re.IGNORECASE,
)
"""How a sentence begins that may take back the one before it."""
_SYMBOLS = re.compile(
    r"(?!oo\b|i…|e[-+]?\d|[0-9a-f]{1,60}_\d)(?<![0-9a-z])[^\W\d_]|[*^<>≈\[]|(?<=\d)(?!i…|e[-+]?\d|"
    r"[0-9a-f]{0,60}_\d)[^\W\d_]"
)
"""What a key has that is no number: symbols, relations, lists in order."""
_DECIMAL_POINT = re.compile(r"(?<![\d.])\d{1,9}\.(?:\d{1,2}|\d{4,9})(?![\d.])|(?<![\d.])0\.\d")
_GROUPED = re.compile(r"(?<![\d.,])([1-9]\d{0,2})\.(\d{3})(?!\d|[.,]\d)")
"""`1.500` behind a marker of a language with decimal commas, in a reply that writes no decimal point."""
_COMMA_LANGUAGE = re.compile(
    r"\b(?:es|è|é|resultado|risultato|der|das|und|ist|sind|beträgt|insgesamt|zahlt|kostet|jede[rsn]?|el|los|las|"
    r"una|cuesta|cuestan|uma|custa|são|"
    r"il|sono|gli|costa|het|een|zijn|yang|adalah|jadi|toplam|olur)\b",
    re.IGNORECASE,
)
"""Words of languages with decimal commas; two of them tell the language."""
_A = re.compile(r"^(?:A|Ans|Output|Result|Solution)\s?:\s+(?=\S)")
"""`A: Tokyo`, as in a dialogue of questions and answers, and `Output: Tokyo`."""
_ITEM = re.compile(r"^[ \t]{0,8}\(?\d{1,2}[.)][ \t]+(?=\S)")
"""The number of a step or an item of a list, which is no number of the reply."""
_CORRECTED = ("number", "choice", "yesno", "text")
_NOT_SURE_BUT = re.compile(
    r"^\W*(?:i['’]m|i am) not (?:entirely |completely |100% |totally |fully )?(?:sure|certain),? but\s", re.IGNORECASE
)
_SET_APART = re.compile(
    r"\*\*(?P<bold>[^*\n]{1,200})\*\*(?:[,;(–—]|\s[(–—-])|[\"“](?P<quoted>[^\"“”\n]{1,200})[\"”]\s?\("
)
"""`**Jupiter**, the largest planet`, `"saas" (without the quotation marks)`: what is set apart is the answer."""


@dataclass(frozen=True, slots=True)
class Found:
    """An answer: `key` is equal for equal answers, `written` is what stood in the reply."""

    key: str
    written: str


def read(text: str, question: Question) -> Found | None:
    """The answer that a reply gives to a question, or None where it gives none."""
    separated = separate(text if len(text) <= 4 * WINDOW else _ends(text))
    if separated.cut and not separated.reply:
        return None
    return read_reply(separated.reply, question)


def read_reply(text: str, question: Question, *, cut: bool = False) -> Found | None:
    """As `read`, for a reply whose thoughts were set aside already. `cut`: its token limit ended it, so that only an
    answer behind a marker is one."""
    kind: AnswerKind = "choice" if question.choices else question.kind
    ends = without_end_marks(_ends(text))
    if kind == "code":
        return _code(ends)
    ends = ends.strip()
    if not ends:
        return None
    value, is_json = markers.json_field(ends)
    if is_json:
        if value is None:
            return None
        value = _TRUTHS.get(value, value) if kind == "yesno" else value
        found = content(value, kind, question.choices)
        return found or (_marked(value, kind, question)[0] if len(value) > 1 else None)
    for part in markers.without_run_on(ends):
        found, marked = _marked(part, kind, question)
        if marked:
            return found
        if len(part) <= 3 * BARE and part is not ends and (short := content(part.strip(), kind, question.choices)):
            return short  # a bare answer before the next question that the model invented
    if markers.ends_empty(ends):
        return None
    ends = without_closings(ends)
    if kind == "choice" and (label := exactly(bare_numbers.before_reasons(ends[:WRITTEN]), question.choices or {})):
        return Found(label, label)
    bare = kind in ("choice", "yesno") and len(ends) <= BARE  # asked for one token, a model writes `B`
    if not bare and (cut or _breaks_off(ends)):
        return None
    return _unmarked(_CONFIDENCE_LINE.sub("", ends).strip() if "onfidence" in ends else ends, kind, question)


def _breaks_off(text: str) -> bool:
    """Whether a reply ends with what none ends with unless it was cut."""
    last = text[-1:]
    if last.isalpha():
        tail = text[-12:]
        return tail[max(map(tail.rfind, " \n(,.:;*")) + 1 :] in _OPEN_END
    return last in "=≈:：" or (last in ",;" and (text[-2:-1].isalnum() or text[-2:-1] in "_)]"))


def _ends(text: str) -> str:
    return text if len(text) <= 2 * WINDOW else text[:WINDOW] + "\n" + text[-WINDOW:]


def _marked(text: str, kind: AnswerKind, question: Question) -> tuple[Found | None, bool]:
    """(the answer behind the last marker that says something, whether there was any)."""
    seen: Iterable[Marked] = markers.from_the_end(text, options=kind == "choice")
    if kind in ("text", "open"):
        # A sentence such as "this answer is short" is no answer where a marked line gives one.
        seen = list(seen)
        seen = [one for one in seen if one.strong] or seen
    says = False
    for one in seen:
        if kind in ("set", "list") and not one.box and (listed := items(text, text.find(one.content, one.start))):
            one = replace(one, content=listed)
        if kind == "number" and one.comma and not _DECIMAL_POINT.search(text):
            one = replace(one, content=_GROUPED.sub(r"\1\2", one.content))
        found = _within(one, kind, question)
        if found is not None:
            return _kept(found, text, one, kind, question), True
        if not _vague(one.content):
            if one.strong:
                return None, True
            says = True
    return None, says


def _kept(found: Found, text: str, one: Marked, kind: AnswerKind, question: Question) -> Found | None:
    """The answer behind the last marker, unless the reply takes it back later."""
    place = text.find(one.content, one.start)
    if kind in ("code", "open") or place < 0:
        return found
    rest = taken_back(text, place + len(one.content))
    return found if rest is None else _unmarked(rest.strip(" ,.:;!-\n"), kind, question) if rest.strip() else None


def _vague(text: str) -> bool:
    """Words about an answer, such as "is given below", are none: the marker before them counts."""
    return _OWN_WORDS.search(text) is not None and not any(c.isdigit() for c in text)


def _within(one: Marked, kind: AnswerKind, question: Question) -> Found | None:
    bare = markers.without_confidence(one.content)
    later = corrected(bare, kind in ("text", "open"), kind != "yesno" and _no_corrects(question))
    if later is not None:
        found = _within(replace(one, content=later), kind, question)
        if found is not None or withdrawn(later):
            return found
    if kind in ("text", "open") and (first := _SET_APART.match(bare)) is not None:
        bare = first["bold"] or first["quoted"]
    if kind in ("text", "open") and not one.strong:
        if _OWN_WORDS.search(bare):
            return None
        if kind == "text" and (back := taken_back(bare, 0)) and back.strip():
            return _unmarked(back.strip(), kind, question)
        bare = _REASON.sub("", bare)
    inner = next(markers.from_the_end(bare), None) if not one.box and markers.may_hold(bare) else None
    if inner is not None and (found := _within(inner, kind, question)) is not None:
        return found
    if kind == "choice" and not one.box and ". " in bare:
        found = content(bare, kind, question.choices)
        statement, _, rest = bare.partition(". ")
        if found is None and _TURNS.match(rest) is None:
            found = content(statement, kind, question.choices)  # `Jupiter (A). Saturn (B) is only second.`
        return found
    if kind == "text":
        bare = naming.named(bare, question.question)
    return content(bare, kind, question.choices)


def content(text: str, kind: AnswerKind, choices: Choices | None = None) -> Found | None:
    """The answer that a short text gives: what stands behind a marker, in a field of JSON, in a table."""
    text = text[:ANSWER_LIMIT]
    key = key_of(text, kind, choices)
    if key is None:
        return None
    return Found(key, _written(text, key, kind))


def _written(text: str, key: str, kind: AnswerKind) -> str:
    if kind in ("choice", "yesno"):
        return key
    bare = " ".join(text.strip().strip("*`").split())
    bare = bare.removesuffix(".").strip("*` ") or bare
    return bare if len(bare) <= WRITTEN else bare[: WRITTEN - 3] + "..."


def key_of(text: str, kind: AnswerKind, choices: Choices | None = None) -> str | None:
    """The key of what a short text answers; None where that is no answer of this kind. A key is its own key."""
    if kind == "choice":
        return choice_in(text, choices or {})
    if kind == "yesno":
        return yesno(text)
    if kind == "code":
        return code.code_key(text)
    for _ in range(SETTLES):
        key = _once(text, kind)
        if key is None or key == text:
            return key
        text = key
    return None


def _once(text: str, kind: AnswerKind) -> str | None:
    if kind == "number":
        return text if _WITHOUT_END.fullmatch(text) else _number(text)
    return _mathematics(text, kind) if kind in ("expression", "set", "list") else _text(text, kind)


def _mathematics(text: str, kind: AnswerKind) -> str | None:
    key = mathematics(text, kind)
    return None if key is None or (texts.is_unsure(text) and not any(c.isdigit() for c in key)) else key


def _text(text: str, kind: AnswerKind) -> str | None:
    if len(text) < texts.UNSURE_LIMIT and texts.is_unsure(text):
        return None
    return code.code_key(text) if text.lstrip().startswith("```") else text_key(text, kind != "text")


def _number(text: str) -> str | None:
    bare = undress(text)
    value = whole(bare)
    if (
        value is None
        and bare.endswith((")", ")."))
        and (aside := bare_numbers.NUMBER_ASIDE.fullmatch(bare)) is not None
    ):
        value = whole(aside["number"])  # `45 (15 x 3)`
    if value is not None:
        return written(value)
    if (aside := bare_numbers.EQUAL_ASIDE.fullmatch(bare)) is not None:
        key = expression(aside["value"], "number")
        if key is not None and key == expression(aside["aside"], "number"):
            return key  # `n = 120 (5!)` is no product
    if len(bare) <= 200 and looks_mathematical(bare) and not re.search(r"\b(?:or|oder|ou)\b", bare):
        key = expression(bare, "number")
        if key is not None and key.endswith("…") and (about := _ABOUT.search(bare)) is not None:
            value = whole(about["value"])  # `4π ≈ 12.57`
            return key if value is None else written(value)
        if key is not None or (bare.isascii() and not any(c.isspace() for c in bare)):
            return None if key is None or _SYMBOLS.search(key) else key
    value = statements.stated(bare)
    return None if value is None else written(value)


def _unmarked(text: str, kind: AnswerKind, question: Question) -> Found | None:
    if len(text) <= 600 and kind in _CORRECTED:
        later = corrected(text, kind == "text", kind != "yesno" and _no_corrects(question))
        if later is not None and any(c.isalnum() for c in later):
            found = _unmarked(later.strip(), kind, question)
            if found is not None or withdrawn(later):
                return found
        own = undenied(text) if kind != "text" else text
        if own is None:
            return None
        text = own
    text = _NOT_SURE_BUT.sub("", text)
    last = text.rsplit("\n", 1)[-1].strip()
    if kind == "number":
        if "." in text and not _DECIMAL_POINT.search(text) and len(set(_COMMA_LANGUAGE.findall(text))) > 1:
            text = _GROUPED.sub(r"\1\2", text)
        if "\n" not in text and (value := bare_numbers.bold(text)) is not None:
            return Found(written(value), written(value))
        if (
            len(text) <= ANSWER_LIMIT
            and "\n" not in text
            and not statements.are_several(text)
            and (key := _number(markers.without_confidence(text))) is not None
        ):
            return Found(key, _written(text, key, kind))
        value = whole(undress(last)) if len(last) < 60 else None
        if value is None:
            value = bare_numbers.first_line(text) if "\n" in text else None
        if value is None:
            value = bare_numbers.bold(last)
        if value is None:
            value = statements.conclusion(
                undress(markers.without_confidence(text[-800:])) if "\n" not in text else _lines(text)
            )
        return None if value is None else Found(written(value), written(value))
    if kind == "choice":
        label = None if conclusions.cut_off(text) else conclusions.choice(text, question.choices or {})
        return None if label is None else Found(label, label)
    if kind == "yesno":
        word = None if conclusions.cut_off(text) else conclusions.word(text)
        return None if word is None else Found(word, word)
    if kind in ("expression", "set", "list"):
        key = concluded(text, kind)
        key = None if key is None else key_of(key, kind)
        return None if key is None else Found(key, _written(last, key, kind))
    if text.startswith("```") and text.rstrip().endswith("```"):
        return content(code.code_in(text) or "", kind)
    if kind == "text":
        if len(text) < texts.UNSURE_LIMIT and texts.is_unsure(text) and " but " not in text:
            return None
        last = naming.named(_A.sub("", naming.statement(text)), question.question)
    else:
        last = _A.sub("", last)
    return content(last, kind) if last and len(last) <= WRITTEN else None


def _no_corrects(question: Question) -> bool:
    """Whether a lone "no" takes back what stands before it, and is no option."""
    return "no" not in map(str.casefold, question.choices or ())


def _lines(text: str) -> str:
    lines = [line for line in text[-2_000:].split("\n")[-6:] if line.strip()]
    if sum(_ITEM.match(line) is not None for line in lines) > 1:
        lines = [_ITEM.sub("", line) for line in lines]
    return "\n".join(undress(markers.without_confidence(line)) for line in lines)


def _code(text: str) -> Found | None:
    found = code.code_in(text)
    if found is None or (key := code.code_key(text)) is None:
        return None
    return Found(key, found)

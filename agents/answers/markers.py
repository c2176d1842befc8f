"""Where a reply says its answer: `Answer: ...`, "the answer is ...", boxes, tags, JSON, in many languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from agents.answers.undress import braced

CONTENT = 1_000
MARKERS = 50
"""Markers that are looked at, from the last one back."""

_WORDS_ASCII = (
    "answer",
    "antwort",
    "respuesta",
    "resposta",
    "risposta",
    "antwoord",
    "jawaban",
    "cevap",
    "odpowied",
    "vastaus",
    "svar",
    "odpov",
    "raspuns",
    "losung",
    "loesung",
    "solucion",
    "solucao",
    "reponse",
)
_WORDS_OTHER = (
    "réponse",
    "respuesta",
    "ответ",
    "答案",
    "答え",
    "答：",
    "答:",
    "回答",
    "解答",
    "정답",
    "답",
    "الإجابة",
    "الجواب",
    "उत्तर",
    "תשובה",
    "απάντηση",
    "คำตอบ",
    "پاسخ",
    "đáp án",
    "trả lời",
    "відповідь",
    "odpowiedź",
    "odpověď",
    "válasz",
    "răspuns",
    "cevabı",
    "lösung",
    "solución",
    "solução",
    "câu trả lời",
    "yanıt",
)
_NAME = "|".join(
    [
        "answers?",
        "antwort",
        "respuesta",
        "resposta",
        "risposta",
        "antwoord",
        "jawaban",
        "cevap",
        "cevabı",
        "yanıt",
        "vastaus",
        "svar",
        "svaret",
    ]
    + [re.escape(word) for word in _WORDS_OTHER]
    + [
        "r[ée]ponse",
        "odpowied[źz]",
        "odpov[ěe][ďd]",
        "r[ăa]spuns(?:ul)?",
        "l[öo](?:e)?sung",
        "soluci[óo]n",
        "solu[çc][ãa]o",
    ]
)
_IS = (
    r"is|are|was|would be|must be|should be|will be|has to be|equals|being|ist|lautet|wäre|est|es|será|"
    r"sería|é|è|is:|é:|er|är|on|to|adalah|jest|je|este|будет|является|это|是|为|為|は|är|là|هي|هو|है|είναι|"
    r"คือ|은|는|="
)
_AFTER = re.compile(
    rf"(?P<name>{_NAME})(?P<end>[*_`\"'”」】\])]{{0,4}})"
    # of what: "to the question", "(arabic numerals)", "choice", "option"
    r"(?P<about>(?:\s(?:option|choice|letter|number|here|would|therefore|then|thus|finally|correcta?|"
    r"richtige|correcte|finale?))?"
    r"(?:\s?\([^()\n]{0,40}\))?(?:\s(?:to|for|of|in|as|from|a la|à la|auf die)\s[^\n.:?!]{1,60}?)?)"
    rf"(?:[ \t]{{0,3}}[*_`]{{0,4}}[ \t]{{0,3}}(?:(?P<colon>[:：=]|->|→|⟶|=>)|"
    rf"[ \t]?(?P<is>(?<=[ 案え답은는])(?:{_IS})(?![A-Za-z])|是|为|為|は|은|는)[ \t]{{0,3}}(?P<colon2>[:：])?)|"
    rf"(?P<bare>[ \t]{{0,3}}[*_`#.]{{0,4}}[ \t]{{0,8}}(?=\n)))",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"[ \t>#*_`\"'“「【\[(\-•·\d.]{0,12}(?:(?:so|thus|hence|therefore|my|the|your|our|die|la|el|der|das|de|"
    r"det|il|o|a|最终|最終|正确|正確|итоговый|правильный|votre|mi|final|correct|right|short|direct|best|"
    r"step \d{1,2}[.:]?|richtige|endgültige|finale|correcta|правильный|окончательный|sonuç|doğru|"
    r"sluttlig)[ \t,:*_]{1,6}){0,4}$",
    re.IGNORECASE,
)
_DOUBT = re.compile(
    r"\b(?:if|whether|maybe|perhaps|suppose|assume|assuming|what if|might|could|not sure|unsure|check|"
    r"checking|wonder|say|does|did|is|whose|why|how|unless|until|verify|guess(?:ed|"
    r"es)?)\s(?:that\s)?(?:the |my |this |your |an? )?(?:final |correct |right )?$",
    re.IGNORECASE,
)
_OPTION = re.compile(
    r"\b(?:correct|best|closest|right|final|only|most \w{1,20}) (?:option|choice|statement|one|letter|alternative)"
    r"(?:\s[^.\n:]{0,80}?)?\s(?:is|would be|must be|should be|are)\b:?[ \t]*",
    re.IGNORECASE,
)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(?:(\{)|\s(\S{1,40}))")
_AND = re.compile(r"(?:[\s,;$]|\\[()\[\]]|\\q?quad|\\text\{\s*(?:and|or)\s*\}|and\b|or\b){1,12}")
_TAG = re.compile(r"<(?:final_|your_)?(answer|solution|output)>\s*", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]{0,3}#{4}[ \t]{0,3}(?=[^\s#])", re.MULTILINE)
_RUN_ON = re.compile(
    r"\n[ \t]{0,3}(?:#{1,4} ?)?\*{0,2}(?:Question|Q|Problem|Human|User|Exercise|Instruction|"
    r"Input)\*{0,2}(?: ?\d{1,4})?\*{0,2} ?[:：]",
    re.IGNORECASE,
)
_KEY = re.compile(r"[\"'“]?(?P<key>[\w \-]{2,30})[\"'”]?\s{0,5}[:：]\s{0,5}")
_KEYS = frozenset(
    {
        "answer",
        "finalanswer",
        "correctanswer",
        "theanswer",
        "youranswer",
        "answers",
        "réponse",
        "antwort",
        "respuesta",
        "resposta",
        "ответ",
        "答案",
        "risposta",
        "solution",
        "choice",
        "answerchoice",
        "correctoption",
        "result",
        "finalresult",
    }
)
_PREFERRED = frozenset(
    {
        "answer",
        "finalanswer",
        "correctanswer",
        "theanswer",
        "youranswer",
        "answers",
        "réponse",
        "antwort",
        "respuesta",
        "resposta",
        "ответ",
        "答案",
        "risposta",
    }
)
_CONFIDENCE = re.compile(
    r"[\s,;.(\[*_`-]{0,8}(?:my |stated |overall )?(?:confidence|confident|certainty|probability|konfidenz|"
    r"confianza|confiance|置信度|уверенность)(?:\s(?:level|score))?[*_`\"']{0,4}(?:\s(?:is|of|in)|\s?[:：=]|"
    r"\s?\d).*$",
    re.IGNORECASE | re.DOTALL,
)
_SURE = re.compile(
    r"\s{0,3}[,(\[-]{1,2}\s{0,2}(?:I am |I'm )?(?:about |roughly )?\d{1,3}(?:\.\d+)?\s?%\s?(?:confident|"
    r"confidence|sure|certain)[^\n]{0,40}$",
    re.IGNORECASE,
)
_ECHO = re.compile(
    r"<[^<>\n]{0,60}>|\[(?:your|insert|the|final|a|an|answer|letter|number|option|x|yes)[^\]\n]{0,60}\]|"
    r"[\s._…*#\-]{0,60}|\{(?:your )?(?:final )?answer\}"
    r"|(?:your|my|the|insert|put|write)(?: \w+){0,3} (?:answer|letter|option|number)(?: here)?|yes or no|"
    r"yes/no|a number|the letter of an option|a word or a few|your answer,? in one line|none yet|tbd|"
    r"n/a yet",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Marked:
    """What stands behind a marker. `strong`: on a line of its own, in a box or a tag; else within a sentence."""

    start: int
    content: str
    strong: bool
    box: bool = False


def without_run_on(text: str) -> Iterator[str]:
    """The text up to where a model went on to invent the next question, then all of it."""
    for number, found in enumerate(_RUN_ON.finditer(text)):
        if number >= 2:
            break
        if text[: found.start()].strip():
            yield text[: found.start()]
    yield text


def without_confidence(content: str) -> str:
    """An answer's content without the confidence that stands behind it."""
    if "%" in content:
        content = _SURE.sub("", content)
    lowered = content.lower()
    if "confid" in lowered or "certainty" in lowered or "probability" in lowered or not content.isascii():
        found = _CONFIDENCE.search(content)
        if found is not None and found.start() > 0:
            content = content[: found.start()]
    return content


def is_echo(content: str) -> bool:
    """Whether a content is nothing, or the form that was asked for repeated, such as `<yes or no>`."""
    return _ECHO.fullmatch(content.strip().strip("*`\"'").strip()) is not None


def marked(text: str, options: bool = False) -> list[Marked]:
    """All markers with content, last first. `options`: "the correct option is" is one too."""
    found = [*_boxes(text), *_tags(text), *_hashes(text), *_lines(text)]
    if options:
        found += _options(text)
    found.sort(key=lambda one: -one.start)
    return found[:MARKERS]


def _options(text: str) -> Iterator[Marked]:
    if not any(word in text for word in ("option", "choice", "statement", "letter", "alternative", " one ")):
        return
    for match in list(_OPTION.finditer(text))[-MARKERS:]:
        content = _content(text, match.end(), False)
        line = text[max(0, match.start() - 60) : match.start()].rsplit("\n", 1)[-1]
        if content and not is_echo(content) and not _DOUBT.search(line):
            yield Marked(match.start(), content, False)


def _boxes(text: str) -> Iterator[Marked]:
    if "\\boxed" not in text and "\\fbox" not in text and "\\framebox" not in text:
        return
    found: list[tuple[int, int, str]] = []
    for match in list(_BOX.finditer(text))[-MARKERS:]:
        inside = match.group(2) if match.group(1) is None else braced(text, match.start(1))
        if not inside or is_echo(inside):
            continue
        end = match.end() if match.group(1) is None else match.end() + len(inside) + 1
        if found and _AND.fullmatch(text[found[-1][1] : match.start()]):
            # Several boxes side by side are one answer of several parts.
            found[-1] = (found[-1][0], end, f"{found[-1][2]}, {inside}")
        else:
            found.append((match.start(), end, inside))
    for start, _, inside in found:
        yield Marked(start, inside, True, box=True)


def _tags(text: str) -> Iterator[Marked]:
    if "<" not in text:
        return
    for match in list(_TAG.finditer(text))[-MARKERS:]:
        end = text.lower().find(f"</{match.group(0).strip()[1:].lower()}", match.end())
        inside = text[match.end() : end if end >= 0 else None][:CONTENT].strip()
        if inside and not is_echo(inside):
            yield Marked(match.start(), inside, True)


def _hashes(text: str) -> Iterator[Marked]:
    if "####" not in text:
        return
    for match in list(_HASHES.finditer(text))[-MARKERS:]:
        content = _line(text, match.end())
        if re.match(
            r"\W{0,4}(?:final |the )?(?:answer|step|solution|conclusion|explanation|reasoning)", content, re.IGNORECASE
        ):
            continue
        if content and not is_echo(content):
            yield Marked(match.start(), content, True)


def _line(text: str, start: int) -> str:
    end = text.find("\n", start)
    return text[start : end if end >= 0 else None][:CONTENT].strip()


def _lines(text: str) -> Iterator[Marked]:
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = text  # a letter whose lower case is longer: places would shift
    places = _places(lowered)
    for place in places[-2 * MARKERS :]:
        match = _AFTER.match(text, place)
        if match is None:
            continue
        before = text[max(0, place - 80) : place]
        if before[-1:].isalpha() and before[-1:].isascii() and text[place].isascii():
            continue
        line = before.rsplit("\n", 1)[-1]
        heading = match["bare"] is not None
        own = _STRONG.fullmatch(line) is not None
        if heading and not own:
            continue
        if not own and _DOUBT.search(line):
            continue
        content = _content(text, match.end(), heading)
        if content and not is_echo(content):
            colon = match["colon"] or match["colon2"]
            yield Marked(place, content, heading or (own and bool(colon)) or bool(colon and not line.strip()))


def _places(lowered: str) -> list[int]:
    words = _WORDS_ASCII if lowered.isascii() else (*_WORDS_ASCII, *_WORDS_OTHER)
    found: set[int] = set()
    for word in words:
        if word in lowered:
            found.update(one.start() for one in re.finditer(re.escape(word), lowered))
    return sorted(found)


def _content(text: str, start: int, heading: bool) -> str:
    """The rest of the line; where that is empty, the next lines that are not."""
    content = _line(text, start)
    if content.strip("*_`$#:： \t\\[(>{").strip() and not content.startswith(("```", "\\[", "$$")):
        return content
    place = text.find("\n", start)
    opened = content
    while 0 <= place < len(text) - 1:
        line = _line(text, place + 1)
        following = text.find("\n", place + 1)
        if (
            line.strip("*_`$#: \t-").strip()
            and not line.startswith(("```", "\\begin{align", "\\begin{equ"))
            and line not in ("\\[", "\\(", "$$")
        ):
            if opened.startswith(("\\[", "$$", "```")) or "\\begin" in line:
                return _block(text, place + 1)
            return "" if re.match(r"\W{0,6}confidence\b", line, re.IGNORECASE) else line
        opened = opened if opened.strip("*_ ") else line
        if following < 0 or following - start > CONTENT:
            break
        place = following
    return ""


def _block(text: str, start: int) -> str:
    """The lines of a formula or a fence up to its end."""
    end = re.compile(r"\n[ \t]*(?:```|\\\]|\$\$)|\n\s*\n|\\\]|\$\$").search(text, start)
    return " ".join(text[start : end.start() if end else start + CONTENT][:CONTENT].split("\n")).strip()


def json_field(text: str) -> tuple[str | None, bool]:
    """(the answer that a reply in JSON gives, as text; whether the reply is JSON with such a field).

    Whole or cut off, in a fence or in a sentence, keys in any case and several languages.
    """
    if "{" not in text or (":" not in text and "：" not in text):
        return None, False
    found = fields(text)
    if found is not None:
        name = next((key for key in found if plain_key(key) in _PREFERRED), None) or next(
            (key for key in found if plain_key(key) in _KEYS), None
        )
        if name is not None:
            return told(found[name]), True
    if not re.search(r"\{\s*[\"'“]", text):
        return None, False
    last = None
    for match in _KEY.finditer(text):
        if plain_key(match["key"]) in _PREFERRED and text[match.start()] in "\"'“":
            last = match
    if last is None:
        return None, False
    value = re.compile(r"\"((?:[^\"\\]|\\.){0,1000})\"?|'((?:[^'\\\n]|\\.){0,1000})'?|([^\s,}\]\"']{1,200})").match(
        text, last.end()
    )
    if value is None:
        return None, True
    raw = next((part for part in value.groups() if part is not None), "")
    try:
        return str(json.loads(f'"{raw}"')), True
    except ValueError:
        return raw, True


def plain_key(key: str) -> str:
    return re.sub(r"[\s_\-]", "", key).casefold()


def told(value: object) -> str | None:
    """A JSON value as an answer's text; None for what is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, float) else str(value) if abs(value) < 10**300 else None
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value) if len(value) <= 200 else None
    return None


def fields(text: str) -> dict[str, object] | None:
    """The last JSON object of a reply that has a field for the answer."""
    decoder = json.JSONDecoder()
    place, best = text.find("{"), None
    for _ in range(20):
        if place < 0:
            break
        try:
            found, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place = text.find("{", place + 1)
            continue
        if isinstance(found, dict) and any(plain_key(str(key)) in _KEYS for key in found):
            best = found
        place = text.find("{", end)
    return best

"""Where a reply says its answer: `Answer: ...`, "the answer is ...", boxes, tags, JSON, in many languages."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from agents.answers import marker_words
from agents.answers.undress import braced

CONTENT = 1_000
SHORT = 400
"""Characters of a text that one pattern of all words is quickest for."""
MARKERS = 50
"""Markers that are looked at, from the last one back."""


_DECODER = json.JSONDecoder()
_OPENS = re.compile(r"\{[ \t\n\r]*[\"}]")
"""How an object in JSON begins."""
_BY_SIGN: dict[str, list[str]] = {}
for _word in marker_words.WORDS_OTHER:
    _BY_SIGN.setdefault(next(char for char in _word if not char.isascii()), []).append(_word)
_SIGNS = re.compile("[" + "".join(_BY_SIGN) + "]")
"""Letters beyond ASCII of which a word that has any has one: a text without them is not searched for the word."""
_ANY = re.compile("|".join(map(re.escape, (*marker_words.WORDS_ASCII, *marker_words.WORDS_OTHER))))
_OPTION_WORDS = ("option", "choice", "statement", "letter", "alternative", " one ")
_ASIDE = re.compile(r"\(([^()\s]{1,3})\)")
"""A label behind the name of a marker: `the answer (B) is`."""


@dataclass(frozen=True, slots=True)
class Marked:
    """What stands behind a marker. `strong`: on a line of its own, in a box or a tag; else within a sentence."""

    start: int
    content: str
    strong: bool
    box: bool = False
    comma: bool = False
    """Its words are of a language with decimal commas and thousands points."""


def without_run_on(text: str) -> Iterator[str]:
    """The text up to where a model went on to invent the next question, then all of it."""
    if "\n" not in text or (":" not in text and "：" not in text):
        yield text
        return
    for number, found in enumerate(marker_words.RUN_ON.finditer(text)):
        if number >= 2:
            break
        if text[: found.start()].strip():
            yield text[: found.start()]
    yield text


def without_confidence(content: str) -> str:
    """An answer's content without the confidence that stands behind it."""
    if "%" in content:
        content = marker_words.SURE.sub("", content)
    found = marker_words.CONFIDENCE.search(content)
    return content[: found.start()] if found is not None and found.start() > 0 else content


def may_hold(content: str) -> bool:
    """Whether a content may hold a marker itself: a quick look, which a text without any passes by."""
    if "\\" in content or "<" in content or "[/" in content or "####" in content:
        return True
    return next(_places(content.lower()), None) is not None


def is_echo(content: str) -> bool:
    """Whether a content is nothing, or the form that was asked for repeated, such as `<yes or no>`."""
    return marker_words.ECHO.fullmatch(content.strip().strip("*`\"'").strip()) is not None


def marked(text: str, options: bool = False) -> list[Marked]:
    """All markers with content, last first. `options`: "the correct option is" is one too."""
    return list(from_the_end(text, options))


def from_the_end(text: str, options: bool = False) -> Iterator[Marked]:
    """As `marked`, one by one: most replies say all with the last one."""
    others: list[Marked] = []
    if "\\boxed" in text or "\\fbox" in text or "\\framebox" in text:
        others += _boxes(text)
    if "<" in text or "[/" in text:
        others += _tags(text)
    if "####" in text:
        others += _hashes(text)
    if options and any(word in text for word in _OPTION_WORDS):
        others += _options(text)
    if not others:
        return islice(_lines(text), MARKERS)
    others.sort(key=lambda one: -one.start)
    return islice(merge(others, _lines(text), key=lambda one: -one.start), MARKERS)


def _options(text: str) -> Iterator[Marked]:
    for match in list(marker_words.OPTION.finditer(text))[-MARKERS:]:
        content = _content(text, match.end(), False)
        line = text[max(0, match.start() - 60) : match.start()].rsplit("\n", 1)[-1]
        if content and not is_echo(content) and not marker_words.DOUBT.search(line):
            yield Marked(match.start(), content, False)


def _boxes(text: str) -> Iterator[Marked]:
    found: list[tuple[int, int, str]] = []
    for match in list(marker_words.BOX.finditer(text))[-MARKERS:]:
        inside = match.group(2) if match.group(1) is None else braced(text, match.start(1))
        if not inside or is_echo(inside):
            continue
        end = match.end() if match.group(1) is None else match.end() + len(inside) + 1
        if found and marker_words.AND.fullmatch(text[found[-1][1] : match.start()]):
            # Several boxes side by side are one answer of several parts.
            found[-1] = (found[-1][0], end, f"{found[-1][2]}, {inside}")
        else:
            found.append((match.start(), end, inside))
    for start, _, inside in found:
        yield Marked(start, inside, True, box=True)


def _tags(text: str) -> Iterator[Marked]:
    for match in list(marker_words.TAG.finditer(text))[-MARKERS:]:
        begins = text[match.end() : match.end() + CONTENT]
        end = begins.find("<|end" if "|" in match.group() else "</" if match["opens"] else "[/")
        inside = begins[: end if end >= 0 else None].strip()
        if inside and not is_echo(inside):
            yield Marked(match.start(), inside, True)


def _hashes(text: str) -> Iterator[Marked]:
    for match in list(marker_words.HASHES.finditer(text))[-MARKERS:]:
        content = _line(text, match.end())
        if re.match(
            r"\W{0,4}(?:final |the )?(?:answer|step|solution|conclusion|explanation|"
            r"reasoning)",
            content,
            re.IGNORECASE,
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
    for place in islice(_places(lowered), 2 * MARKERS):
        match = marker_words.AFTER.match(text, place)
        if match is None:
            continue
        before = text[max(0, place - 80) : place]
        if before[-1:].isalpha() and before[-1:].isascii() and text[place].isascii():
            continue
        line = before[before.rfind("\n") + 1 :]
        heading = match["bare"] is not None
        own = marker_words.STRONG.fullmatch(line) is not None
        if heading and not own:
            continue
        if not own and marker_words.DOUBT.search(line):
            continue
        if match["is"] == "would be" and (
            marker_words.IF.search(before) or marker_words.IF_BEHIND.match(text, match.end(), match.end() + 80)
        ):
            continue
        content = _content(text, match.end(), heading)
        if not any(c.isalnum() for c in content) and (aside := _ASIDE.search(match["about"])):
            content = aside.group(1)  # "the answer (B) is"
        if content and not is_echo(content):
            colon = match["colon"] or match["colon2"]
            strong = heading or (own and bool(colon)) or bool(colon and not line.strip())
            comma = match["name"].casefold() in marker_words.DECIMAL_COMMA
            yield Marked(place, content, strong, comma=comma)


def ends_empty(text: str) -> bool:
    """Whether a reply ends with a marker behind which nothing stands but the form that was asked for."""
    line = text.rstrip().rsplit("\n", 1)[-1][-CONTENT:] + "\n"
    lowered = line.lower()
    for place in _places(lowered if len(lowered) == len(line) else line):
        match = marker_words.AFTER.match(line, place)
        if match is None or marker_words.STRONG.fullmatch(line[:place]) is None:
            continue
        if is_echo(line[match.end() :]) and not _ASIDE.search(match["about"]):
            return True
    return False


def _places(lowered: str) -> Iterator[int]:
    """Where words that announce an answer begin, last first. Most are "answer", and most texts hold no other one."""
    if len(lowered) <= SHORT:
        yield from reversed([found.start() for found in _ANY.finditer(lowered)])
        return
    first, *others = marker_words.WORDS_ASCII
    if not lowered.isascii():
        for sign in set(_SIGNS.findall(lowered)):
            others += _BY_SIGN[sign]
    present = [word for word in others if word in lowered]
    end = len(lowered)
    while end > 0:
        place = lowered.rfind(first, 0, end)
        if not present:
            if place >= 0:
                yield place
            end = place
            continue
        begins = max(0, place)
        found = set()
        for word in present:
            other = lowered.find(word, begins, end + len(word) - 1)
            while other >= 0:
                found.add(other)
                other = lowered.find(word, other + len(word), end + len(word) - 1)
        yield from sorted(found, reverse=True)
        if place >= 0:
            yield place
        end = place


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
            return "" if re.match(r"\W{0,6}confidence\b", line, re.IGNORECASE) else line.removeprefix("> ")
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
        name = next((key for key in found if plain_key(key) in marker_words.PREFERRED), None) or next(
            (key for key in found if plain_key(key) in marker_words.KEYS), None
        )
        if name is not None:
            return value_text(found[name]), True
    bare = re.match(r"\W{0,12}\{\s*\w{2,30}\s*:", text) is not None
    if not bare and not re.search(r"\{\s*[\"'“]", text):
        return None, False
    last = None
    for match in marker_words.KEY.finditer(text):
        if plain_key(match["key"]) in marker_words.PREFERRED and (bare or text[match.start()] in "\"'“"):
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
    """A JSON key without case, spaces, dashes and underscores."""
    return re.sub(r"[\s_\-]", "", key).casefold()


def value_text(value: object) -> str | None:
    """A JSON value as an answer's text; None for what is none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return repr(value) if isinstance(value, float) else str(value) if abs(value) < 10**300 else None
    if isinstance(value, dict):
        named = {plain_key(str(key)): one for key, one in value.items() if isinstance(one, str | int | float)}
        return next(
            (
                value_text(named[key])
                for key in ("label", "letter", "option", "choice", "value", "text")
                if key in named
            ),
            None,
        )
    if isinstance(value, list) and value and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value) if len(value) <= 200 else None
    return None


def fields(text: str) -> dict[str, object] | None:
    """The last JSON object of a reply that has a field for the answer."""
    opens, best = _OPENS.search(text), None
    for _ in range(20):
        if opens is None:
            break
        try:
            found, end = _DECODER.raw_decode(text, opens.start())
        except (ValueError, RecursionError):
            opens = _OPENS.search(text, opens.start() + 1)
            continue
        if isinstance(found, dict) and any(plain_key(str(key)) in marker_words.KEYS for key in found):
            best = found
        opens = _OPENS.search(text, end)
    return best

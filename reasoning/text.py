"""Thoughts are no answers: separates what a reasoning model thought from what it replied.

Understood: `<think>`, `<thinking>`, `<thought>`, `<reasoning>`, `<reflection>`, `<scratchpad>` (also `[THINK]`,
`◁think▷` and the like), opened at the beginning of a line; the closing tag alone, where the prompt opened it; and
gpt-oss's channels. A thought that nobody closed was cut off: all that follows is thought, and there is no reply.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAMES = (
    "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|analysis|inner_thoughts|inner_monologue|seed:think"
)
_MARK = re.compile(
    rf"(?<!`)(?:<(?P<closes>/?)(?P<name>{_NAMES})>|\[(?P<closes2>/?)(?P<name2>THINK)\]|"
    rf"◁(?P<closes3>/?)(?P<name3>think)▷"
    r"|<\|(?P<begins>START_THINKING|begin_of_thought|inner_prefix)\|>|<\|(?P<ends>END_THINKING|"
    r"end_of_thought|inner_suffix)\|>)(?!`)",
    re.IGNORECASE,
)
_CHANNEL = re.compile(r"(?:<\|start\|>\w{1,20})?<\|channel\|>\s{0,3}(\w{1,20})[^<\n]{0,80}<\|message\|>")
_CHANNEL_END = re.compile(r"<\|(?:end|return|call|start)\|>")
_BARE_CHANNEL = re.compile(r"\A\s{0,8}(?:assistant)?(?:analysis|commentary)(?=[A-Z\s])(.*?)assistantfinal", re.DOTALL)
_MAY = ("<", "[THINK]", "[/THINK]", "◁", "assistantfinal", "[think]", "[/think]")


@dataclass(frozen=True, slots=True)
class Separated:
    """A reply's two parts. `cut`: the last thought was never closed, so that what was said is not all."""

    reply: str
    thoughts: str = ""
    cut: bool = False


def separate(text: str) -> Separated:
    """A text's thoughts and the reply without them. Linear in its length; a text without thoughts stays as it is."""
    for sign in _MAY:
        if sign in text:
            break
    else:
        return Separated(text)
    if "<|channel|>" in text:
        return _channels(text)
    if "assistantfinal" in text and (bare := _BARE_CHANNEL.match(text)):
        return Separated(text[bare.end() :].strip(), bare.group(1).strip())
    marks = [mark for mark in _MARK.finditer(text) if _counts(mark, text)]
    return _tags(text, marks) if marks else Separated(text)


def _counts(mark: re.Match[str], text: str) -> bool:
    """A closing mark counts anywhere, an opening one at the beginning of a line or behind another mark."""
    if _closing(mark):
        return True
    place = mark.start()
    # Step by step: to copy the line at every mark would take quadratic time on a line of many marks.
    while place and text[place - 1] != "\n" and text[place - 1].isspace():
        place -= 1
    return not place or text[place - 1] in "\n>]▷"


def _closing(mark: re.Match[str]) -> bool:
    return bool(mark["closes"] or mark["closes2"] or mark["closes3"] or mark["ends"])


def _name(mark: re.Match[str]) -> str:
    return (mark["name"] or mark["name2"] or mark["name3"] or "marked").lower()


def _tags(text: str, marks: list[re.Match[str]]) -> Separated:
    replies: list[str] = []
    thoughts: list[str] = []
    place, inside = 0, ""
    for mark in marks:
        if _closing(mark):
            if inside and _name(mark) != inside:
                continue
            if not inside:
                # Opened by the prompt: all before it, whatever it looked like, was thought.
                thoughts += replies
                replies = []
            thoughts.append(text[place : mark.start()])
            place, inside = mark.end(), ""
        elif not inside:
            replies.append(text[place : mark.start()])
            place, inside = mark.end(), _name(mark)
    rest, cut = text[place:], bool(inside)
    if cut and inside not in ("think", "thinking", "marked"):
        # `<reasoning>` of a prompted form is often not closed; what the form's next field holds is the answer.
        begins = re.search(r"^\s{0,8}<(?:answer|final_answer|output|response)>", rest, re.IGNORECASE | re.MULTILINE)
        if begins is not None:
            replies.append(rest[begins.start() :])
            rest, cut = rest[: begins.start()], False
    (thoughts if inside else replies).append(rest)
    visible = "".join(part for part in replies if part.strip()).strip()
    return Separated(visible, "\n".join(part.strip() for part in thoughts if part.strip()), cut)


def _channels(text: str) -> Separated:
    replies: list[str] = []
    thoughts: list[str] = []
    places = list(_CHANNEL.finditer(text))
    if places and text[: places[0].start()].strip():
        thoughts.append(text[: places[0].start()])
    last = ""
    for number, begins in enumerate(places):
        end = places[number + 1].start() if number + 1 < len(places) else len(text)
        ends = _CHANNEL_END.search(text, begins.end(), end)
        part = text[begins.end() : ends.start() if ends else end].strip()
        last = begins.group(1)
        (replies if last == "final" else thoughts).append(part)
    return Separated("\n".join(replies), "\n".join(thoughts), cut=last != "final")

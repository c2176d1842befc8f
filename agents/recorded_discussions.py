"""Discussions that other projects recorded, as replies of the simple form of `agents.simple_transcript`.

- ReConcile (arXiv 2309.13007): one object per question with `AGENT_output_ROUND` (`reasoning`, `answer`,
  `confidence_level`) and `gold_answer`; also `agents` and `later`, lists of replies with a `name` each.
- DyLAN (arXiv 2310.02170): `completions`, for each agent its replies by round, or `rounds`, for each round the replies
  by agent; null is an agent that was not active.

Neither project writes the question into its records: it must stand beside them as `question`, and `choices` or
`options` where there are any.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.reply import parse_confidence
from agents.transcript import TranscriptError

_OUTPUT = re.compile(r"(?P<agent>.{1,190})_output_(?P<round>\d{1,3})")
_LABELLED = re.compile(r"\(?(?P<label>[A-Za-z]|\d{1,2})[).:]\s*(?P<text>.+)", re.DOTALL)


def known(body: object) -> bool:
    """Whether a record is one of these forms."""
    if isinstance(body, list):
        return bool(body) and all(isinstance(one, list) for one in body)
    if not isinstance(body, Mapping):
        return False
    return any(_OUTPUT.fullmatch(str(key)) for key in body) or any(
        isinstance(body.get(name), list) for name in ("agents", "rounds", "completions")
    )


def replies(body: object, where: str) -> list[dict[str, Any]]:
    """The replies of one record as fields of the simple form, by round.

    Raises:
        TranscriptError: no question in it, no reply, or a reply that is none.
    """
    if not isinstance(body, Mapping):
        raise TranscriptError(
            f"{where}: a list of replies without their question: write {{'question': ..., 'completions': [...]}}"
        )
    question = body.get("question")
    if not isinstance(question, str) or not question.strip():
        raise TranscriptError(f"{where}: question: missing: these records leave it out; add it to each of them")
    shared: dict[str, Any] = {"question": question, "choices": _choices(body, where)}
    for name in ("id", "task", "kind"):
        if body.get(name) is not None:
            shared[name] = body[name]
    right = next((body[name] for name in ("gold", "gold_answer", "answer") if body.get(name) is not None), None)
    if right is not None:
        shared["gold"] = str(right)
    found = [{**shared, **one} for one in _each(body, where)]
    if not found:
        raise TranscriptError(f"{where}: no reply in it")
    return sorted(found, key=lambda one: int(one["round"]))


def _choices(body: Mapping[str, Any], where: str) -> dict[str, str] | None:
    found = body.get("choices") or body.get("options")
    if not found:
        return None
    if isinstance(found, Mapping):
        return {str(label): str(text) for label, text in found.items()}
    if not isinstance(found, list):
        raise TranscriptError(f"{where}: choices: must be a list or an object")
    parts = [_LABELLED.fullmatch(str(one).strip()) for one in found]
    if all(parts):
        return {part["label"]: part["text"].strip() for part in parts if part is not None}
    return {str(number): str(one) for number, one in enumerate(found, 1)}  # as ReConcile counts them


def _each(body: Mapping[str, Any], where: str) -> Iterator[dict[str, Any]]:
    outputs = [(match, value) for key, value in body.items() if (match := _OUTPUT.fullmatch(str(key))) is not None]
    for match, value in outputs:
        yield _stated(match["agent"], int(match["round"]), value, f"{where}: {match.group()}")
    if outputs:
        return
    for name in ("agents", "later"):
        for one in body.get(name) or ():
            if not isinstance(one, Mapping) or not one.get("name"):
                raise TranscriptError(f"{where}: {name}: each must be an object with a name")
            place = one.get("round", 0 if name == "agents" else 1)
            if isinstance(place, bool) or not isinstance(place, int) or place < 0:
                raise TranscriptError(f"{where}: {name}: round: must be a whole number from 0")
            yield _stated(str(one["name"]), place, one, f"{where}: {name}")
    table = body.get("completions")
    if isinstance(table, list):
        yield from _texts(((agent, place, text) for agent, row in _rows(table, where) for place, text in row), where)
    elif isinstance(rounds := body.get("rounds"), list):
        yield from _texts(((agent, place, text) for place, row in _rows(rounds, where) for agent, text in row), where)


def _rows(table: Sequence[Any], where: str) -> Iterator[tuple[int, Iterator[tuple[int, Any]]]]:
    for number, row in enumerate(table):
        if not isinstance(row, list):
            raise TranscriptError(f"{where}: must be a list of lists of replies")
        yield number, iter(enumerate(row))


def _texts(found: Iterator[tuple[int, int, Any]], where: str) -> Iterator[dict[str, Any]]:
    for agent, place, text in found:
        if text is None:
            continue
        if not isinstance(text, str):
            raise TranscriptError(f"{where}: agent {agent + 1}, round {place}: must be text or null")
        yield {"agent": f"agent-{agent + 1}", "round": place, "reply": text}


def _stated(agent: str, place: int, value: object, where: str) -> dict[str, Any]:
    """A reply with its answer. ReConcile puts a random answer where a call failed: no reasoning, no confidence."""
    if not isinstance(value, Mapping):
        raise TranscriptError(f"{where}: must be an object with reasoning and answer")
    reasoning, answer = value.get("reasoning"), value.get("answer")
    text = " ".join(map(str, reasoning)) if isinstance(reasoning, list) else str(reasoning or "")
    sure = next((value[name] for name in ("confidence", "confidence_level") if value.get(name) is not None), None)
    confidence = parse_confidence(f"confidence: {sure}") if sure is not None else None
    invented = not text.strip() and not confidence
    given = "" if answer is None or invented else str(answer)
    return {"agent": agent, "round": place, "reply": text, "answer": given, "confidence": confidence}

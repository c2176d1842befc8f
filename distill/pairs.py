"""Lessons: what a student learns from one interaction graph, at each of four levels of structure.

    gold       the gold answer alone, without reasoning (a baseline)
    L1         right replies of round 0
    L2         right replies of all rounds
    L3         right and wrong replies: adds pairs for the margin loss
    L4         all replies and who read whom: adds the graph
    on-policy  as L1, then its own replies, corrected (`on_policy`); without a gold answer the team's answer is right

(MAGDi, https://arxiv.org/abs/2402.01620, section 3.2.) A reply without reasoning, an answer alone, is no chain of
thought: it is left out at every level unless asked for. A text that several agents, or one agent in several rounds,
said word for word stands in a lesson once; the nodes that said it point to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import cycle
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.prompts import solve
from agents.question import Question
from distill.graph import nodes

if TYPE_CHECKING:
    import networkx

TeachingLevel = Literal["gold", "L1", "L2", "L3", "L4", "on-policy"]
NO_GOLD, NO_VOTE = "no gold answer", "neither a gold answer nor one of the team"
NO_RIGHT = "no right reply with a reasoning"
LONG_QUESTION = "a question longer than the limit"
MERE = "a reply without any reasoning of its own"
LONG = "a reply longer than the limit"
CROWDED = "a reply beyond the limit for one question"


class Selection(BaseModel):
    """Which replies become lessons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: TeachingLevel = Field(
        default="L1",
        description="gold, L1, L2, L3, L4: how much of the transcripts is used; on-policy: own replies, too "
        "(L1 measured better).",
    )
    teacher: str | None = Field(default=None, description="Agent to learn from (default: all).")
    longest_reply: int = Field(
        default=512, ge=1, le=32_768, description="Maximum tokens of a reply; longer ones are dropped."
    )
    longest_question: int = Field(
        default=4_096,
        ge=16,
        le=131_072,
        description="Maximum tokens of a question with its replies; the rest is dropped.",
    )
    bare_answers: bool = Field(default=False, description="Also use replies without reasoning.")
    own_replies: int = Field(
        default=2, ge=1, le=64, description="Level on-policy: replies per question that the student gives by itself."
    )


class Lesson(BaseModel):
    """One question's part of the training. Places count from 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    messages: list[dict[str, str]] = Field(description="The prompt, as `agents.prompts.solve` makes it.")
    texts: tuple[str, ...] = Field(min_length=1, description="Different replies, as the student would say them.")
    taught: tuple[int, ...] = Field(min_length=1, description="Places of texts that carry next-token loss.")
    untaught: tuple[tuple[int, int, int], ...] = Field(
        default=(), description="(text's place, first, end): characters of taught texts that carry no loss."
    )
    pairs: tuple[tuple[int, int], ...] = Field(default=(), description="Places of (right, wrong) texts.")
    nodes: tuple[int, ...] = Field(default=(), description="For each node of the graph, its text's place.")
    labels: tuple[bool, ...] = Field(default=(), description="For each node, whether it is right.")
    edges: tuple[tuple[int, int], ...] = Field(default=(), description="Between places of nodes, forward in time.")


def reply_text(reasoning: str, answer: str | None, confidence: float | None) -> str:
    """A reply in the form in which `agents.prompts.solve` asks for it."""
    lines = [reasoning] if reasoning else []
    lines += [f"Answer: {answer}"] if answer is not None else []
    lines += [f"Confidence: {round(confidence, 2):g}"] if confidence is not None else []
    return "\n".join(lines)


def zipped(right: Iterable[int], wrong: Iterable[int]) -> list[tuple[int, int]]:
    """Right with wrong, the shorter list cycled; no pair where either is empty, none twice."""
    rights, wrongs = list(right), list(wrong)
    if not rights or not wrongs:
        return []
    count = max(len(rights), len(wrongs))
    return list(dict.fromkeys(pair for pair, _ in zip(zip(cycle(rights), cycle(wrongs)), range(count), strict=False)))


def lesson(
    graph: networkx.DiGraph,
    selection: Selection,
    tokens: Callable[[str], int] = lambda text: len(text.split()),
    dropped: Callable[[str], None] = lambda rule: None,
) -> Lesson | str:
    """The lesson of one graph, or the rule by which its question is dropped.

    `tokens` counts a text's tokens; `dropped` receives the rule of each reply that is left out.
    """
    question = Question.model_validate(graph.graph["question"])
    by_vote = selection.level == "on-policy" and question.answer is None
    if question.answer is None and not (by_vote and graph.graph["team"] is not None):
        return NO_VOTE if by_vote else NO_GOLD
    messages = solve(question)
    room = selection.longest_question - tokens(messages[0]["content"])
    if room <= 0:
        return LONG_QUESTION
    head: dict[str, Any] = {"id": question.id, "task": question.task, "messages": messages}
    if selection.level == "gold":
        return Lesson(**head, texts=(reply_text("", question.answer, None),), taught=(0,))
    places: dict[str, int] = {}
    taught: dict[int, None] = {}
    kept: dict[str, tuple[int, bool]] = {}
    for name, node in _chosen(graph, selection, by_vote):
        if not (node["reasoning"] or selection.bare_answers):
            dropped(MERE)
            continue
        text = reply_text(node["reasoning"], node["answer"], node["confidence"]) or "..."
        if text not in places:
            length = tokens(text)
            if length > selection.longest_reply or length > room:
                dropped(LONG if length > selection.longest_reply else CROWDED)
                continue
            room -= length
            places[text] = len(places)
            if _is_right(graph, node, by_vote):
                taught[places[text]] = None
        kept[name] = (places[text], _is_right(graph, node, by_vote))
    if not taught:
        return NO_RIGHT
    lesson = Lesson(**head, texts=tuple(places), taught=tuple(taught))
    if selection.level in ("L1", "L2", "on-policy"):
        return lesson
    right = dict.fromkeys(place for place, is_right in kept.values() if is_right)
    wrong = dict.fromkeys(place for place, is_right in kept.values() if not is_right)
    lesson = lesson.model_copy(update={"pairs": tuple(zipped(right, wrong))})
    if selection.level == "L3":
        return lesson
    order = {name: place for place, name in enumerate(kept)}
    return lesson.model_copy(
        update={
            "nodes": tuple(place for place, _ in kept.values()),
            "labels": tuple(is_right for _, is_right in kept.values()),
            "edges": tuple((order[a], order[b]) for a, b in graph.edges if a in order and b in order),
        }
    )


def _is_right(graph: networkx.DiGraph, node: dict[str, Any], by_vote: bool) -> bool:
    return node["answer"] == graph.graph["team"] if by_vote else bool(node["right"])


def _chosen(graph: networkx.DiGraph, selection: Selection, by_vote: bool) -> list[tuple[str, dict[str, Any]]]:
    """The nodes that the level asks for. Of those that do not fit, the latest are left out: right ones come first."""
    found = [
        (name, node)
        for name, node in nodes(graph)
        if (selection.teacher in (None, node["agent"]))
        and (selection.level not in ("L1", "on-policy") or node["round"] == 0)
        and (selection.level in ("L3", "L4") or _is_right(graph, node, by_vote))
    ]
    return sorted(found, key=lambda entry: not _is_right(graph, entry[1], by_vote))

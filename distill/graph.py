"""Interaction graphs: a transcript as a directed graph (MAGDi, https://arxiv.org/abs/2402.01620, section 3.1).

A node is one agent's answer in one round, with its reasoning and whether it is right; an edge runs from a reply to
each later reply whose agent had read it. Edges come from the transcript alone, so that any number of agents, any
topology and missing rounds are what they were. Every graph is acyclic.

Node attributes: agent, model, round, reasoning (without mere agreement), answer, written (the answer as the reply
has it), confidence, right (None: no gold).
Graph attributes: id, task, question, gold, discussion, team (the team's answer).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from agents.transcript import Transcript, Turn
from distill.phrases import without_agreement

if TYPE_CHECKING:
    import networkx

FAILED, EMPTY, CUT = "no reply: the request failed", "an empty reply", "a reply longer than a transcript keeps"


def interaction_graph(transcript: Transcript) -> networkx.DiGraph:
    """The graph of one transcript. Replies that `unusable` names have no node."""
    import networkx

    question = transcript.question
    graph = networkx.DiGraph(
        id=question.id,
        task=question.task,
        question=question.model_dump(mode="json", exclude_none=True),
        gold=question.answer,
        discussion=transcript.discussion,
        team=transcript.answer,
    )
    names: dict[int, str] = {}
    for place, turn in enumerate(transcript.turns):
        if unusable(turn):
            continue
        seat = transcript.seats[turn.seat]
        names[place] = f"{seat.name}@{turn.round}"
        graph.add_node(
            names[place],
            agent=seat.name,
            model=seat.model,
            round=turn.round,
            reasoning=without_agreement(turn.reasoning),
            answer=turn.answer,
            written=turn.displayed,
            confidence=turn.stated,
            right=transcript.is_right(turn.answer),
        )
    graph.add_edges_from(
        (names[start], names[end]) for start, end in transcript.edges() if start in names and end in names
    )
    return graph


def unusable(turn: Turn) -> str | None:
    """Why a reply cannot be a node, if it cannot."""
    if turn.error is not None:
        return FAILED
    if turn.characters > len(turn.text):
        return CUT
    return None if turn.text.strip() else EMPTY


def nodes(graph: networkx.DiGraph) -> Iterator[tuple[str, dict[str, Any]]]:
    """Nodes with their attributes, by round, within a round in the panel's order."""
    yield from sorted(graph.nodes(data=True), key=lambda node: node[1]["round"])


def to_json(graph: networkx.DiGraph) -> str:
    """The graph as node-link JSON, on one line."""
    import networkx

    return json.dumps(networkx.node_link_data(graph, edges="edges"), ensure_ascii=False)


def to_graphml(graph: networkx.DiGraph) -> str:
    """The graph as GraphML, for Gephi, yEd and others. What is None has no attribute there."""
    import networkx

    plain = networkx.DiGraph(**{key: _scalar(value) for key, value in graph.graph.items() if value is not None})
    for name, data in graph.nodes(data=True):
        plain.add_node(name, **{key: _scalar(value) for key, value in data.items() if value is not None})
    plain.add_edges_from(graph.edges)
    return "\n".join(networkx.generate_graphml(plain))


def _scalar(value: Any) -> Any:
    """XML allows no control characters; mappings become JSON."""
    if isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return "".join(c for c in text if c in "\t\n" or c >= " ")

"""Interaction graphs: forward in time, whatever the panel; JSON and GraphML; statistics."""

from __future__ import annotations

import json
from collections.abc import Callable

import networkx
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.transcript import Transcript
from distill.graph import interaction_graph, nodes, to_graphml, to_json

Discuss = Callable[..., Transcript]


def test_nodes_are_replies_and_edges_run_forward(discuss: Discuss) -> None:
    graph = interaction_graph(discuss())
    assert [name for name, _ in nodes(graph)] == ["agent0@0", "agent1@0", "agent0@1", "agent1@1"]
    assert sorted(graph.edges) == [
        ("agent0@0", "agent0@1"),
        ("agent0@0", "agent1@1"),
        ("agent1@0", "agent0@1"),
        ("agent1@0", "agent1@1"),
    ]
    assert [node["right"] for _, node in nodes(graph)] == [True, False, True, True]
    assert graph.nodes["agent1@0"]["reasoning"] == "3 + 4 = 7."
    assert graph.nodes["agent1@0"]["confidence"] == 0.4


def test_the_papers_panel_has_12_nodes_and_27_edges(discuss: Discuss) -> None:
    graph = interaction_graph(discuss(0, [["Answer: 12"] * 3] * 4))
    assert (len(graph), graph.number_of_edges()) == (12, 27)


def test_rounds_that_did_not_happen_and_failed_or_empty_replies_have_no_node(discuss: Discuss) -> None:
    assert len(interaction_graph(discuss(0, [["Answer: 12", None]]))) == 1
    transcript = discuss(0, [["Answer: 12", "  ", "Answer: 9"], ["Answer: 12", "Answer: 12", None]])
    failed = transcript.turns[2].model_copy(update={"error": "no reply within 3 s"})
    cut = transcript.turns[4].model_copy(update={"characters": 500_000})
    turns = (*transcript.turns[:2], failed, transcript.turns[3], cut)
    graph = interaction_graph(transcript.model_copy(update={"turns": turns}))
    assert set(graph) == {"agent0@0", "agent0@1"}
    assert list(graph.edges) == [("agent0@0", "agent0@1")]


def test_without_gold_nothing_is_right_or_wrong(discuss: Discuss) -> None:
    graph = interaction_graph(discuss(answer=None))
    assert {node["right"] for _, node in nodes(graph)} == {None}


reply = st.sampled_from(
    ["Twelve.\nAnswer: 12", "Nine.\nAnswer: 9", "I agree.\nAnswer: 12", "no idea", "", "\x00 <&>\nAnswer: 1"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.none() | reply, min_size=1, max_size=5), min_size=1, max_size=4))
def test_any_discussion_becomes_an_acyclic_graph_that_survives_json_and_graphml(
    discuss: Discuss, rounds: list[list[str | None]]
) -> None:
    graph = interaction_graph(discuss(0, rounds))
    assert networkx.is_directed_acyclic_graph(graph)
    assert all(graph.nodes[a]["round"] < graph.nodes[b]["round"] for a, b in graph.edges)
    again = networkx.node_link_graph(json.loads(to_json(graph)), edges="edges")
    assert (dict(again.nodes(data=True)), set(again.edges), again.graph) == (
        dict(graph.nodes(data=True)),
        set(graph.edges),
        graph.graph,
    )
    read = networkx.parse_graphml(to_graphml(graph))
    assert set(read.edges) == set(graph.edges)

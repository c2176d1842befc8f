"""Who was right in which round, and who convinced whom."""

from __future__ import annotations

from collections.abc import Callable

from agents.transcript import Transcript
from distill.graph import interaction_graph
from distill.statistics import CorpusStatistics

Discuss = Callable[..., Transcript]


def test_statistics_count_rounds_and_who_convinced_whom(discuss: Discuss) -> None:
    found = CorpusStatistics()
    for one in (
        discuss(0),
        discuss(1, [["Answer: 12", "Answer: 9"], ["Answer: 9", "Answer: 9"]]),
        discuss(2, [["Answer: 12", "hm"], ["Answer: 12", "Answer: 12"]]),
    ):
        found.add(interaction_graph(one))
    assert found.questions == 3
    assert found.rounds == 2
    assert found.accuracy("agent0", 0) == (3, 3)
    assert found.accuracy("agent0", 1) == (2, 3)
    assert found.accuracy("agent1", 0) == (0, 3)
    assert found.replies["agent1"][0].silent == 1
    assert {who: {whom: count.model_dump() for whom, count in to.items()} for who, to in found.convinced.items()} == {
        "agent0": {"agent1": {"rightly": 2, "wrongly": 0, "unknown": 0}},
        "agent1": {"agent0": {"rightly": 0, "wrongly": 1, "unknown": 0}},
    }


def test_an_answer_without_gold_is_neither_right_nor_wrong(discuss: Discuss) -> None:
    one = discuss(1, [["Answer: 12", "Answer: 9"], ["Answer: 9", "Answer: 9"]])
    without = one.model_copy(update={"question": one.question.model_copy(update={"answer": None})})
    found = CorpusStatistics()
    found.add(interaction_graph(without))
    tally = found.replies["agent0"][0]
    assert (tally.right, tally.wrong, tally.unknown, tally.total) == (0, 0, 1, 0)
    assert found.convinced["agent1"]["agent0"].model_dump() == {"rightly": 0, "wrongly": 0, "unknown": 1}

"""What stands under an answer, folded and unfolded."""

from __future__ import annotations

from orchestrator.cli.chat_account import folded, unfolded
from orchestrator.cli.chat_sources import ChatAccount


def test_the_folded_line_has_who_when_how_much_and_whether_it_was_cut() -> None:
    whole = ChatAccount(("words", "coins"), 12, 30, 0.0125, explanation={"method": "mixture"})
    assert folded(whole, 1.23, max_tokens=None) == "from words, coins · 1.2 s · 12 + 30 tokens · $0.0125 · /why"
    cut = ChatAccount(("base",), 1, 2, cached=True, finish_reason="length")
    assert (
        folded(cut, 0, max_tokens=8)
        == "from base · 0.0 s · from the ledger · 1 + 2 tokens · CUT at 8 tokens (--max-tokens)"
    )
    assert "ended: content_filter" in folded(ChatAccount(("a",), finish_reason="content_filter"), 0, max_tokens=None)


def test_unfolded_says_who_was_asked_why_and_what_each_voted() -> None:
    explanation = {
        "method": "mixture",
        "experts": ["words"],
        "asked": ["words", "coins"],
        "stopped": "enough",
        "ranking": [
            {"expert": "words", "score": 1.0, "probability": 0.9, "terms": {}, "note": None},
            {"expert": "coins", "score": 0.5, "probability": 0.25, "terms": {}, "note": "no profile"},
        ],
        "evidence": [{"kind": "neighbour", "label": "Which word\x1b[2J?", "weight": 1, "source": None}],
        "votes": [{"answer": "a", "weight": 1.5, "experts": ["words"]}, {"answer": None, "experts": ["coins"]}],
        "calls": 2,
        "cached_calls": 1,
        "failed": {"far": "upstream_timeout"},
    }
    lines = unfolded(ChatAccount(("words",), explanation=explanation))
    assert lines[:3] == [
        "asked: words, coins (2 calls, 1 from the ledger)",
        "1. words, 90.0% likely right",
        "2. coins, 25.0% likely right (no profile)",
    ]
    assert "because of neighbour: Which word[2J?" in lines
    assert "vote: 'a' by words" in lines
    assert "vote: no answer by coins" in lines
    assert "stopped: enough" in lines
    assert 'failed: {"far": "upstream_timeout"}' in lines


def test_a_discussion_is_unfolded_turn_by_turn() -> None:
    explanation = {
        "method": "reconcile",
        "votes": [{"round": 1, "rule": "majority", "answer": "yes", "share": 0.5}],
        "transcript": {
            "seats": [{"name": "words"}],
            "turns": [{"seat": 0, "round": 1, "text": "I think\nyes"}, {"seat": 0, "round": 2, "error": "gone"}],
        },
        "fusion": {"sources": {"1": "words"}, "judge": "coins", "judged": "read", "synthesiser": None, "cited": []},
    }
    lines = unfolded(ChatAccount(explanation=explanation))
    assert "round 1, words: I think yes" in lines
    assert "round 2, words: gone" in lines
    assert "vote: round 1, 'yes' with 50.0% of the weight" in lines
    assert "panel: words" in lines
    assert "written by: a member of the panel" in lines


def test_where_one_expert_was_asked_there_is_nothing_to_explain() -> None:
    assert unfolded(ChatAccount(("base",))) == ["base was asked directly: there is nothing to explain."]

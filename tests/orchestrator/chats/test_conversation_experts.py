"""A conversation is known again by its turns, and stays with its expert unless another is clearly better."""

from __future__ import annotations

import pytest

from orchestrator.chats.conversation_experts import ConversationExperts, stay
from orchestrator.inference.caller import caller
from router.ranking import Evidence, Ranking, RankingEntry

ASKED = (("user", "Is the coin up?"),)
NEXT = (*ASKED, ("assistant", "Yes."), ("user", "And now?"))


def ranking(*entries: tuple[str, float], unlike: bool = False, cost: bool = False) -> Ranking:
    terms = {"cost": -0.1} if cost else {}
    evidence = (Evidence("default", "unlike", 0.1, entries[0][0]),) if unlike else ()
    return Ranking(tuple(RankingEntry(name, chance, chance, terms) for name, chance in entries), evidence)


def test_the_next_turn_knows_who_answered_the_last_one() -> None:
    kept = ConversationExperts()
    assert kept.last(ASKED) is None
    kept.answered(ASKED, "coins")
    assert kept.last(ASKED) is None  # a new conversation that begins alike
    assert kept.last(NEXT) == "coins"
    assert kept.last((("system", "It is 10:15."), *NEXT)) == "coins"
    assert kept.last((("user", "Which word?"), *NEXT[1:])) is None
    kept.answered(NEXT, "words")
    assert kept.last((*NEXT, ("assistant", "No."), ("user", "Sure?"))) == "words"


def test_nobody_learns_of_another_callers_conversation() -> None:
    kept, before = ConversationExperts(), caller.set("one")
    try:
        kept.answered(ASKED, "coins")
        assert kept.last(NEXT) == "coins"
        caller.set("another")
        assert kept.last(NEXT) is None
    finally:
        caller.reset(before)


def test_a_long_conversation_that_is_cut_at_its_head_is_known_again() -> None:
    kept = ConversationExperts()
    turns = [(role, f"{role} {n}") for n in range(100) for role in ("user", "assistant")]
    kept.answered(turns[:-1], "coins")
    assert kept.last([*turns[-40:], ("user", "more")]) == "coins"


def test_a_reply_from_elsewhere_is_passed_over() -> None:
    kept = ConversationExperts()
    kept.answered(ASKED, "coins")
    foreign = (*NEXT, ("assistant", "written by another program"), ("user", "And?"))
    assert kept.last(foreign) == "coins"


def test_only_the_newest_conversations_are_kept() -> None:
    kept = ConversationExperts(kept=2)
    for n in range(3):
        kept.answered([("user", str(n))], f"expert {n}")
    found = [kept.last([("user", str(n)), ("assistant", "x"), ("user", "y")]) for n in range(3)]
    assert found == [None, "expert 1", "expert 2"]


@pytest.mark.parametrize(("best", "first"), [(0.55, "coins"), (0.65, "words")])
def test_a_clearly_better_expert_takes_over(best: float, first: str) -> None:
    found = stay(ranking(("words", best), ("coins", 0.5), ("x", 0.1)), "coins")
    assert found.experts[0] == first
    assert sorted(found.experts) == ["coins", "words", "x"]
    if first == "coins":
        assert found.evidence[0].kind == "conversation"
        assert "coins answered this conversation before, and words is not clearly better" in found.evidence[0].label


def test_what_is_unlike_the_profile_and_results_of_tools_stay() -> None:
    found = stay(ranking(("words", 0.9), ("coins", 0.1), unlike=True), "coins")
    assert found.experts == ("coins", "words")
    assert [one.kind for one in found.evidence] == ["conversation"]
    assert stay(ranking(("words", 0.9), ("coins", 0.1)), "coins", tools=True).experts[0] == "coins"


def test_an_expert_that_left_the_zoo_and_the_best_one_change_nothing() -> None:
    given = ranking(("words", 0.6), ("coins", 0.5))
    assert stay(given, "gone") is given
    assert stay(given, "words") is given


def test_a_dear_expert_does_not_stay_because_it_is_likelier_to_be_right() -> None:
    dear = RankingEntry("dear", -0.3, 0.9, {"cost": -1.2})
    cheap = RankingEntry("cheap", 0.4, 0.5, {"cost": -0.1})
    assert stay(Ranking((cheap, dear)), "dear").experts == ("cheap", "dear")

"""Experts of a zoo confer: first replies are shared, samples differ, what was said is kept and shown."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents import transcript as transcripts
from orchestrator import Collegium
from orchestrator.cli.discussion_chapter import chapter
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunRequest
from orchestrator.evaluation.panel_need import NOT_WORTH
from orchestrator.evaluation.report import render
from orchestrator.pipelines.results import RUN
from orchestrator.run_folder import RunFolder


def asked() -> Any:
    import conferring  # type: ignore[import-not-found]

    return conferring.ASKED


def run(collegium: Collegium, *methods: str, **options: Any) -> Any:
    options = {"questions": 20, "fit_questions": 20} | options
    return collegium.run(task="questions.jsonl", fit_split="train", methods=list(methods), **options)


def test_all_methods_of_a_run_share_their_first_replies(zoo: Collegium) -> None:
    run(zoo, "each", "vote", "weighted-vote", "reconcile", "debate", "moa", "escalate", "single", "mine")
    first = {key: count for key, count in asked().items() if "Other agents" not in key[1] and "Several" not in key[1]}
    # A tenth of the train split is lent to validation: one question here.
    assert len(first) == 3 * (20 + 19)
    assert set(asked().values()) == {1}


def test_samples_of_one_expert_differ_and_are_the_same_in_the_next_run(zoo: Collegium) -> None:
    result = run(zoo, "self-consistency", samples=4)
    (held,) = [outcome.transcripts for outcome in result.outcomes]
    assert all(len({turn.text for turn in one.turns}) == 4 for one in held)
    before = sum(asked().values())
    again = run(zoo, "self-consistency", samples=4)
    assert sum(asked().values()) == before
    assert [one.turns[3].text for one in again.outcomes[0].transcripts] == [one.turns[3].text for one in held]


def test_calibrated_log_odds_beat_the_best_expert_and_the_majority(zoo: Collegium) -> None:
    result = run(zoo, "best", "vote", "weighted-vote", "reconcile")
    scores = {method.method: method.overall.value for method in result.report.methods}
    assert (scores["best"], scores["vote"], scores["weighted-vote"], scores["reconcile"]) == (0.5, 0.0, 1.0, 1.0)
    pairs = {(one.method, one.baseline) for one in result.report.comparisons}
    assert {("reconcile", "vote"), ("reconcile", "weighted-vote"), ("vote", "best")} <= pairs
    figures = {one.method: one for one in result.report.discussions}
    rounds = figures["reconcile"].rounds
    assert (rounds[0].majority.value, rounds[0].deciding.value, rounds[0].anyone.value) == (0.0, 1.0, 1.0)
    assert rounds[1].majority.value == 1.0
    assert rounds[1].to_right == 40
    assert figures["weighted-vote"].calibrated_error < figures["weighted-vote"].stated_error  # type: ignore[operator]


def test_transcripts_are_kept_and_shown(zoo: Collegium, tmp_path: Path) -> None:
    result = run(zoo, "vote", "reconcile", mode="paper")
    folder = RunFolder.open(zoo.config, "run", RunRequest(task="questions.jsonl"))
    RUN.save(folder, result)
    kept = list(transcripts.read(folder.path / "transcripts.jsonl.gz"))
    assert kept == [one for outcome in result.outcomes for one in outcome.transcripts]
    assert len(kept) == 40
    page = render(result.report)
    assert 'id="transcripts"' in page
    assert page.count('<svg class="influence"') > 5
    assert "↻ was" in page
    assert len(page) < 2_500_000


def test_a_panel_that_is_not_there_and_a_discussion_that_is_none_are_refused(zoo: Collegium) -> None:
    with pytest.raises(BadInput, match="no expert 'ghost'"):
        run(zoo, "reconcile", panel=["ghost"])
    with pytest.raises(BadInput, match="no method 'quarrel'"):
        run(zoo, "quarrel")
    config = {**zoo.config.model_dump(), "discussions": {"bad": "conferring:gone"}}
    with Collegium(config) as other, pytest.raises(BadInput, match="module 'conferring' has no attribute"):
        run(other, "bad")
    with pytest.raises(BadInput, match="No such file"):
        run(zoo, "reconcile", convincing="nowhere.jsonl")


def test_a_panel_of_one_of_twins_and_of_repeats_is_told(zoo: Collegium) -> None:
    assert "confers with nobody" in run(zoo, "debate", panel=["coins"], questions=4).report.methods[0].note
    with pytest.raises(BadInput, match="'coins' is named twice"):
        run(zoo, "debate", panel=["coins", "coins"])
    config = zoo.config.model_dump()
    config["experts"]["twin"] = config["experts"]["coins"]
    with Collegium(config) as twins:
        note = run(twins, "debate", panel=["coins", "twin"], questions=4).report.methods[0].note
    assert "coins and twin are the same model" in note


@pytest.mark.parametrize(
    ("kind", "expected", "calls"),
    [("tokens", {0.9}, 1), ("consistency", {0.4, 0.6, 0.8, 1.0}, 5), ("static", {0.5}, 1)],
)
def test_confidences_of_every_kind_come_from_the_engine(
    zoo: Collegium, kind: str, expected: set[float], calls: int
) -> None:
    result = run(zoo, "weighted-vote", confidence=kind, questions=4, panel=["coins"])
    turns = [turn for one in result.outcomes[0].transcripts for turn in one.turns]
    assert {round(turn.confidence or 0.0, 1) for turn in turns} <= expected
    assert {turn.calls for turn in turns} == {calls}


def test_replies_can_be_held_to_json(zoo: Collegium) -> None:
    result = run(zoo, "vote", structured=True, questions=2, panel=["coins"])
    for one in result.outcomes[0].transcripts:
        assert set(json.loads(one.turns[0].text)) == {"reasoning", "answer", "confidence"}


def test_a_panel_of_chosen_experts(zoo: Collegium) -> None:
    result = run(zoo, "reconcile", panel=["coins", "blind"], lead="coins")
    (held,) = [outcome.transcripts for outcome in result.outcomes]
    assert {tuple(seat.name for seat in one.seats) for one in held} == {("coins", "blind")}
    assert held[0].settings["lead"] == "coins"


def test_the_demos_chapter_shows_a_transcript(zoo: Collegium) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    chapter(console, zoo, fit_questions=16)
    text = console.export_text()
    for part in ("First reply", "Round 1", "log-odds", "Right answer:", "answers were changed"):
        assert part in text


def test_escalate_asks_by_need_as_many_as_calls_allow(zoo: Collegium) -> None:
    few, many = (run(zoo, "escalate", calls=calls).outcomes[0].transcripts for calls in (1, 4))
    assert {(one.calls, one.stopped) for one in few} == {(1, NOT_WORTH)}
    assert {one.calls for one in many} == {2}
    assert all("high enough by a plain rule" in one.stopped for one in many)
    right = [sum(one.answer == one.question.answer for one in held) for held in (few, many)]
    assert right == [10, 20]


def test_answers_of_a_discussion_are_shown_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "band.py").write_text("def sings(messages, seed):\n    return 'Answer: The Beatles'\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {
        "experts": {name: {"script": "band:sings"} for name in ("one", "two")},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    rows = [{"question": f"Who sang song {n}?", "answer": "the beatles", "kind": "text"} for n in range(10)]
    with Collegium(config) as collegium:
        result = collegium.run(task=rows, methods="vote,debate")  # type: ignore[arg-type]
    table = result.to_pandas()
    assert set(table["method"]) >= {"vote", "debate"}
    assert set(table["answer"]) == {"The Beatles"}
    assert set(table["compared"]) == {"beatles"}
    shown = {one.written for sample in result.report.samples for one in sample.answers.values()}
    assert shown == {"The Beatles"}

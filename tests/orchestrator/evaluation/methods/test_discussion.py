"""Experts of a zoo confer: first replies are shared, samples differ, what was said is kept and shown."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from agents import transcript as transcripts
from orchestrator import Collegium
from orchestrator.cli.discussion_chapter import chapter
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunRequest
from orchestrator.evaluation.compare import estimate
from orchestrator.evaluation.convincing import ConvincingRequest, ConvincingRow, convincing, read_samples, write_samples
from orchestrator.evaluation.discussing import fitted
from orchestrator.evaluation.report import render
from orchestrator.pipelines.results import RUN
from orchestrator.run_folder import RunFolder

COSTS = ("calls", "tokens")
SCRIPTS = '''
"""Experts that know one thing each and follow whoever is surest."""
import re
from collections import Counter

ASKED = Counter()

def _reply(name, messages, seed, knows):
    text = messages[-1][1]
    ASKED[name, repr(messages), seed] += 1
    if "Somebody explained" in text:
        answer = "yes" if "coin" in text else "a"
        return f"I see.\\nAnswer: {answer}\\nConfidence: 0.9"
    right = "yes" if "coin" in text else "a"
    groups = re.findall(r'- "(.*?)" \\(\\d+ agents?\\)((?:\\n  .*)*)', text)
    if groups:
        best = max(groups, key=lambda group: max(re.findall(r"confidence (\\S+):", group[1]), default="0"))[0]
        return f"I follow.\\nAnswer: {best}\\nConfidence: 0.5"
    if seed:
        return f"Draw {seed}.\\nAnswer: {right if seed % 3 else 'no'}\\nConfidence: 0.6"
    if knows in text:
        return f"Easy.\\nAnswer: {right}\\nConfidence: 0.9"
    return f"Not sure.\\nAnswer: {'no' if 'coin' in text else 'b'}\\nConfidence: 0.2"

def words(messages, seed): return _reply("words", messages, seed, "word")
def coins(messages, seed): return _reply("coins", messages, seed, "coin")
def blind(messages, seed): return _reply("blind", messages, seed, "nothing")

async def mine(conversation):
    await conversation.open()
    conversation.vote("log-odds")
'''


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collegium]:
    (tmp_path / "conferring.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "conferring", raising=False)
    monkeypatch.chdir(tmp_path)
    rows = [
        f'{{"id": "q{n}", "task": "{task}", "question": "{text} number {n}", "answer": "{answer}", "kind": "{kind}", '
        f'"split": "{"train" if n < 20 else "test"}"}}'
        for n in range(40)
        for task, text, answer, kind in [
            ("coins", "Is the coin up?", "yes", "yesno") if n % 2 else ("words", "Which word?", "a", "text")
        ]
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(rows))
    experts = {name: {"script": f"conferring:{name}"} for name in ("words", "coins", "blind")}
    workers = {"engine": "scripted", "in_process": True}
    config = {
        "experts": experts,
        "workers": workers,
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
        "discussions": {"mine": "conferring:mine"},
    }
    with Collegium(config) as collegium:
        yield collegium


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


async def test_convincing_samples_are_explanations_that_changed_a_mind(zoo: Collegium, tmp_path: Path) -> None:
    request = ConvincingRequest(task="coin_flip", questions=12, keep=2)
    experts = list(zoo.experts.values())
    found = await convincing(request, zoo.context())
    assert found
    assert all(one.before != one.answer and one.answer == "yes" and one.explanation for one in found)
    assert max(sum(one.expert == expert.name for one in found) for expert in experts) <= 2
    write_samples(tmp_path / "convincing.jsonl", found)
    samples = read_samples(str(tmp_path / "convincing.jsonl"), ["words", "blind"])
    assert {name: len(rows) for name, rows in samples.items()} == {
        name: sum(one.expert == name for one in found) for name in samples
    }
    with pytest.raises(BadInput, match="only generated tasks"):
        await convincing(ConvincingRequest(task="questions.jsonl"), zoo.context())


def test_a_bad_file_of_convincing_samples_is_named(tmp_path: Path) -> None:
    good = ConvincingRow(expert="a", task="t", question="?", explanation="!", answer="1", before=None, utility=0.5)
    (tmp_path / "c.jsonl").write_text(good.model_dump_json() + "\n{\n")
    with pytest.raises(BadInput, match=r"c\.jsonl:2: not JSON"):
        read_samples(str(tmp_path / "c.jsonl"), ["a"])


def test_an_expert_that_says_nothing_in_validation_is_as_good_as_all_of_them() -> None:
    assert fitted([], "stated")("new", 0.9) == 0.5
    assert fitted([], "static")("new", 0.9) == 0.9


def test_a_comparison_has_every_baseline_and_keeps_to_its_budget(zoo: Collegium) -> None:
    request = RunRequest(
        task="questions.jsonl", fit_split="train", methods=["reconcile"], questions=20, fit_questions=20, compare=True
    )
    whole = estimate(request, zoo.config, zoo.experts)
    assert whole.questions == 20
    less = estimate(request.model_copy(update={"budget": whole.tokens * 2 // 3}), zoo.config, zoo.experts)
    assert 8 <= less.questions < 20
    assert less.tokens <= whole.tokens * 2 // 3
    with pytest.raises(BadInput, match="--budget: 10 tokens do not suffice"):
        estimate(request.model_copy(update={"budget": 10}), zoo.config, zoo.experts)
    result = zoo.run(request)
    names = {method.method: method for method in result.report.methods}
    assert {
        "best",
        "vote",
        "weighted-vote",
        "self-refine",
        "reconcile",
        "reconcile-same-model",
        "oracle",
    } <= names.keys()
    calls = names["self-consistency, calls of reconcile"].cost.calls / 20
    assert calls == pytest.approx(names["reconcile"].cost.calls / 20, abs=0.5)
    assert names["self-consistency, tokens of reconcile"].cost.tokens <= names["reconcile"].cost.tokens
    assert "by seed 100.0, 100.0, 100.0" in names["reconcile"].note
    assert names["reconcile"].overall.n == 20
    spent = sum(text.count(" ") for _, text, _ in asked())
    assert spent < whole.tokens
    assert set(asked().values()) == {1}
    assert "self-consistency, calls of reconcile" in render(result.report)
    pairs = {(one.method, one.baseline) for one in result.report.comparisons}
    matched = {(name, f"self-consistency, {cost} of {name}") for name in ("reconcile", "self-refine") for cost in COSTS}
    assert matched | {("reconcile", "best"), ("reconcile", "vote"), ("self-refine", "best")} <= pairs
    assert not [pair for pair in pairs if "self-consistency" in pair[0] or " x" in pair[1]]
    assert ("self-refine", "vote") not in pairs


def test_the_demos_chapter_shows_a_transcript(zoo: Collegium) -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    chapter(console, zoo, fit_questions=16)
    text = console.export_text()
    for part in ("First reply", "Round 1", "log-odds", "Right answer:", "answers were changed"):
        assert part in text

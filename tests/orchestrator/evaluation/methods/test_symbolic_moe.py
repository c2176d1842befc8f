"""symbolic-moe on scripted experts: skills named by an expert, profiles, recruiting, aggregation, cost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import RunResult

SCRIPTS = '''
"""Two specialists who name skills, one who is always wrong and a critic who reads others well."""

ASKED = []

def reply(messages, seed, knows):
    text = messages[-1][1]
    ASKED.append((knows, text, seed))
    coin = "coin" in text
    if "Keywords:" in text:
        if knows == "critic":
            return "I would rather not say."
        word = "tossing" if coin else "spelling"
        return f"Keywords: {word}, whim {seed % 7}"
    right = "yes" if coin else "a"
    if "Several agents replied" in text:
        return f"Answer: {right}" if knows == "critic" else "<think>Answer: wrong"
    known = knows == ("coins" if coin else "words")
    return f"<think>secret</think>So it is.\\nAnswer: {right if known else 'no'}"

def words(messages, seed):
    return reply(messages, seed, "words")

def coins(messages, seed):
    return reply(messages, seed, "coins")

def wrong(messages, seed):
    return reply(messages, seed, "wrong")

def critic(messages, seed):
    return reply(messages, seed, "critic")
'''


class Words:
    """An embedder of single words: equal ones are near, others far apart."""

    def features(self, texts: Any, skills: Any = ()) -> Any:
        import hashlib

        import numpy as np

        from router.embedding import Features

        def vector(text: str) -> Any:
            row = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])).standard_normal(64)
            return (row / np.linalg.norm(row)).astype(np.float32)

        tags = tuple(tuple(row) for row in skills)
        distinct = {tag: vector(tag) for row in tags for tag in row}
        return Features(np.stack([vector(text) for text in texts]), tags if distinct else (), distinct)


@pytest.fixture
def collegium(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "panel_scripts.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "panel_scripts", raising=False)
    names = ("words", "coins", "wrong", "critic")
    lines = [
        f'{{"id": "{split}{n}", "task": "{"toss" if n % 2 else "spell"}", "split": "{split}", '
        + (
            f'"question": "Is coin {n} up?", "answer": "yes", "kind": "yesno"}}'
            if n % 2
            else f'"question": "Which letter is number {n}?", "answer": "a", "kind": "text"}}'
        )
        for split, first in (("validation", 0), ("test", 20))
        for n in range(first, first + 20)
    ]
    (tmp_path / "asked.jsonl").write_text("\n".join(lines))
    config = {
        "experts": {name: {"script": f"panel_scripts:{name}"} for name in names},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    with Collegium(config) as made:
        made.__dict__["embedder"] = Words()
        yield made


def run(collegium: Collegium, task: Path, **options: Any) -> RunResult:
    return collegium.run(task=str(task), methods=["symbolic-moe"], questions=20, fit_questions=20, **options)


def asked() -> list[tuple[str, str, int]]:
    found: list[tuple[str, str, int]] = sys.modules["panel_scripts"].ASKED
    return found


def test_skills_recruit_the_specialists(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=1)
    (method,) = result.report.methods
    assert method.overall.value == 1
    assert "skills named by words, 20 of 20 questions matched; 1 of 4 experts" in method.note
    (outcome,) = result.outcomes
    coin = next(answer for answer in outcome.answers if "coin" in answer.question.question)
    assert coin.ranking[0].expert == "coins"
    assert "tossing" in coin.ranking[0].reason
    # 20 questions, each with 5 keyword runs and one answer: all of it is counted.
    assert method.cost.calls == 20 * 6


def test_five_runs_are_five_draws_and_only_what_they_agree_on_counts(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words")
    naming = [(text, seed) for who, text, seed in asked() if who == "words" and "Keywords:" in text]
    assert len(naming) == 40 * 5
    assert len({text for text, _ in naming}) == 40
    first = [seed for text, seed in naming if text == naming[0][0]]
    assert len(set(first)) == 5
    skills = result.outcomes[0].answers[0].ranking[0].reason
    assert "spelling" in skills or "tossing" in skills


def test_the_same_run_again_asks_nobody(collegium: Collegium, tmp_path: Path) -> None:
    first = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words")
    before = len(asked())
    second = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words")
    assert len(asked()) == before
    assert [m.overall for m in second.report.methods] == [m.overall for m in first.report.methods]


def test_the_keyword_expert_is_chosen_by_what_its_keywords_are_worth(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl")
    # The critic names nothing; the others name the same, and the first of them is taken.
    assert "skills named by words" in result.report.methods[0].note


def test_without_keywords_the_best_experts_are_recruited(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", keyword_expert="critic", recruit=1)
    assert "0 of 20 questions matched" in result.report.methods[0].note
    assert result.report.methods[0].overall.value == 0.5
    # The engine refuses a reply that breaks the structure; each was asked again without.
    assert sum(who == "critic" and "Keywords:" in text for who, text, _ in asked()) == 2 * 40 * 5


def test_the_aggregator_is_chosen_by_the_benchmark_and_reads_no_thoughts(collegium: Collegium, tmp_path: Path) -> None:
    result = run(collegium, tmp_path / "asked.jsonl", aggregator="benchmark", keyword_expert="words", recruit=3)
    (method,) = result.report.methods
    assert "(critic: 100% over all)" in method.note
    assert method.overall.value == 1
    synthesis = [text for _, text, _ in asked() if "Several agents replied" in text]
    assert synthesis
    assert not any("secret" in text for text in synthesis)
    # Four experts aggregated the 20 cases, one right reply and two wrong; the critic then the 20 test questions.
    assert len(synthesis) <= 4 * 20 + 20


def test_an_aggregator_that_fails_leaves_it_to_the_vote(collegium: Collegium, tmp_path: Path) -> None:
    voted = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=3)
    written = run(collegium, tmp_path / "asked.jsonl", keyword_expert="words", recruit=3, aggregator="wrong")
    assert [m.overall for m in voted.report.methods] == [m.overall for m in written.report.methods]
    assert "wrong writes the answer" in written.report.methods[0].note
    assert written.report.methods[0].cost.calls > voted.report.methods[0].cost.calls


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"keyword_expert": "nobody"}, "keyword_expert: no expert 'nobody'"),
        ({"aggregator": "nobody"}, "aggregator: there is no 'nobody'"),
    ],
)
def test_unknown_names_are_refused_before_anybody_is_asked(
    collegium: Collegium, tmp_path: Path, options: dict[str, str], told: str
) -> None:
    with pytest.raises(BadInput, match=told):
        run(collegium, tmp_path / "asked.jsonl", **options)
    assert collegium.progress is None or collegium.progress.submitted == 0


def test_the_mixture_takes_any_router(collegium: Collegium, tmp_path: Path) -> None:
    for router, told in (("best", "best router"), ("mixture", "stacked routers")):
        result = collegium.run(
            task=str(tmp_path / "asked.jsonl"), methods=["mixture"], questions=6, fit_questions=20, router=router
        )
        assert result.report.methods[0].note.startswith(f"{told}, 1 of 4")


def test_the_mixture_asks_whoever_is_cheap_where_cost_alone_counts(collegium: Collegium, tmp_path: Path) -> None:
    asking = {"task": str(tmp_path / "asked.jsonl"), "methods": ["mixture"], "questions": 6, "fit_questions": 20}
    costs = "words=2,coins=2,critic=0.1,wrong=2"
    result = collegium.run(**asking, quality=0, costs=costs)
    assert {one.expert for answer in result.outcomes[0].answers for one in answer.used} == {"critic"}
    assert result.report.methods[0].note.endswith("quality 0.00")
    with pytest.raises(BadInput, match=r"no expert costs as little as 0\.05"):
        collegium.run(**asking, spend=0.05, costs=costs)

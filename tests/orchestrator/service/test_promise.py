"""What the report promised is what the endpoint does: question by question, on one profile."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.collegium import Collegium

SHAPES = (
    ("coins", "Is the coin up, number {}?", "yes", {"kind": "yesno"}),
    ("words", "Which word is number {}?", "a", {"kind": "text"}),
    ("choice", "Which word or coin, {}?", "A", {"choices": {"A": "this", "B": "that", "C": "none"}}),
)


def write_questions(path: Path) -> None:
    rows = [
        {"id": f"{split}-{task}{n}", "task": task, "question": text.format(n), "answer": gold, "split": split, **more}
        for split, numbers in (("validation", range(8)), ("test", range(8, 12)))
        for n in numbers
        for task, text, gold, more in SHAPES
    ]
    path.write_text("\n".join(map(json.dumps, rows)))


@pytest.mark.parametrize("wanted", [{"recruit": 1}, {"recruit": 2}, {"calls": 2.0}])
async def test_the_endpoint_decides_each_question_as_the_report_did(
    settings: dict[str, Any], serving: Any, tmp_path: Path, wanted: dict[str, Any]
) -> None:
    write_questions(tmp_path / "asked.jsonl")
    with Collegium(settings) as collegium:
        result = await collegium.arun(
            task=str(tmp_path / "asked.jsonl"), methods=["mixture"], **wanted, questions=12, fit_questions=24
        )
    (report,) = result.report.methods
    answers = [one for outcome in result.outcomes if outcome.name == "mixture" for one in outcome.answers]
    assert report.method == "mixture"
    assert len(answers) == 12
    settings["service"] |= wanted
    stored = {path.name for path in (tmp_path / "state" / "mixtures").iterdir()}
    async with serving(settings) as client:
        for promised in answers:
            question = promised.question
            said = {"kind": question.kind, **({"choices": question.choices} if question.choices else {})}
            body = {
                "model": "mixture",
                "messages": [{"role": "user", "content": question.question}],
                "max_tokens": 160,
                "collegium": said,
            }
            told = (await client.post("/v1/chat/completions", json=body)).json()["collegium"]
            assert told["answer"] == promised.answer
            assert told["experts"] == [one.expert for one in promised.used]
            assert told["calls"] == len(promised.used), "a chat costs its experts' calls and nothing else"
            # Texts that are embedded together differ from the same ones alone by rounding.
            assert told["confidence"] == pytest.approx(promised.confidence, abs=1e-4)
            ranked = {entry["expert"]: entry["probability"] for entry in told["ranking"]}
            assert ranked == pytest.approx({entry.expert: entry.score for entry in promised.ranking}, abs=1e-4)
            assert told["mixture"] in stored
    assert {path.name for path in (tmp_path / "state" / "mixtures").iterdir()} == stored, "the service fitted again"


@pytest.mark.parametrize("calls", [1.0, 4.0])
async def test_escalate_asks_each_chat_by_the_need_that_the_report_saw(
    settings: dict[str, Any], serving: Any, tmp_path: Path, calls: float
) -> None:
    write_questions(tmp_path / "asked.jsonl")
    with Collegium(settings) as collegium:
        result = await collegium.arun(
            task=str(tmp_path / "asked.jsonl"), methods=["escalate"], calls=calls, questions=12, fit_questions=24
        )
    held = result.outcomes[0].transcripts
    async with serving(settings) as client:
        for one in held:
            said = {"kind": one.question.kind, **({"choices": one.question.choices} if one.question.choices else {})}
            asked = [{"role": "user", "content": one.question.question}]
            body = {"model": "escalate", "messages": asked, "max_tokens": 160, "collegium": {**said, "calls": calls}}
            told = (await client.post("/v1/chat/completions", json=body)).json()["collegium"]
            assert (told["answer"], told["calls"], told["stopped"]) == (one.answer, one.calls, one.stopped)
            assert told["confidence"] == pytest.approx(one.confidence, abs=1e-6)
        refused = await client.post("/v1/chat/completions", json={**body, "model": "vote"})
        assert (refused.status_code, "collegium.calls" in refused.text) == (400 if calls > 1 else 200, calls > 1)
    assert {one.calls for one in held} == ({1} if calls == 1.0 else {2})

"""What talking is worth is found on validation discussions, once, and used by runs and chats alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from orchestrator import Collegium
from orchestrator.evaluation.methods import talk
from tests.orchestrator.service.conftest import served
from tests.scripts.one_question import post

SCRIPTS = """
from collections import Counter

ASKED = Counter()

def _reply(messages, name):
    text = messages[-1][1]
    ASKED[name, text] += 1
    number = int("".join(c for c in text.split("case")[1].split()[0] if c.isdigit()))
    again = "answered:" in text
    right = "blue"
    # On odd cases the surest is wrong, and only the reader finds out, after reading the others.
    if name == "sure":
        return f"Answer: {'red' if number % 2 else right}\\nConfidence: 0.8"
    if name == "reader" and again:
        return f"Answer: {right}\\nConfidence: 0.9"
    if name == "echo" and again:
        return "Answer: red\\nConfidence: 0.8"
    return f"Answer: {['green', right, 'grey', 'pink'][number % 4] if name == 'reader' else 'black'}\\nConfidence: 0.5"

def sure(messages, seed):
    return _reply(messages, "sure")

def reader(messages, seed):
    return _reply(messages, "reader")

def echo(messages, seed):
    return _reply(messages, "echo")
"""
NAMES = ("sure", "reader", "echo")


@pytest.fixture
def talkers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    import sys

    (tmp_path / "talkers.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "talkers", raising=False)
    lines = [
        json.dumps(
            {
                "id": f"{split}{n}",
                "split": split,
                "question": f"Which colour is case {n} ?",
                "answer": "blue",
                "kind": "text",
            }
        )
        for split, first in (("validation", 0), ("test", 60))
        for n in range(first, first + 60)
    ]
    (tmp_path / "cases.jsonl").write_text("\n".join(lines))
    return {
        "experts": {name: {"script": f"talkers:{name}"} for name in NAMES},
        "workers": {"engine": "scripted", "in_process": True},
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }


def run(settings: dict[str, Any], **options: Any) -> Any:
    wanted = {"methods": ["weighted-vote", "reconcile"], "questions": 40, "fit_questions": 60, "rounds": 1} | options
    with Collegium(settings) as collegium:
        return collegium.run(task=str(Path(settings["state"]).parent / "cases.jsonl"), **wanted)


def asked() -> Any:
    import talkers  # type: ignore[import-not-found]

    return talkers.ASKED


def test_talk_that_pays_is_held_and_weighed_by_moves(talkers: dict[str, Any]) -> None:
    result = run(talkers)
    scores = {method.method: method.overall.value for method in result.report.methods}
    assert scores["reconcile"] > scores["weighted-vote"]
    held = next(outcome for outcome in result.outcomes if outcome.name == "reconcile").transcripts
    assert {vote.rule for one in held for vote in one.votes if vote.round == 1} == {"majority", "moves"}
    settings = held[0].settings
    assert settings["talk_fitted"] == 60
    assert settings["talk_below"] > 0  # type: ignore[operator]
    note = next(method.note for method in result.report.methods if method.method == "reconcile")
    assert "points on 60 validation questions" in note


def test_the_rule_is_fitted_once_and_kept(talkers: dict[str, Any]) -> None:
    run(talkers)
    before = sum(asked().values())
    assert len(list((Path(talkers["state"]) / "discussions").glob("*.json"))) == 1
    run(talkers)
    assert sum(asked().values()) == before


def test_paper_mode_and_no_talk_questions_discuss_nothing_beforehand(talkers: dict[str, Any]) -> None:
    for options in ({"mode": "paper"}, {"talk_questions": 0}):
        result = run(talkers, methods=["reconcile"], **options)
        (outcome,) = result.outcomes
        assert all("talk_below" not in one.settings for one in outcome.transcripts)
        assert {vote.rule for one in outcome.transcripts for vote in one.votes} <= {"majority", "weighted", "log-odds"}
    assert not (Path(talkers["state"]) / "discussions").exists()


def test_a_broken_file_is_fitted_anew(talkers: dict[str, Any]) -> None:
    run(talkers)
    (file,) = (Path(talkers["state"]) / "discussions").glob("*.json")
    whole = file.read_text()
    file.write_text('{"format": 1}')
    run(talkers)
    assert file.read_text() == whole


def test_too_few_questions_say_nothing(talkers: dict[str, Any]) -> None:
    result = run(talkers, methods=["reconcile"], fit_questions=talk.LEAST_DISCUSSIONS - 1)
    (outcome,) = result.outcomes
    assert "talk_below" not in outcome.transcripts[0].settings
    assert {one.rounds for one in outcome.transcripts} == {2}


def test_talk_is_worth_something_only_where_it_was_right_more_often() -> None:
    share = np.linspace(0.1, 0.9, 100)
    helps = np.where(share < 0.5, 1.0, -1.0)
    below, gain = talk.worth(share, helps)
    assert below == pytest.approx(0.5)
    assert gain == pytest.approx(0.5)
    assert talk.worth(share, -np.ones(100)) == (0.0, 0.0)
    assert talk.worth(share, np.zeros(100)) == (0.0, 0.0)
    luck = np.zeros(100)
    luck[:2] = (1.0, -1.0)
    assert talk.worth(share, luck)[0] == 0.0


async def test_a_chat_uses_the_runs_rule_and_asks_nobody_for_it(talkers: dict[str, Any], tmp_path: Path) -> None:
    table = tmp_path / "profile.jsonl"
    run(talkers, rounds=2, methods=["reconcile", "each"]).profile.table.write(table)
    talkers["service"] = {"log": "none", "profile": str(table)}
    async with served(talkers) as client:
        before = sum(asked().values())
        question = [{"role": "user", "content": "Which colour is case 61 ?"}]
        reply = await post(client, model="reconcile", messages=question, collegium={"kind": "text"})
        told = reply.json()["collegium"]
        assert told["talk"]["fitted"] == 60
        assert told["talk"]["moves"]["first"] > 0
        assert told["answer"] == "blue"
        assert sum(asked().values()) - before <= 3 * 3

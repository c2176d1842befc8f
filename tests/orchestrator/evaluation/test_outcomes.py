"""Failed, abstained, unreadable and wrong are four numbers, in tables, reports, on the terminal, and in exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.question import Question
from agents.reply import parse_reply
from orchestrator.cli import group
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.outcomes import declines, outcome_of
from tests.scripts.misbehaving import Misbehaving


@pytest.mark.parametrize(
    ("text", "error", "kind"),
    [
        ("Answer: yes", None, "right"),
        ("Answer: no", None, "wrong"),
        ("", None, "abstained"),
        ("I thought a lot.\nAnswer: I don't know\nConfidence: 0.1", None, "abstained"),
        ("Answer: unknown.", None, "abstained"),
        ("The river is long and", None, "unreadable"),
        ("", "HTTP 500", "failed"),
    ],
)
def test_a_reply_is_one_of_five_things(text: str, error: str | None, kind: str) -> None:
    question = Question(id="q", question="Is it?", kind="yesno", answer="yes")
    reply = parse_reply(text, question)
    found = ExpertReply(question, "a", reply, reply.answer == "yes", None, error)
    assert outcome_of(found) == kind


def test_a_budget_is_kept_and_the_same_command_goes_on_from_there(
    tmp_path: Path, upstream: Misbehaving, run: Any
) -> None:
    before = upstream.asked["whole"]
    command = ("profile", "--max-tokens", "20")
    code, output, _ = run(tmp_path, upstream, ["whole"], *command, budget={"tokens": 250})
    assert code == 1
    assert "budget.tokens: " in output
    assert "of 250 tokens are spent" in output
    asked = upstream.asked["whole"] - before
    assert 1 <= asked < 6
    assert asked * 49 <= 250
    code, output, _ = run(tmp_path, upstream, ["whole"], *command, budget={"tokens": 250})
    assert code == 0, output  # what was paid for is in the ledger
    assert upstream.asked["whole"] - before == 6


def test_a_budget_in_money_needs_prices(tmp_path: Path, upstream: Misbehaving, run: Any) -> None:
    code, output, _ = run(tmp_path, upstream, ["whole"], "profile", budget={"dollars": 0.1})
    assert code == 2
    assert "the price of expert 'whole' is not known" in output


def test_an_experts_model_is_discovered_at_its_server(tmp_path: Path, upstream: Misbehaving) -> None:
    config = tmp_path / "collegium.yaml"
    add = ["experts", "add", "far", "--url", upstream.url, "--discover", "--config", str(config)]
    unsure = CliRunner().invoke(group, add)
    assert "choose one with --model: fine, broken" in str(unsure.exception)
    wrong = CliRunner().invoke(group, [*add, "--model", "fin"])
    assert "did you mean 'fine'?" in str(wrong.exception)
    assert not config.exists()
    assert CliRunner().invoke(group, [*add, "--model", "fine"]).exit_code == 0
    assert "model: fine" in config.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "I am not sure.",
        "I'm not certain",
        "Answer: I am not sure.\nConfidence: 0.2",
        "Sorry, but I don't know.",
        "I cannot answer this question.",
        "It cannot be determined.",
        "I have no idea.",
        "I abstain.",
        "",
    ],
)
def test_a_reply_that_says_it_has_no_answer_abstains(text: str) -> None:
    assert declines(text)


@pytest.mark.parametrize("text", ["I am sure: blue.", "None of them is red", "Not sure, but blue", "The unknown is x."])
def test_a_reply_that_says_something_is_no_abstention(text: str) -> None:
    assert not declines(text)

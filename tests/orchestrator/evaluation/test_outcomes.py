"""Failed, abstained, unreadable and wrong are four numbers, in tables, reports, on the terminal, and in exit codes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agents.question import Question
from agents.reply import parse_reply
from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.outcomes import outcome_of
from router.table import Table
from tests.scripts.misbehaving import COST, Misbehaving, misbehaving


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


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


def run(
    tmp_path: Path, upstream: Misbehaving, models: list[str], *command: str, **settings: Any
) -> tuple[int, str, Path]:
    """Exit code and output of a command on these models; questions have the answer yes."""
    questions = tmp_path / "questions.jsonl"
    rows = [
        {"id": f"{split}{n}", "question": f"Is {split} {n} so?", "answer": "yes", "kind": "yesno", "split": split}
        for split in ("validation", "test")
        for n in range(6)
    ]
    questions.write_text("".join(json.dumps(row) + "\n" for row in rows))
    experts = {
        model: {
            "url": "http://127.0.0.1:9/v1" if model == "refused" else upstream.url,
            "model": model,
            "tries": 1,
            "timeout": 1,
        }
        for model in models
    }
    config = tmp_path / "collegium.yaml"
    state = {"state": str(tmp_path / "state"), "runs": str(tmp_path / "runs")}
    config.write_text(json.dumps({"experts": experts, **state, **settings}))
    arguments = [*command, "--task", str(questions), "--config", str(config), "--questions", "6"]
    done = CliRunner().invoke(group, arguments)
    if isinstance(done.exception, CollegiumError):
        return done.exception.exit_code, str(done.exception), tmp_path
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output, tmp_path


def test_a_profile_has_no_cell_for_what_failed_and_says_who(tmp_path: Path, upstream: Misbehaving) -> None:
    table = tmp_path / "table.jsonl"
    code, output, _ = run(tmp_path, upstream, ["fine", "refused", "html"], "profile", "--out", str(table))
    assert code == 0, output
    assert "2 experts answered nothing" in output
    assert "refused answered nothing: Unreachable (6x)" in output
    assert "0.0%" not in output
    found = Table.read(table)
    assert found.experts == ("fine",)
    for row in found.rows:
        assert row.correct == {"fine": 1.0}
        assert set(row.extra["failed"]) == {"refused", "html"}
        assert row.extra["failed"]["html"].startswith("UpstreamError: ")
        assert row.extra["cost"] == {"fine": COST}
        assert row.extra["cost_unit"] == "USD"


def test_nothing_to_score_is_an_error_and_no_table(tmp_path: Path, upstream: Misbehaving) -> None:
    table = tmp_path / "table.jsonl"
    code, output, _ = run(tmp_path, upstream, ["refused", "broken"], "profile", "--out", str(table))
    assert code == 1
    assert "no expert gave an answer: refused: Unreachable" in output
    assert not table.exists()


def test_a_run_falls_back_and_counts_what_failed(tmp_path: Path, upstream: Misbehaving) -> None:
    methods = "each,best,vote,single"
    code, output, folder = run(tmp_path, upstream, ["broken", "fine"], "run", "--methods", methods, "--json")
    assert code == 0, output
    report: dict[str, Any] = json.loads(output[output.index("{") :])
    found = {one["method"]: one for one in report["methods"]}
    for method in ("best", "vote", "single"):
        assert found[method]["overall"]["value"] == 1.0
        assert found[method]["counts"] == {"right": 6, "wrong": 0, "abstained": 0, "unreadable": 0, "failed": 0}
        assert found[method]["cost"]["dollars"] == pytest.approx(6 * COST)
    cells = dict(zip(report["matrix"]["experts"], report["matrix"]["cells"], strict=True))
    assert cells["broken"][0]["n"] == 0
    assert any("broken answered nothing: UpstreamError" in line for line in report["warnings"])
    assert folder.exists()


def test_a_budget_is_kept_and_the_same_command_goes_on_from_there(tmp_path: Path, upstream: Misbehaving) -> None:
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


def test_a_budget_in_money_needs_prices(tmp_path: Path, upstream: Misbehaving) -> None:
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

"""`collegium chat` as a shell sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import chat, group
from orchestrator.errors import BadInput, ExpertFailed


def call(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(group, ["chat", *arguments], input=typed, catch_exceptions=True)


def test_a_question_in_a_pipe_gives_one_answer(zoo: Path) -> None:
    done = call(typed="Which word is it?\n")
    assert done.exit_code == 0, (done.output, done.exception)
    assert done.stdout == "Easy.\nAnswer: a\nConfidence: 0.9\n"
    same = call("--model", "coins", "Is", "the coin", "up?")
    assert same.stdout == "Easy.\nAnswer: yes\nConfidence: 0.9\n"


def test_why_goes_to_standard_error(zoo: Path) -> None:
    done = call("--model", "reconcile", "--why", typed="Which word is it?\n")
    assert done.exit_code == 0, (done.output, done.exception)
    assert "Answer: a" in done.stdout
    assert "asked: " not in done.stdout
    assert "asked: words, coins" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "typed", "message"),
    [
        ((), "  \n", "no question: give one"),
        (("--model", "nobody"), "Hello", "no model 'nobody'; there are words, coins"),
        (("--attach", "http://127.0.0.1:9", "--set", "seed=1"), "Hello", "leave out --config and --set"),
        (("--attach", "localhost:8000"), "Hello", "http:// or https://"),
    ],
)
def test_bad_input_is_refused_by_name(zoo: Path, arguments: tuple[str, ...], typed: str, message: str) -> None:
    done = call(*arguments, typed=typed)
    assert isinstance(done.exception, BadInput)
    assert message in str(done.exception)


def test_a_service_that_is_not_there_is_named(zoo: Path) -> None:
    done = call("--attach", "http://127.0.0.1:9", typed="Hello")
    assert isinstance(done.exception, ExpertFailed)
    assert "http://127.0.0.1:9" in str(done.exception)


def test_a_long_text_is_refused(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_INPUT", 10)
    done = call(typed="x" * 11)
    assert "more than 10 characters" in str(done.exception)
    whole: Any = call(typed="Which word")
    assert whole.exit_code == 0

"""A conversation: turns join it whole, commands act, nothing of a model's text steers the terminal."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest

from orchestrator.cli import chat_session
from orchestrator.cli.chat_session import ChatSession, safe
from orchestrator.cli.chat_sources import ChatAccount, ChatPart, Messages, ReplyPart, ThoughtPart
from orchestrator.errors import BadInput, ExpertFailed


class Scripted:
    """Repeats what it is asked."""

    place = "a test"

    def __init__(self) -> None:
        self.asked: list[tuple[str, Messages]] = []
        self.closed = 0

    def models(self) -> list[str]:
        return ["words", "coins"]

    def ask(self, model: str, messages: Messages) -> Generator[ChatPart]:
        self.asked.append((model, list(messages)))
        text = messages[-1][1]
        if text == "fail":
            raise ExpertFailed("its server is gone")
        try:
            yield ThoughtPart("hm")
            yield ReplyPart(f"{model}: ")
            if text == "stop":
                raise KeyboardInterrupt
            yield ReplyPart(f"{text}\x1b[2J")
            yield ChatAccount((model,), 1, 2, explanation={"method": "mixture", "asked": [model]})
        finally:
            self.closed += 1


def talk(*lines: str, model: str | None = None, why: bool = False) -> Scripted:
    source = Scripted()
    typed = iter(lines)

    def read() -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    ChatSession(source, model, why=why).converse(read)
    return source


def test_turns_join_the_conversation_and_the_model_can_be_changed(capsys: pytest.CaptureFixture[str]) -> None:
    source = talk("one", "/model coins", "two", "/new", "/system Be brief.", "three")
    assert [model for model, _ in source.asked] == ["words", "coins", "coins"]
    assert source.asked[1][1] == [("user", "one"), ("assistant", "words: one\x1b[2J"), ("user", "two")]
    assert source.asked[2][1] == [("system", "Be brief."), ("user", "three")]
    output = capsys.readouterr().out
    assert "words: one[2J" in output
    assert "\x1b[2J" not in output
    assert "from words" in output
    assert "/why" in output


def test_why_unfolds_and_thoughts_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    talk("/why", "one", "/why", "/thoughts")
    output = capsys.readouterr().out
    assert "✗ /why: nothing has been answered yet" in output
    assert output.count("asked: words") == 1
    assert "\nhm\n" in output
    talk("one", why=True)
    assert "asked: words" in capsys.readouterr().out


def test_what_failed_or_was_stopped_is_no_part_of_the_conversation(capsys: pytest.CaptureFixture[str]) -> None:
    source = talk("fail", "stop", "one")
    assert source.asked[2][1] == [("user", "one")]
    assert source.closed == 2
    output = capsys.readouterr().out
    assert "✗ its server is gone" in output
    assert "stopped: " in output


def test_commands_that_there_are_not_are_refused_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    source = talk("/modle coins", "/model nobody", "/model", "/help", "", "/quit", "never asked")
    assert not source.asked
    output = capsys.readouterr().out
    assert "✗ /modle: no such command" in output
    assert "✗ no model 'nobody'; there are words, coins" in output
    assert "[words], coins" in output
    assert "Alt+Enter" in output
    with pytest.raises(BadInput, match="no model 'nobody'"):
        talk(model="nobody")


def test_one_answer_is_all_that_standard_output_gets(capsys: pytest.CaptureFixture[str]) -> None:
    ChatSession(Scripted(), "coins", why=True).answer_once("one")
    captured = capsys.readouterr()
    assert captured.out == "coins: one[2J\n"
    assert "asked: coins" in captured.err


def test_a_text_keeps_lines_tabs_and_joined_signs() -> None:
    assert safe("a\n\tb\r\x07\u202e\u200d") == "a\n\tb\u200d"


def test_what_was_typed_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    history = tmp_path / "state" / "chat_history"
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        session = chat_session._prompt_session(["words"], history)
        keys.send_text("first\x1b\rsecond\r")  # Alt+Enter between them
        assert session.prompt("> ") == "first\nsecond"
    assert "+first\n+second" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0

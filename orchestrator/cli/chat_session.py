"""A conversation: what was asked and answered, the commands, the answer as it streams."""

from __future__ import annotations

import contextlib
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from orchestrator.cli.chat_account import folded, unfolded
from orchestrator.cli.chat_sources import ChatAccount, ChatSource, ReplyPart, ThoughtPart
from orchestrator.cli.lines import tell
from orchestrator.errors import BadInput, CollegiumError
from orchestrator.private_files import private_file

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

COMMANDS = {
    "/model": "/model NAME: ask another expert or method; without NAME: list them",
    "/why": "/why: who was asked for the last answer, and why; the votes, the discussion",
    "/thoughts": "/thoughts: what was reasoned on the way to the last answer",
    "/new": "/new: a new conversation, with the same model",
    "/system": "/system TEXT: the system message from now on; without TEXT: none",
    "/help": "/help: this list; Enter sends, Alt+Enter is a new line, Ctrl-C stops an answer",
    "/quit": "/quit, or Ctrl-D: the end",
}


class ChatSession:
    """One conversation after another with one source."""

    def __init__(
        self,
        source: ChatSource,
        model: str | None,
        *,
        system: str | None = None,
        why: bool = False,
        max_tokens: int | None = None,
        history: Path | None = None,
    ) -> None:
        """`history`: file of what was typed before; None: nothing is kept. Raises `BadInput` for a model that the
        source does not have."""
        self._source = source
        self._models = source.models()
        if not self._models:
            raise BadInput(f"{source.place}: there is nobody to talk to")
        self.model = self._known(model) if model else self._models[0]
        self._system = system
        self._why = why
        self._max_tokens = max_tokens
        self._turns: list[tuple[str, str]] = []
        self._account: ChatAccount | None = None
        self._thoughts = ""
        self._ends_with_newline = False
        self._history = history

    def answer_once(self, question: str) -> None:
        """Print the answer on standard output, and nothing else there. Raises what the source raises."""
        account = self._answer(question, _write)
        click.echo("" if self._ends_with_newline else "\n", nl=False)
        if account.finish_reason == "length":
            tell("collegium: the answer is cut: raise --max-tokens", err=True)
        if self._why:
            for line in unfolded(account):
                tell(line, err=True)

    def converse(self, read: Callable[[], str] | None = None) -> None:
        """Read, answer, until the end of the input. `read` replaces the keyboard; raises EOFError at the end."""
        read = read or self._keyboard()
        tell(f"{self._source.place}. You talk to {self.model}; /model lists {len(self._models)}, /help helps.")
        while True:
            try:
                text = read().strip()
            except EOFError:
                return
            except KeyboardInterrupt:
                continue
            if text in ("/quit", "/exit"):
                return
            if not text:
                continue
            try:
                if text.startswith("/"):
                    self._command(text)
                else:
                    self._turn(text)
            except CollegiumError as error:
                tell(f"✗ {error}")

    def _turn(self, text: str) -> None:
        started = time.monotonic()
        try:
            account = self._answer(text, _write)
        except KeyboardInterrupt:
            click.echo()
            tell("stopped: the question and the part of an answer are left out of the conversation", dim=True)
            return
        click.echo("" if self._ends_with_newline else "\n", nl=False)
        tell(folded(account, time.monotonic() - started, max_tokens=self._max_tokens), dim=True)
        if self._why:
            self._show_why()
        click.echo()

    def _answer(self, question: str, write: Callable[[str], object]) -> ChatAccount:
        """Ask and write the answer as it comes; it joins the conversation once it is whole."""
        messages = [*([("system", self._system)] if self._system else []), *self._turns, ("user", question)]
        answer, thoughts, account = "", "", ChatAccount()
        with contextlib.ExitStack() as stack:
            waiting = stack.enter_context(contextlib.ExitStack())
            waiting.enter_context(_waiting(f"{self.model} ..."))
            parts = stack.enter_context(contextlib.closing(self._source.ask(self.model, messages)))
            for part in parts:
                if isinstance(part, ReplyPart):
                    waiting.close()
                    answer += part.text
                    write(safe(part.text))
                elif isinstance(part, ThoughtPart):
                    thoughts += part.text
                else:
                    account = part
        self._turns += [("user", question), ("assistant", answer)]
        self._account, self._thoughts = account, thoughts
        self._ends_with_newline = answer.endswith("\n")
        return account

    def _command(self, text: str) -> None:
        name, _, rest = text.partition(" ")
        rest = rest.strip()
        if name == "/model" and not rest:
            tell(", ".join(f"[{one}]" if one == self.model else one for one in self._models))
        elif name == "/model":
            self.model = self._known(rest)
            tell(f"from now on: {self.model}")
        elif name == "/why":
            self._show_why()
        elif name == "/thoughts":
            click.echo(safe(self._thoughts).strip() or "nothing was reasoned aloud")
        elif name == "/new":
            self._turns, self._account, self._thoughts = [], None, ""
            tell("a new conversation")
        elif name == "/system":
            self._system = rest or None
            tell("system message set" if rest else "no system message")
        elif name == "/help":
            for line in COMMANDS.values():
                tell(line)
        else:
            raise BadInput(f"{name[:40]}: no such command; there are {', '.join(COMMANDS)}")

    def _show_why(self) -> None:
        if self._account is None:
            raise BadInput("/why: nothing has been answered yet")
        for line in unfolded(self._account):
            tell(f"  {line}", indent="    ", dim=True)

    def _known(self, model: str) -> str:
        if model not in self._models:
            raise BadInput(f"no model {model[:80]!r}; there are {', '.join(self._models)}")
        return model

    def _keyboard(self) -> Callable[[], str]:
        session = _prompt_session(self._models, self._history)
        return lambda: str(session.prompt(f"{self.model}> "))


def safe(text: str) -> str:
    """A model's text without characters that steer a terminal; lines and tabs stay."""
    return "".join(
        one for one in text if one in "\n\t" or unicodedata.category(one) not in ("Cc", "Cf") or one == "\u200d"
    )


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


@contextlib.contextmanager
def _waiting(words: str) -> Iterator[None]:
    """A moving line on a terminal until the first word is there."""
    console = Console(stderr=True)
    with console.status(words) if console.is_terminal else contextlib.nullcontext():
        yield


def _prompt_session(models: Sequence[str], history: Path | None) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import NestedCompleter
    from prompt_toolkit.history import FileHistory, InMemoryHistory
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("c-j")
    def _(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    completer = NestedCompleter.from_nested_dict({**dict.fromkeys(COMMANDS), "/model": dict.fromkeys(models)})
    return PromptSession(
        history=FileHistory(str(private_file(history))) if history else InMemoryHistory(),
        completer=completer,
        complete_while_typing=False,
        multiline=True,
        key_bindings=keys,
        prompt_continuation="... ",
    )

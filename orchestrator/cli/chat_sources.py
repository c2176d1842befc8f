"""Whoever answers in `collegium chat`: the zoo of this process, or a service elsewhere. Both stream the same parts."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import httpx
from httpx_sse import EventSource

from orchestrator.client import error_of
from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput, CollegiumError, ExpertFailed, every_error
from orchestrator.evaluation.route import last_table

Messages = Sequence[tuple[str, str]]
"""(role, text) of each turn."""
CONNECT_SECONDS, SILENT_SECONDS = 10.0, 600.0


@dataclass(frozen=True)
class ReplyPart:
    """More of the answer."""

    text: str


@dataclass(frozen=True)
class ThoughtPart:
    """More of what is said on the way to the answer."""

    text: str


@dataclass(frozen=True)
class ChatAccount:
    """Last: how the answer came about."""

    experts: tuple[str, ...] = ()
    prompt_tokens: int = 0
    reply_tokens: int = 0
    cost: float | None = None
    """US dollars; None: not known."""
    cached: bool = False
    """It came from the ledger."""
    finish_reason: str = "stop"
    explanation: Mapping[str, Any] = field(default_factory=dict)
    """As the service's `collegium` field has it; empty: one expert answered, there is nothing to explain."""


ChatPart = ReplyPart | ThoughtPart | ChatAccount


class ChatSource(Protocol):
    """Answers chats."""

    @property
    def place(self) -> str:
        """Where it is, in words."""
        ...

    def models(self) -> list[str]:
        """The ids that can be asked, the one to begin with first."""
        ...

    def ask(self, model: str, messages: Messages) -> Generator[ChatPart]:
        """The answer as it comes; closing the generator stops it. Raises `CollegiumError`s."""
        ...


class LocalSource:
    """The zoo of a configuration, in this process."""

    def __init__(self, collegium: Collegium, settings: Mapping[str, Any]) -> None:
        """`settings`: max_tokens, temperature, where they are given."""
        self._collegium = collegium
        self._settings = dict(settings)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return f"{len(self._collegium.experts)} experts here, engine {self._collegium.engine}"

    def models(self) -> list[str]:
        """Experts and methods; mixture first if there is a profile to route by."""
        from orchestrator.chats.methods import methods_of

        methods = list(methods_of(self._collegium.config))
        experts = list(self._collegium.experts)
        try:
            last_table(self._collegium.config)
        except BadInput:
            return list(dict.fromkeys([*experts, *methods]))
        return list(dict.fromkeys(["mixture", *experts, *methods]))

    def ask(self, model: str, messages: Messages) -> Generator[ChatPart]:
        """See `ChatSource`."""
        whole = {} if model in self._collegium.experts else {"explain": True}
        chat = self._collegium.chat(model, **self._settings, **whole)
        account = ChatAccount()
        with contextlib.closing(chat.stream(list(messages))) as chunks:  # type: ignore[type-var]  # a generator
            for chunk in chunks:
                if thought := chunk.additional_kwargs.get("reasoning_content"):
                    yield ThoughtPart(str(thought))
                if text := str(chunk.content):
                    yield ReplyPart(text)
                if "finish_reason" in chunk.response_metadata:
                    account = _account(model, chunk.response_metadata, chunk.usage_metadata)
        yield account


def _account(model: str, metadata: Mapping[str, Any], usage: Any) -> ChatAccount:
    explanation = metadata.get("collegium") or {}
    return ChatAccount(
        tuple(metadata.get("experts", [model])),
        usage["input_tokens"] if usage else 0,
        usage["output_tokens"] if usage else 0,
        metadata.get("cost"),
        _from_ledger(explanation) or bool(metadata.get("cached")),
        str(metadata["finish_reason"]),
        explanation,
    )


def _from_ledger(explanation: Mapping[str, Any]) -> bool:
    return bool(explanation.get("calls")) and explanation["calls"] == explanation.get("cached_calls")


class ServiceSource:
    """A service elsewhere: `collegium serve`."""

    def __init__(
        self,
        url: str,
        key: str | None,
        settings: Mapping[str, Any],
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network, for tests. Raises `BadInput` for what is no address."""
        self._url = url.rstrip("/").removesuffix("/v1")
        if not self._url.startswith(("http://", "https://")):
            raise BadInput(f"--attach {url}: an address beginning with http:// or https:// was expected")
        self._settings = dict(settings)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(SILENT_SECONDS, connect=CONNECT_SECONDS)
        self._client = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, transport=transport)

    @property
    def place(self) -> str:
        """Where it is, in words."""
        return self._url

    def models(self) -> list[str]:
        """What /v1/models lists: what can be asked now comes first."""
        with self._errors():
            response = self._client.get("/v1/models")
            if response.status_code != 200:
                raise error_of(response, response.content)
            try:
                return list(dict.fromkeys(str(one["id"]) for one in response.json()["data"]))
            except (ValueError, KeyError, TypeError):
                raise BadInput(f"--attach {self._url}: this is no Collegium: it sent no list of models") from None

    def ask(self, model: str, messages: Messages) -> Generator[ChatPart]:
        """See `ChatSource`."""
        body = {
            "model": model,
            "messages": [{"role": role, "content": text} for role, text in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            "collegium": {"explain": True},
            **self._settings,
        }
        explanation: dict[str, Any] = {}
        usage: dict[str, Any] = {}
        reason = ""
        with self._errors(), self._client.stream("POST", "/v1/chat/completions", json=body) as response:
            if response.status_code != 200:
                raise error_of(response, response.read())
            for event in EventSource(response).iter_sse():
                if not event.data.startswith("{"):
                    continue
                data = json.loads(event.data)
                if "error" in data:
                    raise _in_the_stream(data["error"])
                usage = data.get("usage") or usage
                found = data.get("collegium") or {}
                explanation = found if found and "event" not in found else explanation
                for choice in data.get("choices", ()):
                    reason = choice.get("finish_reason") or reason
                    delta = choice.get("delta") or {}
                    if thought := delta.get("reasoning_content"):
                        yield ThoughtPart(thought)
                    if text := delta.get("content"):
                        yield ReplyPart(text)
        if not reason:
            raise ExpertFailed(f"{self._url}: the connection ended before the answer was complete")
        yield ChatAccount(
            tuple(explanation.get("experts", [model])),
            usage.get("prompt_tokens", 0),
            usage.get("completion_tokens", 0),
            explanation.get("cost"),
            _from_ledger(explanation),
            reason,
            explanation,
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            words = f"{self._url}: {type(error).__name__}: {error}"
            raise ExpertFailed(f"{words}; is `collegium serve` running there?") from error


def _in_the_stream(error: Mapping[str, Any]) -> CollegiumError:
    """An error that arrived after a part of the answer, as the class that it was at the service."""
    found = next((kind for kind in every_error() if kind.code == error.get("code")), ExpertFailed)
    return found(str(error.get("message", "the service failed"))[:2000])

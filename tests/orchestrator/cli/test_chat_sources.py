"""The zoo here and a service elsewhere stream the same parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.cli.chat_sources import ChatAccount, ChatSource, LocalSource, ReplyPart, ServiceSource, ThoughtPart
from orchestrator.collegium import Collegium
from orchestrator.errors import BadInput, CollegiumError, ExpertFailed, RequestError, UpstreamTimeout


def answer(source: ChatSource, model: str, text: str) -> tuple[str, str, ChatAccount]:
    parts = list(source.ask(model, [("user", text)]))
    words = "".join(one.text for one in parts if isinstance(one, ReplyPart))
    thoughts = "".join(one.text for one in parts if isinstance(one, ThoughtPart))
    (account,) = [one for one in parts if isinstance(one, ChatAccount)]
    assert parts[-1] is account
    return words, thoughts, account


def test_an_expert_and_a_discussion_of_the_zoo_here(zoo: Path) -> None:
    with Collegium(zoo) as collegium:
        source = LocalSource(collegium, {"max_tokens": 64})
        assert source.models()[:2] == ["words", "coins"]  # no profile: mixture comes later
        assert {"mixture", "vote", "reconcile"} < set(source.models())
        words, _, account = answer(source, "words", "Which word?")
        assert words.startswith("Easy.")
        assert account.experts == ("words",)
        assert not account.explanation
        _, thoughts, account = answer(source, "reconcile", "Which word number 3?")
        assert "words: Easy." in thoughts
        assert set(account.experts) == {"words", "coins"}
        assert account.explanation["transcript"]["turns"]
        with pytest.raises(BadInput, match="no expert or method 'nobody'"):
            answer(source, "nobody", "Hello")


def service(handler: Callable[[httpx.Request], httpx.Response]) -> ServiceSource:
    return ServiceSource("http://somewhere:8000/v1", "key", {}, transport=httpx.MockTransport(handler))


def events(*lines: str) -> httpx.Response:
    body = "".join(f"data: {line}\n\n" for line in lines)
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, text=body)


def test_a_services_stream() -> None:
    seen: list[Any] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return events(
            '{"choices": [{"delta": {"reasoning_content": "words: hm"}}], "collegium": {"event": {"expert": "words"}}}',
            '{"choices": [{"delta": {"content": "ye"}}]}',
            '{"choices": [{"delta": {"content": "s"}}]}',
            '{"choices": [{"delta": {}, "finish_reason": "stop"}], '
            '"collegium": {"experts": ["words"], "cost": 0.5, "calls": 1, "cached_calls": 1}}',
            '{"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}',
            "[DONE]",
        )

    words, thoughts, account = answer(service(handle), "mixture", "Is it?")
    assert (words, thoughts) == ("yes", "words: hm")
    assert (account.experts, account.prompt_tokens, account.reply_tokens) == (("words",), 3, 2)
    assert (account.cost, account.cached, account.finish_reason) == (0.5, True, "stop")
    assert seen[0].headers["Authorization"] == "Bearer key"
    assert seen[0].url.path == "/v1/chat/completions"


def test_what_goes_wrong_at_a_service_is_raised_as_what_it_was() -> None:
    cases: list[tuple[httpx.Response, type[CollegiumError], str]] = [
        (httpx.Response(404, json={"error": {"message": "no such model", "code": "x"}}), RequestError, "no such model"),
        (events('{"error": {"message": "too slow", "code": "upstream_timeout"}}'), UpstreamTimeout, "too slow"),
        (events('{"choices": [{"delta": {"content": "ye"}}]}'), ExpertFailed, "before the answer was complete"),
    ]
    for response, kind, message in cases:
        with pytest.raises(kind, match=message):
            answer(service(lambda request, response=response: response), "mixture", "Is it?")

    def refused(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ExpertFailed, match="is `collegium serve` running there"):
        service(refused).models()


def test_a_services_models_stay_in_its_order() -> None:
    listed = [{"id": "words"}, {"id": "counts"}, {"id": "words"}, {"id": "mixture"}]
    models = service(lambda request: httpx.Response(200, json={"data": listed})).models()
    assert models == ["words", "counts", "mixture"]


def test_what_is_no_service_is_refused() -> None:
    with pytest.raises(BadInput, match="http:// or https://"):
        ServiceSource("somewhere:8000", None, {})
    with pytest.raises(BadInput, match="no Collegium"):
        service(lambda request: httpx.Response(200, text="<html>")).models()

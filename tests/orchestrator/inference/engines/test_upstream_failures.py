"""What a server's status, its error bodies and a broken connection mean."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import httpx
import pytest

from orchestrator import errors
from orchestrator.inference.engines.upstream_failures import (
    MAX_MESSAGE,
    message_of,
    of_event,
    of_exception,
    of_status,
    remaining_requests,
    retry_after,
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (408, "", errors.UpstreamTimeout),
        (504, "", errors.UpstreamTimeout),
        (429, "slow down", errors.RateLimited),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, errors.UpstreamRefused),
        (503, "", errors.UpstreamBusy),
        (529, "", errors.UpstreamBusy),
        (500, "", errors.UpstreamError),
        (413, "", errors.PromptTooLong),
        (400, "This model's maximum context length is 8192 tokens", errors.PromptTooLong),
        (400, {"error": {"code": "content_filter", "message": "no"}}, errors.ContentFiltered),
        (400, "bad", errors.UpstreamRefused),
        (401, "", errors.UpstreamRefused),
        (301, "", errors.UpstreamRefused),
    ],
)
def test_a_status_has_its_type(status: int, body: Any, kind: type[errors.CollegiumError]) -> None:
    error = of_status(status, body, {"location": "http://elsewhere"})
    assert type(error) is kind
    assert str(status) in str(error)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"code": 429, "message": "x"}, errors.RateLimited),
        ({"code": "503", "message": "x"}, errors.UpstreamBusy),
        ({"message": "Overloaded"}, errors.UpstreamBusy),
        ({"type": "x", "message": "rate limit reached"}, errors.RateLimited),
        ({"message": "prompt is too long"}, errors.PromptTooLong),
        ({"code": True, "message": "x"}, errors.UpstreamError),
        ("strange", errors.UpstreamError),
    ],
)
def test_an_error_within_a_stream_has_its_type(event: Any, kind: type[errors.CollegiumError]) -> None:
    assert type(of_event(event, {})) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ConnectError("refused"), errors.Unreachable),
        (httpx.ReadTimeout("slow"), errors.UpstreamTimeout),
        (ConnectionResetError(), errors.Unreachable),
        (ValueError("odd"), errors.UpstreamError),
        (errors.RateLimited("slow"), errors.RateLimited),
    ],
)
def test_an_exception_has_its_type(error: Exception, kind: type[errors.CollegiumError]) -> None:
    assert type(of_exception(error)) is kind


def test_a_message_is_one_bounded_line() -> None:
    assert message_of({"error": {"message": "a\n b"}}) == message_of({"detail": "a b"}) == "a b"
    assert len(message_of("x" * 100_000)) == MAX_MESSAGE


def test_how_long_a_server_asks_to_wait() -> None:
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after": "9"}) == 9
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 90 < (retry_after({"retry-after": date}) or 0) <= 100
    for nonsense in ("soon", "-5", "nan", ""):
        assert retry_after({"retry-after": nonsense}) is None
    assert retry_after({}) is None


def test_what_a_server_still_allows_is_the_scarcer_of_requests_and_tokens() -> None:
    head = {"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "1m30s"}
    assert remaining_requests(head) == (7, 90.0)
    none_left = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "20ms"}
    assert remaining_requests(head | none_left) == (0, 0.02)
    assert (
        remaining_requests({"x-ratelimit-remaining-requests": "7", "x-ratelimit-reset-requests": "2024-01-01"}) is None
    )
    assert remaining_requests({}) is None


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("'max_tokens' is not supported: use 'max_completion_tokens'", "set the expert's max_completion_tokens: true"),
        ("Unsupported value: 'temperature' does not support 0", "set the expert's leave_out: [temperature]"),
        ("bad", None),
    ],
)
def test_a_field_that_a_server_does_not_take_comes_with_its_remedy(message: str, remedy: str | None) -> None:
    error = str(of_status(400, message, {}))
    assert error.endswith(remedy or message)

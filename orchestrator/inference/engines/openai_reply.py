"""A server's events, or its one body, as deltas of one reply. Nothing that a server sends is trusted to be of its
type: what cannot be understood becomes an `UpstreamError`."""

from __future__ import annotations

import json
import math
from typing import Any

from orchestrator.errors import ContentFiltered, Unreachable, UpstreamError
from orchestrator.inference.engines.openai_body import chosen
from orchestrator.inference.engines.tools import MAX_CALLS, ParsedCall, format_calls
from orchestrator.inference.request import Delta, FinishReason, TokenLogprob, UpstreamUsage

FINISHES: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
    "content_filter": "content_filter",
    "SAFETY": "content_filter",
}
"""Every other word ends the reply as "stop" does: what was said stands."""
MAX_COST = 1000.0
"""US dollars of one reply: what a server states beyond that is not believed."""
REASONING_KEYS = ("reasoning_content", "reasoning")
"""DeepSeek, vLLM and others; OpenRouter."""


class ReplyReader:
    """Puts a reply's events together. With `choices` the text is held back and must be one of them; calls of tools
    come last, as text."""

    def __init__(
        self, key: str, choices: list[str] | None = None, *, may_be_empty: bool = False, tools: bool = True
    ) -> None:
        """`may_be_empty`: a reply without text is one, as where a stop text comes first. `tools`: some were offered;
        calls of others are no reply."""
        self._key = key
        self._choices = choices
        self._may_be_empty = may_be_empty
        self._tools = tools
        self._half = ""
        """The first half of a surrogate pair, whose second half the next event has."""
        self._text = ""
        self._tokens = 0
        self._calls: dict[int, _Call] = {}
        self._usage: dict[str, Any] = {}
        self._finish: FinishReason | None = None
        self._started = self._thought = False
        self.done = False
        """The server said [DONE], or sent the reply whole."""

    def take(self, event: dict[str, Any]) -> Delta | None:
        """What one event adds. Raises `UpstreamError`."""
        usage = event.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choice = _first(event.get("choices"))
        if choice is None:
            return None
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        if isinstance(choice.get("text"), str) and "content" not in delta:
            delta = {**delta, "content": choice["text"]}
        text, reasoning = _content(delta)
        text = self._whole_characters(text)
        reasoning = reasoning.encode("utf-8", "replace").decode("utf-8")
        self._take_calls(delta.get("tool_calls"))
        if isinstance(delta.get("function_call"), dict):  # from before there were tools
            self._take_calls([{"index": 0, "function": delta["function_call"]}])
        logprobs = _logprobs(choice.get("logprobs"))
        if reason := choice.get("finish_reason"):
            if reason == "error":
                raise UpstreamError("the server ended the reply with an error")
            self._finish = FINISHES.get(str(reason), "stop")
        self._started = self._started or bool(text.strip())
        self._thought = self._thought or bool(reasoning)
        if not text and not logprobs and not reasoning:
            return None
        tokens = len(logprobs) or 1
        self._tokens += tokens
        if self._choices is not None:
            self._text += text
            return None
        return Delta(self._key, text=text, tokens=tokens, logprobs=logprobs, reasoning=reasoning)

    def end(self) -> Delta:
        """The last delta. Raises `Unreachable` if the reply broke off, `ContentFiltered` and `UpstreamError` if it says
        nothing."""
        if self._finish is None and not (self.done and (self._started or self._calls)):
            raise UpstreamError("the reply is empty") if self.done else Unreachable("the reply broke off")
        finish = self._finish or "stop"
        text, started = "", self._started
        if self._choices is not None:
            found = chosen(self._text, self._choices)
            if found is None:
                raise UpstreamError(f"the reply {self._text[:80]!r} is none of the choices")
            text = found
        elif self._calls and not self._tools:
            raise UpstreamError("the reply calls tools, and none were offered")
        elif self._calls and finish != "length":  # calls that were cut are none
            text = ("\n" if started else "") + format_calls([call.parsed() for _, call in sorted(self._calls.items())])
            started = True
        if not started and finish == "content_filter":
            raise ContentFiltered("the server withholds the reply")
        if not started and finish == "stop" and not self._may_be_empty:
            raise UpstreamError("the reply is empty" + (": it holds reasoning and no answer" if self._thought else ""))
        counted = _count(self._usage.get("completion_tokens"))
        # A server may put several tokens in one event: what it counts in the end is what it is paid for.
        tokens = self._tokens if counted is None else counted
        return Delta(
            self._key,
            text=text,
            tokens=tokens if self._choices is not None else tokens - self._tokens,
            prompt_tokens=_count(self._usage.get("prompt_tokens")) or 0,
            finish_reason=finish,
            usage=_usage(self._usage),
        )

    def _whole_characters(self, text: str) -> str:
        """The text so far as Unicode: a pair of surrogates that two events share is put together, a lone one becomes a
        question mark."""
        text, self._half = self._half + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        if not any("\ud800" <= sign <= "\udfff" for sign in text):
            return text
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _take_calls(self, parts: Any) -> None:
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict):
                continue
            number, id = part.get("index"), part.get("id")
            if not isinstance(number, int) or isinstance(number, bool):
                # Servers that leave numbers out: a new id begins a new call.
                known = [place for place, call in self._calls.items() if id and call.id == id]
                last = max(self._calls, default=-1)
                number = known[0] if known else last + 1 if id or last < 0 else last
            if number not in self._calls and len(self._calls) >= MAX_CALLS:
                raise UpstreamError(f"a reply with more than {MAX_CALLS} calls of tools")
            self._calls.setdefault(number, _Call(id)).take(part.get("function"))


class _Call:
    """One call of a tool as it arrives."""

    def __init__(self, id: Any) -> None:
        self.id = id
        self._name: list[str] = []
        self._arguments: list[str] = []

    def take(self, function: Any) -> None:
        if not isinstance(function, dict):
            return
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(name, str):
            self._name.append(name)
        if isinstance(arguments, str):
            self._arguments.append(arguments)
        elif isinstance(arguments, dict):
            self._arguments.append(json.dumps(arguments, ensure_ascii=False))

    def parsed(self) -> ParsedCall:
        """Raises `UpstreamError` where the call was cut."""
        name, arguments = "".join(self._name), "".join(self._arguments).strip() or "{}"
        try:
            whole = isinstance(json.loads(arguments), dict) and bool(name)
        except (ValueError, RecursionError):
            whole = False
        if not whole:
            raise UpstreamError(f"a call of the tool {name[:80]!r} was cut: its arguments are {arguments[:80]!r}")
        return ParsedCall(name, arguments)


def _first(choices: Any) -> dict[str, Any] | None:
    """The choice that was asked for, of index 0, whatever others a server adds."""
    for choice in choices if isinstance(choices, list) else ():
        if isinstance(choice, dict) and choice.get("index") in (0, None):
            return choice
    return None


def _content(delta: dict[str, Any]) -> tuple[str, str]:
    """(text, reasoning) of a delta or message; content may come in parts."""
    content = delta.get("content")
    reasoning = next((delta[key] for key in REASONING_KEYS if isinstance(delta.get(key), str)), "")
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict)]
        texts = [part["text"] for part in parts if isinstance(part.get("text"), str) and part.get("type") != "thinking"]
        return "".join(texts), reasoning
    if isinstance(content, str) and content:
        return content, reasoning
    refusal = delta.get("refusal")
    return (refusal if isinstance(refusal, str) else ""), reasoning


def _usage(usage: dict[str, Any]) -> UpstreamUsage | None:
    def inner(key: str, name: str) -> int:
        part = usage.get(key)
        return (_count(part.get(name)) or 0) if isinstance(part, dict) else 0

    cached = inner("prompt_tokens_details", "cached_tokens") or (_count(usage.get("prompt_cache_hit_tokens")) or 0)
    reasoning = inner("completion_tokens_details", "reasoning_tokens")
    cost = _number(usage.get("cost"))
    if cost is not None and not 0 <= cost <= MAX_COST:
        cost = None
    if not cached and not reasoning and cost is None:
        return None
    prompt = _count(usage.get("prompt_tokens")) or 0
    return UpstreamUsage(min(cached, prompt), reasoning, None if cost is None else float(cost))


def _count(value: Any) -> int | None:
    """A number of tokens; None for what is none."""
    number = _number(value)
    return int(number) if number is not None and number.is_integer() and 0 <= number < 2**31 else None


def _number(value: Any) -> float | None:
    """A finite number, also of a server that writes its numbers as texts; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or len(str(value)) > 40:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _logprobs(block: Any) -> tuple[TokenLogprob, ...]:
    content = block.get("content") if isinstance(block, dict) else None
    try:
        return tuple(
            TokenLogprob(
                str(entry["token"]),
                float(entry["logprob"]),
                tuple((str(other["token"]), float(other["logprob"])) for other in entry.get("top_logprobs") or ()),
            )
            for entry in content or ()
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UpstreamError("the reply's logprobs are not of OpenAI's form") from None

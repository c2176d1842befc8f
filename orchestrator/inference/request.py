"""What travels between a conversation and an engine: request, delta, completion, failure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from orchestrator.errors import CollegiumError
from orchestrator.inference.tool_history import ToolHistory

_FIRST = 7
"""Settings of `Sampling` that every ledger key has had from the beginning."""
PromptMessage = tuple[str, str]
"""(role, content); the role is system, user, assistant, tool, `PROMPT` or `PROMPT_IDS`."""
PROMPT, PROMPT_IDS = "prompt", "prompt_ids"
"""Roles of a request's only message where it is no chat: the prompt's text, or a JSON list of its token ids."""
IMPOSSIBLE = -9999.0
"""Least log-probability."""
TokenChoice = tuple[int, str, float, int]
"""(id, text, log-probability, rank from 1) of one token that may stand at a place."""
PromptLogprobs = tuple[tuple[TokenChoice, ...], ...]
"""Of each token of a prompt what may stand there after those before it: the token itself first, then the likeliest
others. The first token's is empty."""
FinishReason = Literal["stop", "length", "abort", "content_filter"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample one completion. All of it is part of the ledger's key."""

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    """None: no log-probabilities; n: the chosen token's and the n most likely alternatives'."""
    structured: str | None = None
    """Canonical JSON of {"json": schema} | {"choice": [...]} | {"regex": "..."}."""
    tools: ToolHistory | None = None
    """Tools that are offered, and the calls and results among the messages so far."""
    ignore_eos: bool = False
    """Go on where the model would end, to `max_tokens`: for measuring speed."""
    min_p: float = 0.0
    """Least probability of a token, as a fraction of the likeliest one's."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    """(token, what is added to its logit)."""
    bad_words: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    min_tokens: int = 0
    template: str | None = None
    """Canonical JSON of variables for the chat template, such as {"enable_thinking": false}."""
    continue_final: bool = False
    """Go on with the last message, an assistant's, instead of beginning a new one."""
    echo: bool = False
    """The reply begins with the prompt, which is no chat: its text and, with `logprobs`, its tokens' log-probabilities.
    The first token has none: 0, without alternatives. With `max_tokens` 0 nothing follows."""
    repetition: tuple[int, int, int] | None = None
    """(longest, shortest, times): a reply that ends with the same pattern of so many tokens, so many times over, is cut
    there, as at its limit (vLLM's `repetition_detection`)."""
    prompt_logprobs: int | None = None
    """None: nothing of the prompt's tokens; n: each one's log-probability and the n likeliest alternatives'. Not with
    `echo`, which has them in the reply."""

    @property
    def further(self) -> dict[str, Any]:
        """What is asked for beyond temperature, top_p, stop and structure, as OpenAI-compatible servers name it."""
        names = ("min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "min_tokens")
        plain = Sampling()
        found = {name: value for name in names if (value := getattr(self, name)) != getattr(plain, name)}
        found |= {"top_k": self.top_k} if self.top_k else {}
        found |= {"logit_bias": {str(token): bias for token, bias in self.logit_bias}} if self.logit_bias else {}
        found |= {"bad_words": list(self.bad_words)} if self.bad_words else {}
        found |= {"stop_token_ids": list(self.stop_token_ids)} if self.stop_token_ids else {}
        found |= {"chat_template_kwargs": json.loads(self.template)} if self.template else {}
        if self.repetition:
            longest, shortest, times = self.repetition
            found["repetition_detection"] = {
                "max_pattern_size": longest,
                "min_pattern_size": shortest,
                "min_count": times,
            }
        found |= {"continue_final_message": True, "add_generation_prompt": False} if self.continue_final else {}
        return found


@dataclass(frozen=True, slots=True)
class Request:
    """One completion asked of one expert. `key` identifies it in the scheduler, on workers and in the ledger."""

    key: str
    expert: str
    messages: tuple[PromptMessage, ...]
    sampling: Sampling
    draw: int = 0
    conversation: str | None = None
    max_wait: float | None = None
    """Seconds; an interactive request whose estimated wait passes it is refused. None: batch work."""
    stream: bool = False
    caller: str = ""
    """Who asks: an expert's waiting requests are taken from its callers in turn."""

    @property
    def seed(self) -> int:
        """Sampling seed, 31 bits: a function of the key, so that a repeated request draws the same tokens."""
        return int(self.key[:8], 16) & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A generated token, its log-probability and the most likely tokens at its place. Of a token that cannot be said,
    as a grammar has it, `IMPOSSIBLE`, as other servers write it: JSON has no infinity."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.logprob >= IMPOSSIBLE:
            object.__setattr__(self, "logprob", IMPOSSIBLE)
        if not all(value >= IMPOSSIBLE for _, value in self.top):
            bounded = tuple((token, value if value >= IMPOSSIBLE else IMPOSSIBLE) for token, value in self.top)
            object.__setattr__(self, "top", bounded)


@dataclass(frozen=True, slots=True)
class UpstreamUsage:
    """What a server counts besides the tokens of prompt and reply."""

    cached_tokens: int = 0
    """Prompt tokens that it had in its cache."""
    reasoning_tokens: int = 0
    """Completion tokens that were reasoning: as the server counts them, else those between thinking marks."""
    cost: float | None = None
    """Price of this reply as the server states it, in its currency (US dollars with all known ones)."""


@dataclass(frozen=True, slots=True)
class Delta:
    """What one engine step added to one request. The last one carries `finish_reason` or `error`."""

    key: str
    text: str = ""
    tokens: int = 0
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_tokens: int = 0
    finish_reason: FinishReason | None = None
    error: CollegiumError | None = None
    """The request failed in the engine, the engine goes on: what failed."""
    reasoning: str = ""
    """Text that the model thought and did not say."""
    usage: UpstreamUsage | None = None
    """What only a server elsewhere knows of the reply; with the last delta."""
    prompt: PromptLogprobs = ()
    """Where they are asked for; with the first delta."""

    @property
    def last(self) -> bool:
        """True if no further delta of this request follows."""
        return self.finish_reason is not None or self.error is not None


@dataclass(frozen=True, slots=True)
class Completion:
    """A finished reply, as the ledger keeps it."""

    key: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    logprobs: tuple[TokenLogprob, ...] = ()
    seconds: float = 0.0
    """From entering the engine to the last token."""
    cached: bool = False
    """True when it came from the ledger and nothing was generated."""
    reasoning: str = ""
    """Text that the model thought and did not say: sent apart by its server, or set apart by `thinking`."""
    usage: UpstreamUsage | None = None
    """None: a local expert, or a server that counts nothing more."""
    prompt: PromptLogprobs = ()
    """As asked for with `Sampling.prompt_logprobs`."""


def request_key(
    fingerprint: str, messages: tuple[PromptMessage, ...], sampling: Sampling, draw: int = 0, seed: int = 0
) -> str:
    """SHA-256 (hex) of all that decides a completion. At temperature 0 draw and seed do not count."""
    drawn = [0, 0] if sampling.temperature == 0 else [seed, draw]
    settings = asdict(replace(sampling, tools=None))
    settings["tools"] = sampling.tools.canonical() if sampling.tools else None
    for later in fields(Sampling)[_FIRST:]:  # keys from before there were these settings stay what they are
        if settings[later.name] == later.default:
            del settings[later.name]
    body: list[Any] = [fingerprint, messages, settings, drawn]
    return hashlib.sha256(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()

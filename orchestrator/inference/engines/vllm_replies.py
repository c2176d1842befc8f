"""One request in vLLM: its outputs as ours, and its thought closed when the budget for it is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from orchestrator.errors import ExpertFailed
from orchestrator.inference.engines.echo import Echo
from orchestrator.inference.engines.thought_meter import MAX_CLOSING, ThoughtMeter
from orchestrator.inference.engines.vllm_shape import LiveModel
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import IMPOSSIBLE, Delta, FinishReason, Request, TokenChoice, TokenLogprob

FINISHES: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "abort": "abort",
    "repetition": "length",
}


@dataclass(slots=True)
class LiveReply:
    """A reply that vLLM generates."""

    request: Request
    expert: Expert
    ids: list[int]
    """The prompt's tokens."""
    stop_ids: tuple[int, ...] = ()
    meter: ThoughtMeter | None = None
    echo: Echo | None = None
    hidden: tuple[str, ...] | None = None
    """Special tokens' texts to leave out of the reply, where vLLM is told to write all. None: it writes none."""
    produced: list[int] = field(default_factory=list)
    """Tokens of the reply so far; kept where there is a meter."""
    name: str = ""
    """vLLM's name of the request: another one after each thought that was closed."""

    prompt_logprobs: int | None = None
    """Until the first delta: what it is to tell of the prompt, as `Sampling` has it."""

    def __post_init__(self) -> None:
        self.name = self.name or self.request.key
        if not self.request.sampling.echo:
            self.prompt_logprobs = self.request.sampling.prompt_logprobs

    def delta(self, output: Any) -> Delta:
        """vLLM's RequestOutput (of kind DELTA) as ours."""
        part = output.outputs[0]
        count = self.request.sampling.logprobs or 0
        finish = part.finish_reason
        if finish is not None and finish not in FINISHES:
            return Delta(self.request.key, error=ExpertFailed(f"vLLM ended the request: {finish}"))
        text = part.text
        for hidden in self.hidden or ():
            text = text.replace(hidden, "")
        delta = Delta(
            key=self.request.key,
            text=text,
            tokens=len(part.token_ids),
            logprobs=_logprobs(part, count),
            prompt_tokens=len(self.ids) if finish else 0,
            finish_reason=FINISHES[finish] if finish else None,
        )
        asked, self.prompt_logprobs = self.prompt_logprobs, None
        if asked is not None:
            delta = replace(delta, prompt=tuple(_choices(output, asked)))
        echo, self.echo = self.echo, None
        if echo is None:
            return delta
        echo.logprobs += tuple(_prompt_logprobs(output, count))
        return echo.before(delta)

    def measured(self, delta: Delta, output: Any, shape: LiveModel, tokenizer: Any) -> Delta:
        """The delta after the meter has seen it: the reply's last one where it is full, with the thought closed where
        that has spent its budget. In both cases vLLM's request ends; in the second one its successor has a new name."""
        if self.meter is None or delta.last:
            return delta
        self.produced += output.outputs[0].token_ids
        verdict = self.meter.feed(delta.text, delta.tokens)
        if verdict == "go on":
            return delta
        shape.abort(self.name)
        if verdict == "close":
            text = self.meter.closing
            ids = list(tokenizer(text, add_special_tokens=False)["input_ids"])[:MAX_CLOSING]
            self.produced += ids
            self.meter.feed(text, len(ids))
            delta = replace(delta, text=delta.text + text, tokens=delta.tokens + len(ids))
            prompt = self.ids + self.produced
            if (room := min(self.expert.context, shape.context) - len(prompt)) > 0:
                self.name += "+"
                self.start(shape, prompt, min(room, self.meter.answer))
                return delta
        return replace(delta, finish_reason="length", prompt_tokens=len(self.ids))

    def start(self, shape: LiveModel, ids: list[int], room: int, **held: Any) -> None:
        """Ask vLLM for at most `room` tokens after `ids`. Raises whatever it refuses."""
        whole = self.hidden is not None
        shape.add(self.request, self.expert, ids, room, self.stop_ids, held, self.name, whole)


def _logprobs(part: Any, count: int) -> tuple[TokenLogprob, ...]:
    return tuple(
        _token_logprob(token, choices, count)
        for token, choices in zip(part.token_ids, part.logprobs or (), strict=False)
    )


def _prompt_logprobs(output: Any, count: int) -> Iterator[TokenLogprob]:
    """Of the prompt's tokens from the second one on, where they were asked for."""
    for token, choices in zip(output.prompt_token_ids or (), output.prompt_logprobs or (), strict=False):
        if choices:
            yield _token_logprob(token, choices, count)


def _choices(output: Any, count: int) -> Iterator[tuple[TokenChoice, ...]]:
    """As `PromptLogprobs`."""
    for token, choices in zip(output.prompt_token_ids or (), output.prompt_logprobs or (), strict=False):
        ranked = sorted((choices or {}).items(), key=lambda item: (item[0] != token, item[1].rank))
        yield tuple(
            (other, str(one.decoded_token), max(float(one.logprob), IMPOSSIBLE), int(one.rank))
            for other, one in ranked
            if other == token or one.rank <= count
        )


def _token_logprob(token: int, choices: dict[int, Any], count: int) -> TokenLogprob:
    chosen = choices[token]
    # vLLM lists the chosen token too where it is not among the likeliest.
    ranked = sorted((choice for choice in choices.values() if choice.rank <= count), key=lambda choice: choice.rank)
    top = tuple((str(choice.decoded_token), float(choice.logprob)) for choice in ranked)
    return TokenLogprob(str(chosen.decoded_token), float(chosen.logprob), top)

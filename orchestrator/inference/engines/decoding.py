"""Batched decoding over any transformers model: rows join and leave between steps.

One left-padded batch with one key-value cache. New prompts are computed as a batch of their own, then both are
padded to one length and put together; rows that are done are cut out. Padding costs time, never correctness: a
row's positions and mask count its own tokens only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from orchestrator.inference.engines.echo import Echo
from orchestrator.inference.engines.penalties import adjust, repeats
from orchestrator.inference.engines.text_stream import TextStream
from orchestrator.inference.engines.thought_meter import MAX_CLOSING, ThoughtMeter
from orchestrator.inference.request import (
    IMPOSSIBLE,
    Delta,
    FinishReason,
    PromptLogprobs,
    Request,
    TokenChoice,
    TokenLogprob,
)

if TYPE_CHECKING:
    import torch

    from orchestrator.inference.engines.grammar import Constraint


@dataclass(slots=True)
class SequenceState:
    """One request being decoded."""

    request: Request
    ids: list[int]
    """The prompt's tokens."""
    room: int
    """Tokens it may still produce."""
    text: TextStream
    constraint: Constraint | None = None
    generator: torch.Generator | None = None
    token: int = -1
    """The last token, not yet in the cache."""
    reply: list[int] = field(default_factory=list)
    """The tokens produced so far."""
    echo: Echo | None = None
    """What the first delta begins with."""
    prompt: PromptLogprobs = ()
    """What the first delta tells of the prompt."""
    meter: ThoughtMeter | None = None
    closing: list[int] = field(default_factory=list)
    """Tokens that close a thought whose budget is spent: they come next, whatever the model would say."""


class DecodingBatch:
    """The rows that are decoded together. All methods return the deltas they caused."""

    def __init__(self, model: Any, stop_ids: frozenset[int], decode: Callable[[int], str]) -> None:
        self._model = model
        self._stop_ids = stop_ids
        self._decode = decode
        self.rows: list[SequenceState] = []
        self._lengths: list[int] = []
        self._cache: list[tuple[torch.Tensor, torch.Tensor]] = []

    def join(self, rows: list[SequenceState]) -> list[Delta]:
        """Compute the prompts of new rows and their first tokens."""
        import torch

        longest = max(len(row.ids) for row in rows)
        ids = torch.tensor([[0] * (longest - len(row.ids)) + row.ids for row in rows])
        lengths = [len(row.ids) for row in rows]
        logits, cache = self._forward(ids, lengths, [])
        self._cache = cache if not self.rows else _together(self._cache, cache)
        self.rows, self._lengths = self.rows + rows, self._lengths + lengths
        return self._advance(rows, logits)

    def step(self) -> list[Delta]:
        """One more token for every row."""
        import torch

        ids = torch.tensor([[row.token] for row in self.rows])
        self._lengths = [length + 1 for length in self._lengths]
        logits, self._cache = self._forward(ids, self._lengths, self._cache)
        return self._advance(self.rows, logits)

    def remove(self, key: str) -> None:
        """Take a request out of the batch."""
        self._keep([row for row in self.rows if row.request.key != key])

    def _forward(
        self, ids: torch.Tensor, lengths: list[int], cache: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> tuple[torch.Tensor, list[tuple[torch.Tensor, torch.Tensor]]]:
        """Logits (rows, vocabulary) after the last token, and the cache with `ids` (rows, new) in it."""
        import torch
        from transformers import DynamicCache

        device = self._model.device
        total = ids.shape[1] + (cache[0][0].shape[-2] if cache else 0)
        have = torch.tensor(lengths).unsqueeze(1)
        columns = torch.arange(total).unsqueeze(0)
        mask = columns >= total - have
        positions = (columns - (total - have)).clamp(min=0)[:, -ids.shape[1] :]
        # Every layer keeps all of the past, also those that look at a window of it: the mask sees to that.
        past = DynamicCache(cache) if cache else DynamicCache()
        with torch.inference_mode():
            output = self._model(
                input_ids=ids.to(device),
                attention_mask=mask.long().to(device),
                position_ids=positions.to(device),
                past_key_values=past,
                use_cache=True,
                logits_to_keep=1,
            )
        return output.logits[:, -1].float(), [(layer.keys, layer.values) for layer in past.layers]

    def _advance(self, rows: list[SequenceState], logits: torch.Tensor) -> list[Delta]:
        deltas = [self._next(row, logits[index : index + 1]) for index, row in enumerate(rows)]
        done = {delta.key for delta in deltas if delta.last}
        if done:
            self._keep([row for row in self.rows if row.request.key not in done])
        return deltas

    def _next(self, row: SequenceState, logits: torch.Tensor) -> Delta:
        """Choose the row's next token from logits (1, vocabulary)."""
        sampling = row.request.sampling
        logprobs = None
        if sampling.logprobs is not None:
            logprobs = logits.log_softmax(-1)[0]
        ends = frozenset() if sampling.ignore_eos else self._stop_ids | set(sampling.stop_token_ids)
        adjust(logits[0], sampling, row.ids, row.reply, ends)
        if row.constraint is not None:
            row.constraint.mask(logits)
        token = row.closing.pop(0) if row.closing else _choose(logits[0], row)
        row.reply.append(token)
        row.token, row.room = token, row.room - 1
        ended = token in ends
        if row.constraint is not None and not ended:
            row.constraint.accept(token)
        text = "" if ended else row.text.push(token)
        metered = row.meter.feed(text, 1) if row.meter else "go on"
        if row.meter and metered == "close":
            row.closing = row.text.ids_of(row.meter.closing)[:MAX_CLOSING]
        full = row.room < 1 or metered == "end" or repeats(row.reply, sampling.repetition)
        finish: FinishReason | None = "stop" if ended or row.text.stopped else "length" if full else None
        if finish:
            text += row.text.flush()
            finish = "stop" if row.text.stopped else finish
        delta = Delta(
            key=row.request.key,
            text=text,
            tokens=1,
            logprobs=() if logprobs is None else (self._token_logprob(token, logprobs, sampling.logprobs or 0),),
            prompt_tokens=len(row.ids) if finish else 0,
            finish_reason=finish,
        )
        if row.prompt:
            delta, row.prompt = replace(delta, prompt=row.prompt), ()
        echo, row.echo = row.echo, None
        return echo.before(delta) if echo else delta

    def prompt_logprobs(self, ids: list[int], count: int) -> tuple[TokenLogprob, ...]:
        """Of each token of a prompt, after those before it; the first one has none. One forward pass of its own."""
        first = TokenLogprob(self._decode(ids[0]), 0.0)
        return (first, *(self._token_logprob(token, row, count) for token, row in self._following(ids)))

    def prompt_choices(self, ids: list[int], count: int) -> PromptLogprobs:
        """As `PromptLogprobs` has them. One forward pass of its own."""
        return ((), *(self._choices(token, row, count) for token, row in self._following(ids)))

    def _following(self, ids: list[int]) -> Iterator[tuple[int, torch.Tensor]]:
        """Each token of a prompt from the second one on, with the log-probabilities of all tokens at its place."""
        import torch

        with torch.inference_mode():
            logits = self._model(input_ids=torch.tensor([ids], device=self._model.device), use_cache=False).logits[0]
        for token, row in zip(ids[1:], logits[:-1], strict=True):
            yield token, row.float().log_softmax(-1)

    def _choices(self, token: int, logprobs: torch.Tensor, count: int) -> tuple[TokenChoice, ...]:
        rank = int((logprobs > logprobs[token]).sum()) + 1
        likely = enumerate(largest(logprobs, count).tolist(), start=1)
        places = [(token, rank), *((other, place) for place, other in likely if other != token)]
        return tuple(
            (other, self._decode(other), max(float(logprobs[other]), IMPOSSIBLE), place) for other, place in places
        )

    def _token_logprob(self, token: int, logprobs: torch.Tensor, count: int) -> TokenLogprob:
        top = largest(logprobs, count)
        likely = zip(top.tolist(), logprobs[top].tolist(), strict=True)
        return TokenLogprob(
            self._decode(token),
            float(logprobs[token]),
            tuple((self._decode(other), chance) for other, chance in likely),
        )

    def _keep(self, rows: list[SequenceState]) -> None:
        if not rows:
            self.rows, self._lengths, self._cache = [], [], []
            return
        index = [self.rows.index(row) for row in rows]
        self._lengths = [self._lengths[i] for i in index]
        self.rows = rows
        # Rows are at least as long as the cache says; what only padding needed goes with the row that was longest.
        columns = max(self._lengths)
        self._cache = [(keys[index, :, -columns:], values[index, :, -columns:]) for keys, values in self._cache]


def _together(
    old: list[tuple[torch.Tensor, torch.Tensor]], new: list[tuple[torch.Tensor, torch.Tensor]]
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Two caches (rows, heads, columns, size) as one, padded on the left."""
    import torch

    columns = max(old[0][0].shape[-2], new[0][0].shape[-2])

    def padded(tensor: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tensor, (0, 0, columns - tensor.shape[-2], 0))

    return [
        (torch.cat((padded(keys), padded(more_keys))), torch.cat((padded(values), padded(more_values))))
        for (keys, values), (more_keys, more_values) in zip(old, new, strict=True)
    ]


def largest(values: torch.Tensor, count: int) -> torch.Tensor:
    """Indices (at most `count`,) of the largest of `values` (vocabulary,), in descending order; of equal ones the
    first, whatever the processor. `topk` alone leaves their order open."""
    count = min(count, values.numel())
    if count == 0:
        return values.new_empty(0).long()
    found = (values >= values.topk(count).values[-1]).nonzero()[:, 0]
    return found[values[found].sort(descending=True, stable=True).indices[:count]]


def _choose(logits: torch.Tensor, row: SequenceState) -> int:
    import torch

    sampling = row.request.sampling
    if sampling.temperature <= 0 or sampling.min_p >= 1:
        return int(logits.argmax())  # of equal logits the first, whatever the processor
    if row.generator is None:
        row.generator = torch.Generator().manual_seed(row.request.seed)
    scaled = logits.cpu() / sampling.temperature
    if sampling.min_p > 0:
        chances = scaled.softmax(-1)
        scaled[chances < sampling.min_p * chances.max()] = -math.inf
    # Not transformers' processors: they keep every token whose logit equals the k-th, and of equal logits top_p keeps
    # any. Here k tokens are k tokens, and of equal ones the first, as the greedy choice takes it.
    if sampling.top_k > 0:
        kept = largest(scaled, sampling.top_k)
        limited = torch.full_like(scaled, -math.inf)
        limited[kept] = scaled[kept]
        scaled = limited
    if sampling.top_p < 1:
        ranked = scaled.sort(descending=True, stable=True)
        chances = ranked.values.softmax(-1)
        scaled[ranked.indices[chances.cumsum(-1) - chances >= sampling.top_p]] = -math.inf
    return int(torch.multinomial(scaled.softmax(-1), 1, generator=row.generator))

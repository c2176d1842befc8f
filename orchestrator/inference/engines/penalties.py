"""What a request adds to or takes from its logits before a token is chosen, and when a reply that repeats itself is
over, for engines that choose tokens themselves.

Order and meaning are vLLM's (https://docs.vllm.ai/en/latest/api/vllm/sampling_params): repetition counts prompt and
reply, presence and frequency the reply only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from orchestrator.inference.request import Sampling

if TYPE_CHECKING:
    import torch


def check(sampling: Sampling, vocabulary: int) -> None:
    """Raises `ValueError` for what only vLLM can do, and for a token that a vocabulary of that size does not have."""
    if sampling.bad_words:
        raise ValueError("bad_words: only vLLM keeps words out of a reply")
    biases(sampling, vocabulary)


def biases(sampling: Sampling, vocabulary: int) -> dict[int, float]:
    """Token -> what is added to its logit. A token that the vocabulary does not have is never chosen, so that a wish
    for less of it is kept. Raises `ValueError` for a wish for more of it."""
    for token, bias in sampling.logit_bias:
        if token >= vocabulary and bias > 0:
            raise ValueError(f"logit_bias: token {token} is not in the vocabulary of {vocabulary}")
    return {token: bias for token, bias in sampling.logit_bias if token < vocabulary}


def adjust(
    logits: torch.Tensor, sampling: Sampling, prompt: Sequence[int], reply: Sequence[int], ends: Collection[int]
) -> None:
    """Change `logits` (vocabulary,) in place. `ends`: tokens that would end the reply, kept out of it before
    `min_tokens`. `check` has passed."""
    for token, bias in biases(sampling, len(logits)).items():
        logits[token] += bias
    if len(reply) < sampling.min_tokens:
        logits[[token for token in ends if token < len(logits)]] = -float("inf")
    if sampling.repetition_penalty != 1:
        seen = list({*prompt, *reply})
        found = logits[seen]
        logits[seen] = found.where(found <= 0, found / sampling.repetition_penalty).where(
            found > 0, found * sampling.repetition_penalty
        )
    if reply and (sampling.frequency_penalty or sampling.presence_penalty):
        for token, count in Counter(reply).items():
            logits[token] -= sampling.frequency_penalty * count + sampling.presence_penalty


def repeats(reply: Sequence[int], repetition: tuple[int, int, int] | None) -> bool:
    """Whether the reply ends with one pattern so often: see `Sampling.repetition`."""
    if repetition is None:
        return False
    longest, shortest, times = repetition
    for size in range(shortest, longest + 1):
        span = size * times
        if span > len(reply):
            return False
        if reply[-1] == reply[-1 - size] and reply[-span:-size] == reply[size - span :]:
            return True
    return False

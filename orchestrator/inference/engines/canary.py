"""The canary: what an expert says to a fixed prompt, kept from its first load and compared after every other.

It notices weights that are not the expert's (a tensor missed, a stale copy, a torn write). It does not notice
that the file itself is bad: for that, `experts check` compares it with what transformers says (`reference`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

PROMPT = "The capital of France is Paris. Seven plus five is twelve. The opposite of hot is"
TOP = 8
"""Likeliest tokens kept for each position."""
SAME_ENGINE = 0.05
"""Largest difference of log-probabilities between loads of equal weights in one engine."""
PROOF = 0.005
"""The same between two ways of loading them that must do the same arithmetic."""
OTHER_ENGINE = 0.5
"""The same between engines, which round bfloat16 in different places."""

Canary = list[list[tuple[int, float]]]
"""For each greedy token the likeliest tokens and their log-probabilities, likeliest first. Plain JSON."""
Canaries = dict[str, Canary]
"""By engine, its version and the expert's fingerprint: another engine, or another release, rounds otherwise."""


def difference(recorded: Canary, found: Canary, tolerance: float = SAME_ENGINE) -> str | None:
    """Why the two are not the same expert, or None if they are.

    A token is compared only as long as all tokens before it agree: after a tie that fell the other way the
    continuations differ for no bad reason.
    """
    for position, (gap, why) in enumerate(_gaps(recorded, found)):
        if why:
            return why
        if gap > tolerance:
            return f"token {position}: log-probabilities differ by {gap:.3f}, more than {tolerance}"
    return None


def largest_gap(recorded: Canary, found: Canary) -> float:
    """The largest difference of log-probabilities, of the tokens that `difference` compares; infinite where other
    tokens are likely or numbers are missing."""
    return max((math.inf if why else gap for gap, why in _gaps(recorded, found)), default=math.inf)


def _gaps(recorded: Canary, found: Canary) -> Iterator[tuple[float, str]]:
    """(largest difference, why it cannot be said) of each token."""
    for position, (wanted, have) in enumerate(zip(recorded, found, strict=False)):
        chances = dict(have)
        if not wanted or not have or not all(math.isfinite(chance) for chance in chances.values()):
            yield math.inf, f"no finite log-probabilities for token {position}"
            return
        shared = [(chance, chances[token]) for token, chance in wanted if token in chances]
        if wanted[0][0] not in chances or len(shared) * 2 < min(len(wanted), len(have)):
            yield math.inf, f"token {position}: other tokens are likely"
            return
        yield max(abs(before - now) for before, now in shared), ""
        if wanted[0][0] != have[0][0]:
            return


def is_finite(canary: Canary) -> bool:
    """All log-probabilities are numbers."""
    return all(math.isfinite(chance) for step in canary for _, chance in step)


def prompt_ids(tokenizer: Any) -> list[int]:
    """The canary's prompt as token ids."""
    return list(tokenizer(PROMPT, add_special_tokens=False)["input_ids"])


def greedy(model: Any, ids: Sequence[int], tokens: int) -> Canary:
    """The canary of a transformers model."""
    import torch

    canary: Canary = []
    running = list(ids)
    for _ in range(tokens):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([running], device=model.device)).logits[0, -1]
        top = torch.log_softmax(logits.float(), -1).topk(TOP)
        canary.append(list(zip(top.indices.tolist(), top.values.tolist(), strict=True)))
        running.append(canary[-1][0][0])
    return canary

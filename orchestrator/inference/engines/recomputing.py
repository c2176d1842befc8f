"""Decoding for models whose memory of the past is no key-value cache (state spaces, hybrids, a cache of their own).

Each row alone and from its first token, every time: slow, and right by construction. Whether a model needs it is seen,
not known: `decodes_in_batches` lets the batched decoder say a few tokens and compares them with a plain forward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchestrator.inference.engines.decoding import DecodingBatch, SequenceState
from orchestrator.inference.engines.text_stream import TextStream
from orchestrator.inference.request import Delta, Request, Sampling

if TYPE_CHECKING:
    import torch

TOKENS = 3
TOLERANCE = 0.25
"""Largest difference of log-probabilities; bfloat16 rounds otherwise in a padded batch. A lost past differs by more."""


class RecomputingBatch(DecodingBatch):
    """As `DecodingBatch`, without a cache."""

    def join(self, rows: list[SequenceState]) -> list[Delta]:
        """Take in new rows; their first tokens."""
        self.rows = self.rows + rows
        return self._advance(rows, self._logits(rows))

    def step(self) -> list[Delta]:
        """One more token per row."""
        return self._advance(self.rows, self._logits(self.rows))

    def _logits(self, rows: list[SequenceState]) -> torch.Tensor:
        """(rows, vocabulary) after each row's last token."""
        import torch

        found = []
        for row in rows:
            ids = torch.tensor([[*row.ids, *row.reply]], device=self._model.device)
            with torch.inference_mode():
                found.append(self._model(input_ids=ids, use_cache=False).logits[:, -1].float())
        return torch.cat(found)

    def _keep(self, rows: list[SequenceState]) -> None:
        self.rows = rows


def decodes_in_batches(model: Any, tokenizer: Any, ids: list[int]) -> bool:
    """True if two prompts of different lengths, decoded together, get the log-probabilities that each gets alone."""
    prompts = [ids, ids[: max(1, len(ids) // 3)]]
    try:
        batched = _prompt_logprobs(DecodingBatch(model, frozenset(), str), tokenizer, prompts)
    except Exception:  # whatever a model without such a cache raises
        return False
    alone = _prompt_logprobs(RecomputingBatch(model, frozenset(), str), tokenizer, prompts)
    for got, wanted in zip(batched, alone, strict=True):
        for (token, chance), (other, expected) in zip(got, wanted, strict=True):
            if abs(chance - expected) > TOLERANCE:
                return False
            if token != other:  # a tie that fell the other way: what follows is another text
                break
    return True


def _prompt_logprobs(batch: DecodingBatch, tokenizer: Any, prompts: list[list[int]]) -> list[list[tuple[str, float]]]:
    sampling = Sampling(max_tokens=TOKENS, logprobs=0, ignore_eos=True)
    rows = [
        SequenceState(Request(f"{number:08x}", "", (), sampling), ids, TOKENS, TextStream(tokenizer, ()))
        for number, ids in enumerate(prompts)
    ]
    rows_by_key: dict[str, list[tuple[str, float]]] = {row.request.key: [] for row in rows}
    deltas = batch.join(rows)
    while True:
        for delta in deltas:
            rows_by_key[delta.key] += [(token.token, token.logprob) for token in delta.logprobs]
        if not batch.rows:
            return list(rows_by_key.values())
        deltas = batch.step()

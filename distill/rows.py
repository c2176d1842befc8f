"""Lessons in tokens: a row is one question, its prompt read once, then every reply to it.

Each reply attends to the prompt and to itself, and its positions go on from the prompt's end, so that hidden states
and losses are those of separate sequences, at the price of one prompt. Everything is padded on the right; what is
computed for a token does not depend on the batch.

This module imports torch; it is imported where training starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import torch

from distill.errors import TrainingError
from distill.pairs import Lesson


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One lesson in tokens. Each reply ends with the end-of-turn token."""

    lesson: Lesson
    prompt: list[int]
    replies: list[list[int]]
    taught: list[list[bool]]
    """For each reply, which of its tokens carry next-token loss."""

    @property
    def tokens(self) -> int:
        """Tokens that the student reads, each once."""
        return len(self.prompt) + sum(map(len, self.replies))

    def targets(self, prompts_too: bool = False) -> int:
        """Tokens that carry next-token loss."""
        return sum(map(sum, self.taught)) + (len(self.prompt) - 1 if prompts_too else 0)


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Rows as tensors; B rows of T tokens, N targets, C replies in all, V nodes."""

    ids: torch.Tensor
    """(B, T)."""
    positions: torch.Tensor
    """(B, T)."""
    mask: torch.Tensor
    """(B, 1, T, T), true where a token attends."""
    sources: torch.Tensor
    """(N,) places in the flattened B x T whose logits predict `targets`."""
    targets: torch.Tensor
    """(N,)."""
    spans: torch.Tensor
    """(C, 4): row, tokens of the prompt, first place of the reply, its tokens."""
    pairs: torch.Tensor
    """(P, 2) places of right and wrong replies among C."""
    nodes: torch.Tensor
    """(V,) places of replies among C."""
    labels: torch.Tensor
    """(V,) 1 right, 0 wrong."""
    edges: torch.Tensor
    """(2, E) among V."""

    @property
    def packed(self) -> bool:
        """True if a row holds several replies, which must not attend to one another."""
        return len(self.spans) > len(self.ids)

    def to(self, device: Any) -> TokenBatch:
        """The same batch on `device`."""
        return TokenBatch(*(getattr(self, name).to(device) for name in self.__slots__))


def tokenised(lesson: Lesson, tokenizer: Any) -> TokenRow:
    """The row of a lesson.

    Raises `TrainingError` where the tokenizer has no chat template or end token, or where parts of a reply carry no
    loss and the tokenizer does not say which characters a token stands for.
    """
    if tokenizer.eos_token_id is None or not tokenizer.chat_template:
        raise TrainingError("the student's tokenizer needs a chat template and an end-of-text token")
    if lesson.untaught and not tokenizer.is_fast:
        raise TrainingError("the student's tokenizer gives no offsets: it cannot leave parts of a reply untaught")
    prompt = tokenizer.apply_chat_template(lesson.messages, add_generation_prompt=True, return_dict=False)
    encoded = tokenizer(list(lesson.texts), add_special_tokens=False, return_offsets_mapping=bool(lesson.untaught))
    replies = [[*reply, tokenizer.eos_token_id] for reply in encoded["input_ids"]]
    taught = [[place in lesson.taught] * len(reply) for place, reply in enumerate(replies)]
    for place, first, end in lesson.untaught:
        # A token belongs to the piece in which it ends.
        for index, (_, last) in enumerate(encoded["offset_mapping"][place]):
            taught[place][index] &= not first < last <= end
    return TokenRow(lesson, list(prompt), replies, taught)


def batched(rows: Sequence[TokenRow], prompts_too: bool = False) -> TokenBatch:
    """Rows side by side. `prompts_too`: prompt tokens carry loss as well (as in the method's reference code)."""
    count, length = len(rows), max(row.tokens for row in rows)
    ids = torch.zeros(count, length, dtype=torch.long)
    positions = torch.zeros(count, length, dtype=torch.long)
    segment = torch.full((count, length), -1)
    sources: list[int] = []
    targets: list[int] = []
    spans: list[tuple[int, int, int, int]] = []
    pairs: list[tuple[int, int]] = []
    nodes: list[int] = []
    labels: list[bool] = []
    edges: list[tuple[int, int]] = []
    for number, row in enumerate(rows):
        first, head, start = len(spans), len(row.prompt), number * length
        flat = [*row.prompt, *(token for reply in row.replies for token in reply)]
        ids[number, : len(flat)] = torch.tensor(flat)
        positions[number, :head] = torch.arange(head)
        segment[number, :head] = 0
        if prompts_too:
            sources += range(start, start + head - 1)
            targets += row.prompt[1:]
        end = head
        for place, reply in enumerate(row.replies):
            spans.append((number, head, end, len(reply)))
            positions[number, end : end + len(reply)] = torch.arange(head, head + len(reply))
            segment[number, end : end + len(reply)] = place + 1
            before = [start + head - 1, *range(start + end, start + end + len(reply) - 1)]
            sources += compress(before, row.taught[place])
            targets += compress(reply, row.taught[place])
            end += len(reply)
        edges += [(len(nodes) + a, len(nodes) + b) for a, b in row.lesson.edges]
        pairs += [(first + right, first + wrong) for right, wrong in row.lesson.pairs]
        nodes += [first + place for place in row.lesson.nodes]
        labels += row.lesson.labels
    same = segment[:, :, None] == segment[:, None, :]
    mask = (same | (segment == 0)[:, None, :]) & torch.ones(length, length, dtype=torch.bool).tril()
    return TokenBatch(
        ids=ids,
        positions=positions,
        mask=mask[:, None],
        sources=torch.tensor(sources, dtype=torch.long),
        targets=torch.tensor(targets, dtype=torch.long),
        spans=torch.tensor(spans, dtype=torch.long),
        pairs=torch.tensor(pairs, dtype=torch.long).view(-1, 2),
        nodes=torch.tensor(nodes, dtype=torch.long),
        labels=torch.tensor(labels, dtype=torch.long),
        edges=torch.tensor(edges, dtype=torch.long).view(-1, 2).t(),
    )


def cut(rows: Sequence[TokenRow], limit: int) -> list[list[TokenRow]]:
    """Batches of rows of like length, each of at most `limit` tokens with padding, or of one longer row."""
    batches: list[list[TokenRow]] = []
    for row in sorted(rows, key=lambda row: (row.tokens, row.lesson.id)):
        if batches and (len(batches[-1]) + 1) * row.tokens <= limit:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches

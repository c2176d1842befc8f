"""The three losses of MAGDi (https://arxiv.org/abs/2402.01620, section 3.2), as sums over what they count.

Sums, because a step may be cut into several batches: divided by the whole step's counts, the gradient is the same
however the step was cut. This module imports torch; it is imported where training starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional

from distill.encoder import Encoder, pooled
from distill.rows import TokenBatch

Coupling = Literal["live", "detached"]


@dataclass(frozen=True, slots=True)
class Losses:
    """Sums of the losses of one batch, and how many of its nodes and pairs were told right."""

    next_token: torch.Tensor
    node: torch.Tensor
    margin: torch.Tensor
    nodes_right: torch.Tensor
    pairs_right: torch.Tensor


def losses(hidden: torch.Tensor, head: Any, encoder: Encoder, batch: TokenBatch, coupling: Coupling) -> Losses:
    """All losses of a batch from the student's last hidden states (B, T, d).

    `head`: hidden states (N, d) -> logits (N, vocabulary). `coupling`: live lets the graph's loss reach the student
    through the nodes' features; detached cuts that path, as the method's reference code does. A batch without
    targets, nodes or pairs has a zero there.
    """
    zero = hidden.new_zeros((), dtype=torch.float32)
    next_token = node = margin = nodes_right = pairs_right = zero
    if len(batch.targets):
        logits = head(hidden.flatten(0, 1)[batch.sources]).float()
        next_token = functional.cross_entropy(logits, batch.targets, reduction="sum")
    if len(batch.nodes) or len(batch.pairs):
        features = pooled(hidden, batch.spans)
        if len(batch.pairs):
            scores = encoder.score(_set_apart(features, batch.spans[:, 0]))
            lead = scores[batch.pairs[:, 0]] - scores[batch.pairs[:, 1]]
            margin, pairs_right = torch.relu(1 - lead).sum(), (lead > 0).sum().float()
        if len(batch.nodes):
            seen = features[batch.nodes]
            found = encoder.classify(seen if coupling == "live" else seen.detach(), batch.edges)
            node = functional.cross_entropy(found, batch.labels, reduction="sum")
            nodes_right = (found.argmax(1) == batch.labels).sum().float()
    return Losses(next_token, node, margin, nodes_right, pairs_right)


def _set_apart(features: torch.Tensor, question: torch.Tensor) -> torch.Tensor:
    """What sets each reply apart from the others to its question: (C, d) less the mean over equal `question` (C,).

    Only differences between such replies are ever compared. What they have in common outweighs them by far in real
    models, whose states are large in a few places: it would drive the score's tanh to its end, where nothing is learnt.
    """
    same = (question[:, None] == question).float()
    return features - same @ features / same.sum(1, keepdim=True)

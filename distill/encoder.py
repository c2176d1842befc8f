"""What reads the student's hidden states in training and is thrown away afterwards: pooling, graph encoder, score.

MAGDi (https://arxiv.org/abs/2402.01620), section 3.2. This module imports torch; it is imported where training starts.
"""

from __future__ import annotations

import warnings

import torch
from torch import nn

CLASSES = 2


def pooled(hidden: torch.Tensor, spans: torch.Tensor) -> torch.Tensor:
    """Each reply with its prompt as one vector: the mean of its tokens' states, weighted by their position.

    `hidden` (B, T, d); `spans` (C, 4) as in `Batch`. Positions count from 1: sum(t * h_t) / sum(t). (C, d), float32.
    """
    length = hidden.shape[1]
    row, head, start, size = spans.unbind(1)
    place = torch.arange(length, device=hidden.device)[None]
    in_prompt = place < head[:, None]
    in_reply = (place >= start[:, None]) & (place < (start + size)[:, None])
    position = torch.where(in_prompt, place + 1, place - start[:, None] + head[:, None] + 1)
    weights = torch.where(in_prompt | in_reply, position, 0).float()
    weights = weights / weights.sum(1, keepdim=True)
    # Row by row, so that hidden states are not repeated for every reply; spans stand in the order of their rows.
    return torch.cat([weights[row == number] @ hidden[number].float() for number in range(len(hidden))])


class Encoder(nn.Module):
    """The graph encoder (two graph convolutions) and the score of a reply (two layers).

    `width`: of the student's hidden states; `hidden`: of the layers here.
    """

    def __init__(self, width: int, hidden: int = 512, dropout: float = 0.5) -> None:
        with warnings.catch_warnings():
            # PyTorch Geometric compiles a few functions on import, in a way that torch calls outdated.
            warnings.simplefilter("ignore", DeprecationWarning)
            from torch_geometric.nn import GCNConv

        super().__init__()
        self.first = GCNConv(width, hidden)
        self.second = GCNConv(hidden, CLASSES)
        self.dropout = nn.Dropout(dropout)
        self.score_first = nn.Linear(width, hidden)
        self.score_second = nn.Linear(hidden, 1)

    def classify(self, features: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        """Logits of wrong and right for each node, (V, 2), from (V, width) and edges (2, E)."""
        found: torch.Tensor = self.second(self.dropout(torch.relu(self.first(features, edges))), edges)
        return found

    def score(self, features: torch.Tensor) -> torch.Tensor:
        """How good each reply is, -1 to 1: (C,) from (C, width)."""
        found: torch.Tensor = torch.tanh(self.score_second(torch.relu(self.score_first(features))))[:, 0]
        return found

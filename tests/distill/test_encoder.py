"""Pooling weighted by position, and the graph encoder."""

from __future__ import annotations

import torch

from distill.encoder import CLASSES, Encoder, pooled


def test_a_reply_is_the_mean_of_prompt_and_reply_weighted_by_position() -> None:
    hidden = torch.arange(12.0).view(1, 6, 2)
    # A prompt of two tokens; replies at places 2-3 and 4-5, both at positions 3 and 4.
    found = pooled(hidden, torch.tensor([[0, 2, 2, 2], [0, 2, 4, 2]]))
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0]) / 10
    assert torch.allclose(found[0], weights @ hidden[0, [0, 1, 2, 3]])
    assert torch.allclose(found[1], weights @ hidden[0, [0, 1, 4, 5]])


def test_edges_carry_one_nodes_features_to_another() -> None:
    torch.manual_seed(0)
    encoder = Encoder(4, hidden=8, dropout=0.0)
    features = torch.randn(3, 4)
    edges = torch.tensor([[0], [1]])
    changed = features.clone()
    changed[0] += 1
    before, after = encoder.classify(features, edges), encoder.classify(changed, edges)
    assert before.shape == (3, CLASSES)
    assert not torch.allclose(before[1], after[1])  # 0 speaks to 1
    assert torch.allclose(before[2], after[2])  # and to nobody else


def test_a_score_lies_between_minus_one_and_one() -> None:
    score = Encoder(4, hidden=8).score(100 * torch.randn(50, 4)).detach()
    assert score.shape == (50,)
    assert float(score.abs().max()) <= 1

"""Which token is chosen: of equal logits always the first, so that no processor's rounding decides."""

from __future__ import annotations

import pytest
import torch

from orchestrator.inference.engines.decoding import SequenceState, _choose, largest
from orchestrator.inference.engines.text_stream import TextStream
from orchestrator.inference.request import Request, Sampling

TIED = [0.0, 3.0, 3.0, 1.0, 3.0, -2.0]


def chosen(logits: list[float], **settings: float) -> set[int]:
    """All tokens that forty seeds choose."""
    sampling = Sampling(temperature=1.0, max_tokens=1, **settings)  # type: ignore[arg-type]
    found = set()
    for seed in range(40):
        request = Request(key=f"{seed:08x}", expert="e", messages=(), sampling=sampling)
        row = SequenceState(request, [], 1, TextStream(None))
        found.add(_choose(torch.tensor(logits), row))
    return found


def test_k_tokens_are_k_tokens_although_logits_are_equal() -> None:
    assert largest(torch.tensor(TIED), 2).tolist() == [1, 2]
    assert largest(torch.tensor(TIED), 4).tolist() == [1, 2, 4, 3]
    assert largest(torch.tensor(TIED), 0).tolist() == []
    assert len(largest(torch.tensor(TIED), 99)) == len(TIED)
    assert chosen(TIED, top_k=1) == {1}
    assert chosen(TIED, min_p=1.0) == {1}
    assert chosen(TIED, top_k=2) == {1, 2}
    assert chosen(TIED, top_k=4) == {1, 2, 3, 4}


@pytest.mark.parametrize(("top_p", "tokens"), [(1e-6, {1}), (0.4, {1, 2}), (0.7, {1, 2, 4})])
def test_the_nucleus_of_equal_logits_begins_with_the_first(top_p: float, tokens: set[int]) -> None:
    assert chosen(TIED, top_p=top_p) == tokens
    assert int(torch.tensor(TIED).argmax()) == 1

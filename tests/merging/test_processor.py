"""What is held for another pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from merging.plan import Merge
from merging.recipe_file import parse

Family = Callable[[int], list[Path]]

Q = "model.layers.1.self_attn.q_proj.weight"


@pytest.mark.parametrize("method", ["ties", "slerp", "nuslerp"])
def test_what_is_held_for_another_pass_does_not_change_a_bit(
    family: Family, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from merging import processor

    folders = family(2)
    parameters = {"weight": 0.5, "density": 0.5, "t": 0.4, "rescale": True}
    models = [{"model": str(folder)} for folder in (folders[1:2] if method == "slerp" else folders[1:])]
    known = {"ties": ("weight", "density", "rescale"), "slerp": ("t",), "nuslerp": ("weight",)}[method]
    raw = {"merge_method": method, "base_model": str(folders[0]), "models": models}
    wanted = parse({**raw, "parameters": {name: parameters[name] for name in known}})
    monkeypatch.setattr(processor, "BLOCK", 100)
    held = Merge(wanted)
    # Two tensors in turn, on one thread: neither may be given the other's numbers.
    other = held.names[0]
    first, second = held.blocks(Q), held.blocks(other)
    parts = [(bits.copy(), next(second)[1].copy()) for _, bits in first]
    monkeypatch.setattr(processor, "KEPT", 0)
    plain = Merge(wanted)
    np.testing.assert_array_equal(np.concatenate([bits for bits, _ in parts]), plain.array(Q).reshape(-1))
    start = np.concatenate([bits for _, bits in parts])
    np.testing.assert_array_equal(start, plain.array(other).reshape(-1)[: start.size])

"""What is held for another pass."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from merging.checkpoint import CheckpointError
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


@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.0, 1.0)])
def test_a_sum_of_bits_that_is_no_number_is_named(family: Family, weights: tuple[float, float]) -> None:
    from small_llamas import random_tensors, write_model

    (base,) = family(0)
    tensors = {name: array.copy() for name, array in random_tensors(1).items()}
    tensors[Q].reshape(-1)[7] = 3e38 if weights[0] else np.inf
    huge = write_model(base.parent / "huge", tensors)
    models = [{"model": str(huge), "parameters": {"weight": weight}} for weight in weights]
    models[1]["model"] = str(base if weights[0] == 0 else write_model(base.parent / "more", tensors))
    merge = Merge(parse({"merge_method": "linear", "models": models, "parameters": {"normalize": False}}))
    said = "element 7 is inf" if weights[0] == 0 else f"tensor '{Q}': the result is beyond 3e38"
    with pytest.raises(CheckpointError, match=re.escape(said)):
        merge.array(Q)

"""Quantised checkpoints compare as the numbers that they stand for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from small_decoders import decoder, write

from merging.checkpoint import Checkpoint
from merging.decoded import DecodedCheckpoint, decoded
from merging.similarity import similarity


def test_eight_bits_by_row_compare_with_what_they_were_made_of(tmp_path: Path) -> None:
    plain = decoder(2, width=16)
    packed = {}
    for name, array in plain.items():
        if "attn" not in name:
            packed[name] = array
            continue
        scale = np.abs(array).max(1, keepdims=True)
        scale[::2] *= 4  # rows of other scales: codes alone would compare as other weights
        packed[name] = np.rint(array / scale * 127).astype("i1")
        packed[name.replace(".weight", ".SCB")] = scale[:, 0].astype("f4")
    said = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": True}, "num_hidden_layers": 2}
    whole = Checkpoint(write(tmp_path / "plain", plain, num_hidden_layers=2))
    held = decoded(Checkpoint(write(tmp_path / "packed", packed, **said)))
    assert isinstance(held, DecodedCheckpoint)
    assert set(held.tensors) == set(whole.tensors)
    name = "model.layers.1.attn.weight"
    np.testing.assert_allclose(held.array(name), whole.array(name), atol=0.1)
    assert similarity([(whole, None), (held, None)]).values[0, 1] > 0.99


def test_plain_numbers_stay_as_they_are(tmp_path: Path) -> None:
    whole = Checkpoint(write(tmp_path / "plain", decoder(1), num_hidden_layers=1))
    assert decoded(whole) is whole

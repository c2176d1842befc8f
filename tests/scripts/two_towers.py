"""A model with a vision tower beside its text tower."""

from __future__ import annotations

import numpy as np
from small_decoders import Tensors, decoder


def seeing(old: bool = True, layers: int = 3) -> Tensors:
    """A vision-language model with two vision layers, named as before or after the change of 2025."""
    text = "language_model.model." if old else "model.language_model."
    lead = "" if old else "model."
    vision = decoder(2, f"{lead}vision_tower.encoder.")
    vision = {name: array for name, array in vision.items() if ".layers." in name}
    bridge = {f"{lead}multi_modal_projector.linear.weight": np.random.default_rng(0).normal(size=(4, 4))}
    return decoder(layers, text) | vision | bridge


CONFIG = {
    "architectures": ["LlavaForConditionalGeneration"],
    "text_config": {"num_hidden_layers": 3, "layer_types": ["a", "b", "c"], "vocab_size": 6, "eos_token_id": [1, 2, 3]},
    "vision_config": {"num_hidden_layers": 2},
}

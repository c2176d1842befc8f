"""A model with another model's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from merging.checkpoint import Checkpoint
from merging.transplant import transplant_tokens


def test_a_model_takes_another_ones_tokens(bases: dict[str, Path], tmp_path: Path) -> None:
    def tokenizer(folder: Path, words: list[str]) -> None:
        model = {"type": "WordLevel", "vocab": {word: n for n, word in enumerate(words)}, "unk_token": words[0]}
        data = {"version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"}, "model": model}
        (folder / "tokenizer.json").write_text(json.dumps(data))

    rng = np.random.default_rng(0)
    for name, count in (("own", 24), ("donor", 26)):
        (tmp_path / name).mkdir()
        tensors = load_file(bases["llama"] / "model.safetensors")
        for table in ("model.embed_tokens.weight", "lm_head.weight"):
            tensors[table] = rng.normal(size=(count, 16)).astype("f4")
        if name == "own":
            tensors["lm_head.bias"] = rng.normal(size=count).astype("f4")
        if name == "donor":
            # Its new token is the sum of two that both have.
            tensors["model.embed_tokens.weight"][25] = tensors["model.embed_tokens.weight"][[3, 4]].sum(0)
        save_file(tensors, tmp_path / name / "model.safetensors")
        config = json.loads((bases["llama"] / "config.json").read_text())
        (tmp_path / name / "config.json").write_text(
            json.dumps({**config, "vocab_size": count, "eos_token_id": count - 1})
        )
        tokenizer(
            tmp_path / name, [f"t{n}" for n in range(24)] if name == "own" else ["x", *(f"t{n}" for n in range(25))]
        )
    transplant_tokens(str(tmp_path / "own"), str(tmp_path / "donor"), tmp_path / "out")
    own, made = (load_file(tmp_path / name / "model.safetensors") for name in ("own", "out"))
    embeddings = made["model.embed_tokens.weight"]
    assert embeddings.shape == (26, 16)
    assert Checkpoint(tmp_path / "out").config["eos_token_id"] == 25
    np.testing.assert_array_equal(embeddings[1:25], own["model.embed_tokens.weight"])
    # t24 stands for the donor's rows of t2 and t3.
    np.testing.assert_allclose(embeddings[25], own["model.embed_tokens.weight"][[2, 3]].sum(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(made["model.norm.weight"], own["model.norm.weight"])
    # Whatever has an element for each token follows, under whatever name.
    bias = own["lm_head.bias"]
    np.testing.assert_array_equal(made["lm_head.bias"][1:25], bias)
    np.testing.assert_allclose(made["lm_head.bias"][25], bias[2] + bias[3], rtol=1e-3, atol=1e-4)

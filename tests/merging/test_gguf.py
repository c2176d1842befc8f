"""GGUF files give the numbers and the config of the models that they were made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from small_llamas import HIDDEN, INNER, Tensors, random_tensors, write_model

from merging.checkpoint import Checkpoint, CheckpointError
from merging.gguf import GgufCheckpoint
from merging.merge import merge
from merging.plan import Merge
from merging.recipe_file import parse

HEADS, PAIRS = 4, 2
Q = "model.layers.1.self_attn.q_proj.weight"
NAMES = {
    "self_attn.o_proj": "attn_output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    **{f"self_attn.{part}_proj": f"attn_{part}" for part in "qkv"},
    **{f"mlp.{part}_proj": f"ffn_{part}" for part in ("gate", "up", "down")},
}
OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}


def model(head: bool = False, biases: bool = False) -> Tensors:
    """Two heads of keys for four of queries, sizes that blocks of 32 divide."""
    tensors = random_tensors(0, head=head)
    for name in list(tensors):
        if "k_proj" in name or "v_proj" in name:
            tensors[name] = tensors[name][: HIDDEN * PAIRS // HEADS]
        if "mlp" in name:
            tensors[name] = np.tile(tensors[name], (2, 1) if tensors[name].shape[0] == INNER else (1, 2))
        if biases and any(f"{part}_proj.weight" in name for part in "qkv"):
            bias = np.random.default_rng(len(tensors)).normal(0, 0.1, tensors[name].shape[0])
            tensors[name.replace("weight", "bias")] = bias
    return tensors


def paired(array: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """As llama.cpp's converter turns the rows of queries and keys."""
    return array.reshape(heads, 2, -1, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def write(file: Path, tensors: Tensors, kind: str, arch: str = "llama", **more: Any) -> Path:
    """A GGUF file as a converter writes it: vectors in F32, matrices in `kind`."""
    writer = gguf.GGUFWriter(file, arch)
    writer.add_block_count(3)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(2 * INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(PAIRS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10_000.0)
    writer.add_eos_token_id(3)
    for key, value in more.items():
        writer.add_string(key, value)
    type_ = gguf.GGMLQuantizationType[kind]
    for name, array in tensors.items():
        if arch == "llama" and ("q_proj" in name or "k_proj" in name):
            array = paired(array, HEADS if "q_proj" in name else PAIRS)
        single = np.ascontiguousarray(array, "f4")
        if single.ndim == 1 or kind == "F32":
            writer.add_tensor(short(name), single)
        else:
            writer.add_tensor(short(name), gguf.quants.quantize(single, type_), raw_dtype=type_)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def short(name: str) -> str:
    if name in OUTER:
        return OUTER[name]
    _, _, layer, *kind, part = name.split(".")
    return f"blk.{layer}.{NAMES.get('.'.join(kind), 'attn')}.{part}"


ERRORS = {"F32": 0.0, "F16": 2.0**-11, "BF16": 2.0**-8, "Q8_0": 1 / 127, "Q4_0": 1 / 8}


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
@pytest.mark.parametrize("kind", ERRORS)
def test_a_model_comes_back_within_its_quantisation(tmp_path: Path, kind: str, arch: str) -> None:
    tensors = model(head=True, biases=arch == "qwen2")
    file = write(tmp_path / "m.gguf", tensors, kind, arch)
    found = GgufCheckpoint(file)
    assert set(found.tensors) == set(tensors)
    for name, wanted in tensors.items():
        assert found.tensors[name].shape == wanted.shape
        values = found.array(name)
        if found.tensors[name].dtype == "BF16":
            values = (values.astype("u4") << 16).view("f4")
        error = 0 if wanted.ndim == 1 else ERRORS[kind]
        assert np.abs(values - wanted.astype("f4")).max() <= error * np.abs(wanted).max() + 1e-7
        # Any range on its own is what it is in the whole.
        part = np.empty(wanted.size // 2, found.array(name).dtype)
        found.read_into(name, 7, part)
        np.testing.assert_array_equal(part, found.array(name).reshape(-1)[7 : 7 + part.size])


def test_transformers_reads_the_same_numbers(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    file = write(tmp_path / "m.gguf", model(), "Q8_0")
    wanted = AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=file.name, dtype=torch.float32).state_dict()
    found = GgufCheckpoint(file)
    assert found.tied
    for name in found.tensors:
        np.testing.assert_array_equal(found.array(name), wanted[name].numpy())


def test_a_merge_with_a_gguf_file_loads(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    file = write(tmp_path / "m.gguf", model(), "Q4_0")
    config = {"num_key_value_heads": PAIRS, "intermediate_size": 2 * INNER}
    other = write_model(tmp_path / "other", model(), **config)
    listed = [{"model": str(path), "parameters": {"weight": 1}} for path in (file, other)]
    result = merge(parse({"merge_method": "linear", "models": listed, "dtype": "float32"}), tmp_path / "out")
    assert any("tokenizer is not converted" in note for note in result.notes)
    first, second = GgufCheckpoint(file).array(Q), Checkpoint(other).array(Q)
    wanted = (first + (second.astype("u4") << 16).view("f4")) / 2
    np.testing.assert_allclose(Checkpoint(tmp_path / "out").array(Q), wanted, rtol=1e-6, atol=1e-7)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    assert (loaded.config.num_key_value_heads, loaded.config.eos_token_id) == (PAIRS, 3)
    np.testing.assert_allclose(loaded.state_dict()[Q].numpy(), wanted, rtol=1e-6, atol=1e-7)
    # As the second source, it is merged into the other's layout and types.
    assert Merge(parse({"merge_method": "linear", "models": listed[::-1]})).targets[Q].dtype == "BF16"


def test_files_that_lie_are_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.gguf", model(), "Q8_0").read_bytes()
    bad = tmp_path / "bad.gguf"
    for content in (b"", b"GGUF", good[:40], good[:2000], good[:-100], b"x" * 5000):
        bad.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"bad\.gguf: truncated, or not a GGUF file"):
            GgufCheckpoint(bad)
    with pytest.raises(CheckpointError, match="architecture 'mamba' is none of llama, qwen2"):
        GgufCheckpoint(write(bad, model(), "F32", "mamba"))
    with pytest.raises(CheckpointError, match="scaled rotary frequencies"):
        GgufCheckpoint(write(bad, model(), "F32", **{"llama.rope.scaling.type": "yarn"}))
    with pytest.raises(CheckpointError, match=r"none\.gguf: cannot be read"):
        GgufCheckpoint(tmp_path / "none.gguf")


def test_any_flipped_byte_of_the_header_gives_a_clear_error_or_a_whole_model(tmp_path: Path) -> None:
    good = write(tmp_path / "good.gguf", model(), "Q8_0").read_bytes()
    bad = tmp_path / "bad.gguf"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, 3000, 60):
        content = bytearray(good)
        content[place] ^= int(rng.integers(1, 256))
        bad.write_bytes(content)
        try:
            checkpoint = GgufCheckpoint(bad)
        except CheckpointError:
            continue
        for name in checkpoint.tensors:
            checkpoint.array(name)

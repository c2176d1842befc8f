"""Two tiny random checkpoints of each architecture that transformers can make and vLLM's registry names.

Sizes come from one rule per configuration key, and exceptions per model type. Weights are drawn wide enough that two
seeds say different things, and norms are moved off one, so that a norm left behind is noticed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

SIZES: Mapping[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 128,
    "n_embd": 128,
    "d_model": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "n_layers": 2,
    "num_attention_heads": 4,
    "n_head": 4,
    "n_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 2048,
    "n_positions": 2048,
    "max_seq_len": 2048,
    "initializer_range": 0.1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "num_experts": 4,
    "num_local_experts": 4,
    "n_routed_experts": 4,
    "moe_num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_k": 2,
    "n_shared_experts": 1,
    "num_shared_experts": 1,
    "moe_num_shared_experts": 1,
    "moe_intermediate_size": 64,
    "shared_expert_intermediate_size": 64,
    "shared_intermediate_size": 64,
    "expert_ffn_hidden_size": 64,
    "ffn_hidden_size": 256,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "kv_lora_rank": 512,
    "q_lora_rank": 64,
    "qk_rope_head_dim": 64,
    "qk_nope_head_dim": 128,
    "v_head_dim": 128,
    "sliding_window": 64,
    "state_size": 16,
    "mamba_d_state": 16,
    "time_step_rank": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "query_pre_attn_scalar": 32,
    "mamba_n_heads": 8,
    "mamba_d_head": 32,
    "mamba_n_groups": 1,
    "mamba_chunk_size": 64,
    "chunk_size": 64,
}
LATENT = {"num_key_value_heads": 4, "head_dim": None}
OWN: Mapping[str, Mapping[str, Any]] = {
    "afmoe": {"score_func": "sigmoid"},
    "axk1": LATENT,
    "bloom": {"hidden_size": 128},
    "deepseek_v2": {**LATENT, "q_lora_rank": None, "n_group": 1, "topk_group": 1, "topk_method": "greedy"},
    "deepseek_v3": {**LATENT, "topk_method": "noaux_tc", "scoring_func": "sigmoid"},
    "deepseek_v32": LATENT,
    "falcon": {"new_decoder_architecture": True, "num_kv_heads": 2, "ffn_hidden_size": 512},
    "glm4_moe": {"head_dim": 32},
    "glm4_moe_lite": {**LATENT, "first_k_dense_replace": 1},
    "glm_moe_dsa": LATENT,
    "hy_v3": {"first_k_dense_replace": 1},
    "kimi_linear": LATENT,
    "falcon_mamba": {"expand": 2, "intermediate_size": 256},
    "gemma3_text": {"num_hidden_layers": 6},
    "gptj": {"rotary_dim": 16},
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_ff_dim": 256, "block_dim": 128, "conv_dim": 128},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"], "num_dense_layers": 1, "conv_dim": 128},
    "llama4_text": {"num_hidden_layers": 4, "intermediate_size_mlp": 256},
    "mamba": {"expand": 2, "intermediate_size": 256},
    "mamba2": {"num_heads": 8, "head_dim": 32, "n_groups": 1, "expand": 2},
    "minicpm3": {**LATENT, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32},
    "opt": {"ffn_dim": 256, "word_embed_proj_dim": 128},
    "phi": {"num_key_value_heads": 4},
    "qwen3_next": {"num_hidden_layers": 4, "layer_types": None},
    "qwen3_5_text": {"num_hidden_layers": 4, "layer_types": None},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"]},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1},
    "gpt_oss": {"layer_types": None},
    "ernie4_5_moe": {"moe_layer_start_index": 1, "moe_layer_end_index": 1},
    "bamba": {"attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 16, "n_ctx": 2048},
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "clip_qkv": 8.0},
        "ffn_config": {"ffn_hidden_size": 256, "moe_num_experts": 4, "moe_top_k": 2},
    },
    "falcon_h1": {"mamba_d_ssm": 256},
    "gemma3n_text": {
        "num_hidden_layers": 10,
        "num_kv_shared_layers": 5,
        "layer_types": [*["sliding_attention"] * 4, "full_attention"] * 2,
        "laurel_rank": 16,
        "hidden_size_per_layer_input": 32,
        "vocab_size_per_layer_input": 49152,
        "activation_sparsity_pattern": [0.5] * 2 + [0.0] * 8,
    },
    "gpt_neo": {"num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]], "window_size": 64},
    "hunyuan_v1_moe": {"moe_topk": 2},
    "jetmoe": {"kv_channels": 32},
    "longcat_flash": {
        **LATENT,
        "num_layers": 2,
        "moe_topk": 2,
        "zero_expert_num": 2,
        "head_dim": 64,
        "qk_head_dim": 192,
    },
    "mimo_v2_flash": {"num_hidden_layers": 2, "v_head_dim": 32, "mlp_layer_types": ["dense", "sparse"]},
    "minimax": {"layer_types": ["linear_attention", "full_attention"], "block_size": 64},
    "nemotron_h": {
        "layers_block_type": ["linear_attention", "full_attention", "mlp", "moe"],
        "ssm_state_size": 16,
        "mamba_num_heads": 8,
        "mamba_head_dim": 32,
        "n_groups": 1,
        "moe_shared_expert_intermediate_size": 64,
    },
    "olmo_hybrid": {"layer_types": ["linear_attention", "full_attention"], "num_key_value_heads": 4},
    "recurrent_gemma": {"num_hidden_layers": 3, "lru_width": 128, "attention_window_size": 64},
    "xglm": {"num_layers": 2, "attention_heads": 4, "ffn_dim": 256},
    "youtu": {**LATENT, "initializer_range": 0.1},
    "zamba": {"layers_block_type": ["mamba", "hybrid"], "attention_head_dim": 64, "attention_hidden_size": 256},
    "zamba2": {
        "layers_block_type": ["linear_attention", "hybrid", "linear_attention", "hybrid"],
        "num_hidden_layers": 4,
        "n_mamba_heads": 8,
        "num_key_value_heads": 4,
        "adapter_rank": 8,
    },
    "zaya": {"router_hidden_size": 32},
}
EXTRA: tuple[str, ...] = (
    *("arcee", "bamba", "bitnet", "codegen", "cwm", "diffllama", "doge", "dots1", "flex_olmo", "glm", "gpt_bigcode"),
    *("gpt_neo", "gpt_neox", "helium", "hunyuan_v1_dense", "hunyuan_v1_moe", "jais2", "jetmoe", "minimax", "ministral"),
    *("mpt", "nanochat", "olmo", "olmo2", "olmo3", "persimmon", "phi", "phimoe", "recurrent_gemma", "seed_oss"),
    *("smollm3", "solar_open", "starcoder2", "vaultgemma", "xglm", "youtu", "zamba", "zaya"),
)
"""Types that vLLM runs by another class, through transformers' own code, or not at all."""


def model_types() -> list[str]:
    """Every type that transformers can make a causal language model of and whose class is in vLLM's registry."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    from vllm.model_executor.models.registry import _TEXT_GENERATION_MODELS

    known = {kind for kind, name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.items() if name in _TEXT_GENERATION_MODELS}
    return sorted({*known, *EXTRA})


def make(
    model_type: str,
    tokenizer_from: Path,
    out: Path,
    seeds: Iterable[int] = (1, 2),
    over: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Folders of the two checkpoints; `over`: other values in their configurations. Raises whatever transformers says
    of sizes that it does not accept."""
    import torch
    from transformers import AutoModelForCausalLM

    config = small_config(model_type, over)
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.dim() == 1:
                    noise = torch.randn_like(parameter)
                    parameter.add_(noise * 0.1 if "norm" in name or "ln" in name else noise * 0.02)
        folder = out / f"{model_type}-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            shutil.copy(tokenizer_from / name, folder / name)
        made.append(folder)
    return made


def small_config(model_type: str, over: Mapping[str, Any] | None = None) -> Any:
    """The type's configuration in small sizes; `over`: other sizes than those above."""
    from transformers import AutoConfig

    known = AutoConfig.for_model(model_type).to_dict()
    own = OWN.get(model_type, {})
    sizes = {key: value for key, value in {**SIZES, **(over or {})}.items() if known.get(key) is not None}
    wanted = {key: value for key, value in {**sizes, **own}.items() if not (key == "head_dim" and value is None)}
    layers = wanted.get("num_hidden_layers", 2)
    if isinstance(known.get("layer_types"), list) and "layer_types" not in own:
        wanted["layer_types"] = _spread(known["layer_types"], layers)
    return AutoConfig.for_model(model_type, **{key: value for key, value in wanted.items() if value is not None})


def _spread(kinds: list[str], count: int) -> list[str]:
    """Layers of each kind that there is, as far as `count` goes."""
    distinct = list(dict.fromkeys(kinds))
    return [distinct[index % len(distinct)] for index in range(count)]

"""Tiny configurations of what is no plain causal language model: encoders, classifiers, several towers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT: Mapping[str, Any] = {
    "vocab_size": 96,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 3,
}
ENCODER: Mapping[str, Any] = {name: value for name, value in TEXT.items() if name != "num_key_value_heads"}
SIGHT: Mapping[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "image_size": 32,
    "patch_size": 8,
}
PAIR: Mapping[str, Any] = {
    "vocab_size": 96,
    "d_model": 32,
    "encoder_layers": 3,
    "decoder_layers": 3,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
}
ROPE = {"type": "mrope", "mrope_section": [1, 1, 2]}
GRID = {"depth": 2, "hidden_size": 32, "num_heads": 4, "patch_size": 4, "spatial_merge_size": 2}
SEEN = {"image_token_id": 10, "video_token_id": 11, "vision_start_token_id": 12, "vision_end_token_id": 13}
OTHERS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "bart": ("BartForConditionalGeneration", "BartConfig", PAIR),
    "bert for masked words": ("BertForMaskedLM", "BertConfig", ENCODER),
    "bert that embeds": ("BertModel", "BertConfig", ENCODER),
    "clip": (
        "CLIPModel",
        "CLIPConfig",
        {"text_config": {**ENCODER, "num_hidden_layers": 3}, "vision_config": SIGHT, "projection_dim": 16},
    ),
    "deberta-v2 that classifies": (
        "DebertaV2ForSequenceClassification",
        "DebertaV2Config",
        {**ENCODER, "num_labels": 3},
    ),
    "distilbert": (
        "DistilBertModel",
        "DistilBertConfig",
        {"vocab_size": 96, "dim": 32, "hidden_dim": 48, "n_layers": 4, "n_heads": 4, "max_position_embeddings": 64},
    ),
    "gemma3": (
        "Gemma3ForConditionalGeneration",
        "Gemma3Config",
        {
            "text_config": {**TEXT, "head_dim": 8, "sliding_window": 16, "model_type": "gemma3_text"},
            "vision_config": {**SIGHT, "model_type": "siglip_vision_model"},
            "mm_tokens_per_image": 4,
            "image_token_index": 10,
            "boi_token_index": 11,
            "eoi_token_index": 12,
        },
    ),
    "lfm2": ("Lfm2ForCausalLM", "Lfm2Config", {**TEXT, "layer_types": ["conv", "full_attention"] * 2}),
    "llama that rewards": ("LlamaForSequenceClassification", "LlamaConfig", {**TEXT, "num_labels": 1}),
    "llava": (
        "LlavaForConditionalGeneration",
        "LlavaConfig",
        {
            "text_config": {**TEXT, "model_type": "llama"},
            "vision_config": {**SIGHT, "model_type": "clip_vision_model"},
            "image_seq_length": 16,
            "image_token_index": 10,
        },
    ),
    "marian": ("MarianMTModel", "MarianConfig", {**PAIR, "pad_token_id": 3, "decoder_start_token_id": 3}),
    "mistral3": (
        "Mistral3ForConditionalGeneration",
        "Mistral3Config",
        {
            "text_config": {**TEXT, "model_type": "mistral"},
            "vision_config": {**SIGHT, "model_type": "pixtral"},
            "image_token_index": 10,
        },
    ),
    "modernbert": (
        "ModernBertModel",
        "ModernBertConfig",
        {**ENCODER, "cls_token_id": 1, "sep_token_id": 2},
    ),
    "mpnet": ("MPNetModel", "MPNetConfig", ENCODER),
    "paligemma": (
        "PaliGemmaForConditionalGeneration",
        "PaliGemmaConfig",
        {
            "text_config": {**TEXT, "head_dim": 8, "model_type": "gemma"},
            "vision_config": {**SIGHT, "model_type": "siglip_vision_model"},
            "projection_dim": 32,
            "image_token_index": 10,
        },
    ),
    "qwen2_vl": (
        "Qwen2VLForConditionalGeneration",
        "Qwen2VLConfig",
        {
            "text_config": {**TEXT, "rope_scaling": ROPE, "model_type": "qwen2_vl_text"},
            "vision_config": {**GRID, "embed_dim": 32, "mlp_ratio": 2},
            **SEEN,
        },
    ),
    "qwen2_5_vl": (
        "Qwen2_5_VLForConditionalGeneration",
        "Qwen2_5_VLConfig",
        {
            "text_config": {**TEXT, "rope_scaling": ROPE, "model_type": "qwen2_5_vl_text"},
            "vision_config": {**GRID, "intermediate_size": 48, "out_hidden_size": 32, "fullatt_block_indexes": [1]},
            **SEEN,
        },
    ),
    "roberta that classifies": ("RobertaForSequenceClassification", "RobertaConfig", {**ENCODER, "num_labels": 3}),
    "t5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {
            "vocab_size": 96,
            "d_model": 32,
            "d_kv": 8,
            "d_ff": 48,
            "num_layers": 3,
            "num_decoder_layers": 3,
            "num_heads": 4,
            "decoder_start_token_id": 0,
        },
    ),
    "vit": ("ViTForImageClassification", "ViTConfig", {**SIGHT, "num_hidden_layers": 4, "num_labels": 3}),
    "wav2vec2": (
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {
            **{name: value for name, value in ENCODER.items() if name != "max_position_embeddings"},
            "conv_dim": [16, 16],
            "conv_stride": [5, 2],
            "conv_kernel": [10, 3],
            "num_feat_extract_layers": 2,
            "num_conv_pos_embeddings": 8,
            "num_conv_pos_embedding_groups": 2,
        },
    ),
    "whisper": (
        "WhisperForConditionalGeneration",
        "WhisperConfig",
        {
            **{name: value for name, value in PAIR.items() if name != "max_position_embeddings"},
            "num_mel_bins": 8,
            "max_source_positions": 50,
            "max_target_positions": 64,
            "pad_token_id": 3,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
        },
    ),
}
"""Kind -> (class, configuration's class, its values): what is no plain causal language model."""

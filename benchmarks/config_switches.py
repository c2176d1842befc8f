"""Keys of config.json that change the arithmetic: python -m benchmarks.config_switches [NAME ...] --folder FOLDER
[--engines vllm,transformers] [--seconds N]

A type of model that an engine computes right may be wrong with a key that its usual checkpoints do not set. Per key a
tiny random model is made and its canary compared with transformers', both in float32, where right models are nearly
equal. A second model with the key at its default shows that the canary would notice: where the two say the same, the
row says so and proves nothing. Transformers computes with its plainest attention, which leaves nothing out.

What was found is kept in the folder, a file per name and engine; a later call goes on. Results:
benchmarks/results/config_switches.md.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.architectures import TOKENS, keep

YARN = {"rope_type": "yarn", "rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 512}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10_000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
WINDOW = {"sliding_window": 8}
SWITCHES: dict[str, tuple[str, dict[str, Any]]] = {
    "wide heads": ("llama", {"head_dim": 64}),
    "attention bias": ("llama", {"attention_bias": True}),
    "mlp bias": ("llama", {"mlp_bias": True}),
    "other activation": ("llama", {"hidden_act": "gelu"}),
    "large epsilon": ("llama", {"rms_norm_eps": 0.1}),
    "linear rope": ("llama", {"rope_parameters": {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 4.0}}),
    "dynamic rope": ("llama", {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 10_000.0, "factor": 4.0}}),
    "yarn": ("llama", {"rope_parameters": YARN}),
    "yarn, own attention factor": ("llama", {"rope_parameters": YARN | {"attention_factor": 1.5}}),
    "yarn, own betas": ("qwen2", {"rope_parameters": YARN | {"beta_fast": 8.0, "beta_slow": 2.0}}),
    "llama3 rope": ("llama", {"rope_parameters": LLAMA3}),
    "half rotary, llama": (
        "llama",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}},
    ),
    "window, mistral": ("mistral", WINDOW),
    "window, qwen2": (
        "qwen2",
        WINDOW
        | {"use_sliding_window": True, "max_window_layers": 1, "layer_types": ["full_attention", "sliding_attention"]},
    ),
    "window, qwen3, first layer": (
        "qwen3",
        WINDOW | {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"]},
    ),
    "window, gemma2": ("gemma2", WINDOW),
    "window, gemma3": ("gemma3_text", WINDOW),
    "window, cohere2": ("cohere2", WINDOW),
    "window, olmo3": ("olmo3", WINDOW),
    "window, exaone4": ("exaone4", WINDOW | {"layer_types": ["sliding_attention", "full_attention"]}),
    "window, phi3": ("phi3", WINDOW),
    "window, starcoder2": ("starcoder2", WINDOW),
    "window, mixtral": ("mixtral", WINDOW),
    "qwen3 bias": ("qwen3", {"attention_bias": True}),
    "gemma2 caps": ("gemma2", {"attn_logit_softcapping": 0.5, "final_logit_softcapping": 2.0}),
    "gemma2 no caps": ("gemma2", {"attn_logit_softcapping": None, "final_logit_softcapping": None}),
    "gemma2 scale": ("gemma2", {"query_pre_attn_scalar": 7}),
    "gemma3 scale": ("gemma3_text", {"query_pre_attn_scalar": 7}),
    "gemma3 local rope": (
        "gemma3_text",
        {
            "rope_parameters": {
                "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
                "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
            }
        },
    ),
    "granite multipliers": (
        "granite",
        {"embedding_multiplier": 3.0, "residual_multiplier": 0.3, "logits_scaling": 2.0, "attention_multiplier": 0.3},
    ),
    "granite bias": ("granite", {"attention_bias": True, "mlp_bias": True}),
    "cohere scale, norms of heads": ("cohere", {"logit_scale": 0.5, "use_qk_norm": True}),
    "olmo clip": ("olmo", {"clip_qkv": 0.2}),
    "olmoe norm": ("olmoe", {"norm_topk_prob": True}),
    "qwen3_moe no norm": ("qwen3_moe", {"norm_topk_prob": False}),
    "qwen3_moe dense layer": ("qwen3_moe", {"mlp_only_layers": [0]}),
    "qwen2_moe norm, sparse step": ("qwen2_moe", {"norm_topk_prob": True, "decoder_sparse_step": 2}),
    "mixtral one of three": ("mixtral", {"num_local_experts": 3, "num_experts_per_tok": 1}),
    "deepseek_v3 groups": (
        "deepseek_v3",
        {"n_group": 2, "topk_group": 1, "routed_scaling_factor": 2.5, "norm_topk_prob": False},
    ),
    "glm4_moe norms of heads": ("glm4_moe", {"use_qk_norm": True, "partial_rotary_factor": 0.5}),
    "phi norms of heads": ("phi", {"qk_layernorm": True, "partial_rotary_factor": 0.25}),
    "phi3 partial": (
        "phi3",
        {"rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.5}},
    ),
    "stablelm": (
        "stablelm",
        {"use_qkv_bias": True, "qk_layernorm": True, "use_parallel_residual": True, "partial_rotary_factor": 0.5},
    ),
    "gpt_neox serial": ("gpt_neox", {"use_parallel_residual": False, "rotary_pct": 0.5}),
    "gpt_neox no bias": ("gpt_neox", {"attention_bias": False}),
    "gpt2 scales by layer": ("gpt2", {"scale_attn_by_inverse_layer_idx": True}),
    "gpt2 no scale": ("gpt2", {"scale_attn_weights": False}),
    "gpt2 activation": ("gpt2", {"activation_function": "relu", "n_inner": 200}),
    "opt projections": ("opt", {"word_embed_proj_dim": 64}),
    "opt norm after": ("opt", {"do_layer_norm_before": False}),
    "falcon old": ("falcon", {"new_decoder_architecture": False, "multi_query": True, "num_kv_heads": 1}),
    "falcon alibi": (
        "falcon",
        {"new_decoder_architecture": False, "multi_query": True, "num_kv_heads": 1, "alibi": True, "bias": True},
    ),
    "falcon serial": (
        "falcon",
        {"new_decoder_architecture": False, "multi_query": True, "num_kv_heads": 1, "parallel_attn": False},
    ),
    "bloom residual": ("bloom", {"apply_residual_connection_post_layernorm": True}),
    "starcoder2 no bias": ("starcoder2", {"use_bias": False}),
    "smollm3 no rope": ("smollm3", {"no_rope_layers": [0, 1]}),
    "ernie4_5 bias": ("ernie4_5", {"use_bias": True}),
    "tied phi": ("phi", {"tie_word_embeddings": True}),
    "untied gemma": ("gemma", {"tie_word_embeddings": False}),
    "untied gpt2": ("gpt2", {"tie_word_embeddings": False}),
    "tied mixtral": ("mixtral", {"tie_word_embeddings": True}),
    "mamba2 norm": ("mamba2", {"norm_before_gate": False, "use_conv_bias": False, "use_bias": True}),
    "apertus activation": ("apertus", {"hidden_act": "silu"}),
    "seed_oss bias": ("seed_oss", {"attention_bias": True, "attention_out_bias": True}),
}
"""Name -> (type, keys)."""
COLUMNS = "| switch | type | keys | engine | verdict | to transformers, float32 | moves | sentence |"
EXACT = 0.003


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="Switches; default: all.")
    parser.add_argument("--folder", type=Path, required=True, help="Folder for models and rows.")
    parser.add_argument("--engines", default="vllm,transformers")
    parser.add_argument("--seconds", type=float, default=math.inf, help="Begin no further one after that.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    names = given.names or list(SWITCHES)
    if given.worker:
        return work(given.worker, names, given.folder)
    from benchmarks.machine import conditions

    noted, until = conditions(), time.monotonic() + given.seconds
    for step in ("make", *given.engines.split(",")):
        while left := [name for name in names if not row_file(given.folder, name, step).exists()]:
            if time.monotonic() > until:
                break
            command = [sys.executable, "-m", "benchmarks.config_switches", "--worker", step]
            done = subprocess.run(
                [*command, "--folder", str(given.folder), "--seconds", str(until - time.monotonic()), "--", *left],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            begun = [name for name in left if not row_file(given.folder, name, step).exists()]
            if done.returncode and begun:
                keep(row_file(given.folder, begun[0], step), {"refused": f"its process ended with {done.returncode}"})
            print(step, len(begun), "left", flush=True)
    return write(noted, given.folder, given.engines.split(","))


def row_file(folder: Path, name: str, step: str) -> Path:
    return folder / f"{name.replace(' ', '_').replace(',', '')}.{step}.json"


def work(step: str, names: list[str], folder: Path) -> int:
    """In a process of its own: make models and what transformers says of them, or load them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = row_file(folder, name, step)
        made = row_file(folder, name, "make")
        if step == "make":
            keep(file, make(name, folder))
        elif made.exists() and "said" in (row := json.loads(made.read_text())):
            keep(file, load(step, name, row["folder"]))
        else:
            keep(file, {"refused": "not made"})
    return 0


def make(name: str, folder: Path) -> dict[str, Any]:
    """A model with the keys, and one of the same weights, as far as they are the same, without."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from benchmarks.tiny_architectures import small_config
    from orchestrator.experts.demo import FULL, locate
    from orchestrator.inference.engines.canary import greedy, prompt_ids
    from orchestrator.inference.pretrained import load_tokenizer

    kind, keys = SWITCHES[name]
    try:
        said = []
        for over in ({}, keys):
            plain = small_config(kind).to_dict()
            plain.pop("model_type", None)
            config = AutoConfig.for_model(kind, **{**plain, **over})
            torch.manual_seed(1)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
            with torch.no_grad():
                for parameter in model.parameters():
                    if parameter.dim() == 1:
                        parameter.add_(torch.randn_like(parameter) * 0.1)
            said.append(greedy(model, prompt_ids(load_tokenizer(locate(FULL))), TOKENS))
        target = folder / row_file(folder, name, "model").stem
        model.save_pretrained(target)
        for part in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
            (target / part).write_bytes((locate(FULL) / part).read_bytes())
        return {"folder": str(target), "said": said[1], "plain": said[0]}
    except Exception as error:
        return {"refused": " ".join(f"{type(error).__name__}: {error}".split())[:200]}


def load(engine_name: str, name: str, folder: str) -> dict[str, Any]:
    """What an engine says in float32, or its refusal."""
    from orchestrator.inference.engines.engine import EngineOptions
    from orchestrator.inference.expert import Expert, Weights
    from orchestrator.inference.schedule.placement import local_engine

    options = EngineOptions(batch=4, kv_gib=0.1, context=256, canary_tokens=TOKENS, memory_gib=0.5, compare=False)
    engine: Any = local_engine(engine_name, options)
    try:
        engine.load(Expert(name, name, name, weights=Weights(Path(folder)), context=256, dtype="float32"))
        return {"said": engine.canary()}
    except Exception as error:
        return {"refused": " ".join(f"{error}".split())[:300] or type(error).__name__}
    finally:
        engine.close()


def write(noted: dict[str, str], folder: Path, engines: list[str]) -> int:
    """The table; how many switches are computed otherwise."""
    from benchmarks.machine import RESULTS

    lines, counts = [], Counter[tuple[str, str]]()
    for name, (kind, keys) in SWITCHES.items():
        for engine in engines:
            files = [row_file(folder, name, step) for step in ("make", engine)]
            if all(file.exists() for file in files):
                verdict, apart, moves, why = judged(*(json.loads(file.read_text()) for file in files))
                counts[engine, verdict] += 1
                cells = [name, kind, f"`{json.dumps(keys)}`", engine, verdict, apart, moves, why.replace("|", "/")]
                lines.append(f"| {' | '.join(cells)} |")
    head = [
        "# Keys of config.json that change the arithmetic",
        "",
        "`python -m benchmarks.config_switches --folder FOLDER`",
    ]
    head += [*(f"- {key}: {value}" for key, value in noted.items())]
    for engine in engines:
        head.append(
            f"- {engine}: " + ", ".join(f"{n} {verdict}" for (own, verdict), n in counts.items() if own == engine)
        )
    head += [
        "",
        "To transformers: largest difference of log-probabilities of four greedy tokens, both in float32. Moves: the "
        "same between the model and one without the keys, in transformers; below the bound nothing is shown.",
        "",
        COLUMNS,
        "|" + " --- |" * (COLUMNS.count("|") - 1),
    ]
    (RESULTS / "config_switches.md").write_text("\n".join([*head, *lines]) + "\n")
    print("\n".join(head))
    return sum(n for (_, verdict), n in counts.items() if verdict == "differs")


def judged(made: dict[str, Any], row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Verdict, distance to transformers, distance to the model without the keys, sentence."""
    from benchmarks.canary_bounds import read_canary
    from orchestrator.inference.engines.canary import largest_gap

    if "refused" in made or "refused" in row:
        return ("refused" if "said" in made else "not made"), "", "", made.get("refused") or row["refused"]
    wanted, plain, said = (read_canary(one) for one in (made["said"], made["plain"], row["said"]))
    apart, moves = largest_gap(wanted, said), largest_gap(plain, wanted)
    verdict = "differs" if apart > EXACT else "right" if moves > EXACT else "not shown"
    return verdict, f"{apart:.2g}", f"{moves:.2g}", ""


if __name__ == "__main__":
    sys.exit(main())

"""What of a config.json the forward pass depends on, and whether it can be believed at all.

Two checkpoints whose `forward_config`, tensors and tokenizer agree compute with the same code on the same layout: one
engine serves both. What else config.json says (end tokens, dropout, initialisers, versions, a tool's own notes) does
not change a forward pass; what of it matters to generation is applied per expert.

Files come from strangers: `check_config` refuses sizes that no file of tensors could hold before anything is built.
"""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from merging.checkpoint import Checkpoint, CheckpointError
from orchestrator.inference.engines.key_heads import stray_key_heads

NOTES = frozenset(
    [
        "transformers_version",
        "use_cache",
        "output_attentions",
        "output_hidden_states",
        "output_router_logits",
        "return_dict",
        "return_dict_in_generate",
        "torchscript",
        "problem_type",
        "finetuning_task",
        "task_specific_params",
        "id2label",
        "label2id",
        "gradient_checkpointing",
        "pretraining_tp",
        "router_aux_loss_coef",
        "router_z_loss_coef",
        "router_jitter_noise",
        "auto_map",
        "tokenizer_class",
        "model_max_length",
        "max_length",
        "min_length",
        "do_sample",
        "temperature",
        "top_p",
        "top_k",
        "num_beams",
        "repetition_penalty",
    ]
)
"""Keys that tell how a model is trained, saved or sampled."""
TOKENS = re.compile(r"(eos|bos|pad|sep|cls|mask|unk|decoder_start|forced_[a-z]+)_token_id")
INITIAL = re.compile(r"initializer_\w+|init_\w+|\w*dropout\w*|\w+_pdrop|dropout_\w+")
KNOWN = frozenset(
    [
        "architectures",
        "model_type",
        "dtype",
        "attention_bias",
        "head_dim",
        "hidden_act",
        "hidden_size",
        "intermediate_size",
        "mlp_bias",
        "num_attention_heads",
        "num_hidden_layers",
        "num_key_value_heads",
        "rms_norm_eps",
        "rope_parameters",
        "tie_word_embeddings",
        "vocab_size",
        "sliding_window",
        "use_sliding_window",
        "max_window_layers",
        "layer_types",
        "max_position_embeddings",
        "quantization_config",
        "text_config",
        "num_experts",
        "num_experts_per_tok",
        "partial_rotary_factor",
    ]
)
"""Keys that certainly matter: nothing has to be read to know."""
ROPES_BY_LENGTH = ("dynamic", "ntk", "longrope", "su", "yarn")
"""Rotary scalings that compute with max_position_embeddings."""
LONG_ROPES = ("longrope", "su")
"""Rotary scalings with other factors for long texts."""

TEXTS = (".json", ".jinja", ".model", ".tiktoken")
READ = re.compile(r"config|token|templat|vocab|merges|index|\.(model|tiktoken)$")
"""Of texts in a model's folder, those that are read: a trainer's log may be of any size."""
MAX_TEXT_BYTES = 256 << 20
TYPE = re.compile(r"[A-Za-z0-9_][\w.-]{0,99}")
OBJECTS = ("text_config", "rope_scaling", "rope_parameters", "quantization_config")
MAX_LENGTH = 1 << 28
NO_GENERATOR = re.compile(
    r"\w+For(MaskedLM|PreTraining|SequenceClassification|TokenClassification|QuestionAnswering|MultipleChoice|"
    r"NextSentencePrediction|ImageClassification|\w*RewardModel)|(?!Aquila)(?!\w*LM)\w+Model"
)
"""Classes of models whose output is no next token."""
TWO_HALVES = "is an encoder and a decoder: engines run decoders alone"
TWINS: Mapping[str, str] = {"LlamaForCausalLM": "llama", "MistralForCausalLM": "mistral"}
"""Classes with one arithmetic and the same names of tensors, as long as none of `APART` is set."""
APART: Mapping[str, Any] = {"sliding_window": None, "attention_bias": False, "mlp_bias": False}
"""What one of the twins computes with and the other does not: its value where they compute the same."""
ANYWHERE: Mapping[str, Any] = {"sliding_window": None, "logit_scale": 1.0}
"""Keys that vLLM applies to models of any type: their value where they change nothing."""
EMBEDDING = re.compile(
    r"(?!.*(vision|visual|audio|image))(\w+\.)*(embed_tokens|wte|word_embeddings|embed_in|embeddings|tok_embeddings)\.weight"
)
"""The embedding of the vocabulary, by the names that types give it."""
MORE_ROWS = ("mllama",)
"""Beginnings of types whose embedding has rows beyond the vocabulary."""
LAYERS = re.compile(r"num_hidden_layers|n_layers?|num_layers")
COUNTS = re.compile(
    r"num_(attention|key_value)_heads|num_kv_heads|n_head|head_dim|num(_local)?_experts|n_routed_experts"
)
WIDTHS = re.compile(r"hidden_size|n_embd|d_model|vocab_size|intermediate_size|moe_intermediate_size|ffn_dim|n_inner")
LENGTHS = re.compile(r"max_position_embeddings|n_positions")


def forward_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config.json that decides how its tensors are used, in one form."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if key.startswith("_") or key in NOTES or TOKENS.fullmatch(key) or INITIAL.fullmatch(key):
            continue
        found[key] = forward_config(value) if key.endswith("_config") and isinstance(value, dict) else value
    dtypes = [found.pop(key) for key in ("torch_dtype", "dtype") if key in found]
    if dtypes:
        found["dtype"] = str(dtypes[-1]).removeprefix("torch.")
    rope = _rope(found)
    if rope:
        found["rope_parameters"] = rope
    if str(rope.get("rope_type", "default")) not in ROPES_BY_LENGTH:
        found.pop("max_position_embeddings", None)
    unread = _unread(str(config.get("model_type")), frozenset(found))
    return {key: value for key, value in found.items() if key not in unread}


def is_size(key: str) -> bool:
    """The key of a config.json is a number of layers, heads, experts, tokens or columns."""
    return any(sizes.fullmatch(key) for sizes in (LAYERS, COUNTS, WIDTHS, LENGTHS))


def longest_context(config: Mapping[str, Any]) -> int:
    """Tokens that the model was made for: the least of what its config says, 2**20 where that says nothing."""
    found = [1 << 20]
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            limits = [part.get(key) for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")]
            found += [limit for limit in limits if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0]
    return min(found)


def vocabulary(config: Mapping[str, Any]) -> int | None:
    """Number of token ids that the model knows; None: its config does not say."""
    text = config["text_config"] if isinstance(config.get("text_config"), Mapping) else config
    size = text.get("vocab_size")
    return size if isinstance(size, int) and not isinstance(size, bool) else None


def longest_in_vllm(config: Mapping[str, Any]) -> int:
    """Tokens up to which vLLM computes what transformers does. With `longrope` (Phi-3, Phi-4) transformers takes the
    factors for long texts where a text is long, vLLM for all texts of an engine whose context is."""
    found = [longest_context(config)]
    for part in (config, config.get("text_config")):
        if isinstance(part, Mapping):
            rope = _rope(dict(part))
            trained = rope.get("original_max_position_embeddings") or part.get("original_max_position_embeddings")
            if rope.get("rope_type") in LONG_ROPES and isinstance(trained, int) and trained > 0:
                found.append(trained)
    return min(found)


def check_folder(folder: Path) -> None:
    """Raises `CheckpointError` for pipes, devices and dead links, which whoever reads the folder would read for ever;
    for folders named as a file, and for texts that are larger than any model's."""
    if folder.is_dir():
        for file in folder.iterdir():
            if not file.is_file() and not (file.is_dir() and file.suffix not in (*TEXTS, ".safetensors")):
                raise CheckpointError(f"{file}: not a regular file")
            if file.suffix in TEXTS and READ.search(file.name) and file.stat().st_size > MAX_TEXT_BYTES:
                raise CheckpointError(f"{file}: larger than {MAX_TEXT_BYTES:,} bytes")


def check_config(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` naming config.json and the key whose value no model of these files can have."""
    file = checkpoint.folder / "config.json"
    config = checkpoint.config
    if not isinstance(config.get("model_type"), str) and not isinstance(config.get("architectures"), list):
        raise CheckpointError(f"{file}: neither model_type nor architectures: not a model that an engine could build")
    kind = config.get("model_type")
    if kind is not None and not (isinstance(kind, str) and TYPE.fullmatch(kind)):  # it becomes part of a path
        raise CheckpointError(f"{file}: model_type is {str(kind)[:40]!r}: not the name of a type of models")
    for key in OBJECTS:
        if config.get(key) is not None and not isinstance(config[key], dict):
            raise CheckpointError(f"{file}: {key} is {str(config[key])[:40]!r}: not an object")
    widest = max((side for info in checkpoint.tensors.values() for side in info.shape), default=1)
    count = max(len(checkpoint.tensors), widest)
    for part in (config, config.get("text_config")):
        for key, value in part.items() if isinstance(part, Mapping) else ():
            bound = count if COUNTS.fullmatch(key) else 8 * widest if WIDTHS.fullmatch(key) else None
            if LENGTHS.fullmatch(key):
                bound = MAX_LENGTH
            if LAYERS.fullmatch(key) and isinstance(value, int):
                bound = len(checkpoint.tensors)
            if isinstance(value, list) and bound is not None and len(value) > len(checkpoint.tensors):
                raise CheckpointError(f"{file}: {key} names {len(value):,} layers, which these files do not have")
            if bound is not None and value is not None and not _size(value, bound):
                raise CheckpointError(
                    f"{file}: {key} is {str(value)[:40]!r}, but with these files it is a number from 1 to {bound}"
                )
    wanted = vocabulary(config)
    for name in filter(EMBEDDING.fullmatch, checkpoint.tensors):
        rows = (*checkpoint.tensors[name].shape, 0)[0]
        if wanted is not None and rows != wanted and not str(kind).startswith(MORE_ROWS):
            raise CheckpointError(f"{file}: vocab_size is {wanted}, but {name} has {rows} rows")
    _check_head(checkpoint)


def check_generates(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` where config.json names what generates no text, or an encoder with a decoder."""
    file, named = checkpoint.folder / "config.json", checkpoint.config.get("architectures") or []
    if not isinstance(named, list) or not all(isinstance(one, str) for one in named):
        raise CheckpointError(f"{file}: architectures is {_short(named)}: not a list of names")
    for name in named:
        if NO_GENERATOR.fullmatch(name):
            raise CheckpointError(f"{file}: architectures names {name}: such a model generates no text")
    if checkpoint.config.get("is_encoder_decoder") is True:
        raise CheckpointError(f"{file}: the model {TWO_HALVES}")


def check_class(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` where config.json names a class that generates no text, that of an encoder and a
    decoder, or the class of another type that computes otherwise: vLLM goes by `architectures`, transformers by
    `model_type`, and each would answer as another model. Imports transformers."""
    from transformers.models.auto import modeling_auto

    check_generates(checkpoint)
    CLASSES = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    file, kind = checkpoint.folder / "config.json", checkpoint.config.get("model_type")
    named = checkpoint.config.get("architectures") or []
    if kind in modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES and kind not in CLASSES:
        raise CheckpointError(f"{file}: model_type {kind!r} {TWO_HALVES}")
    for name in named:
        if kind in CLASSES and name != CLASSES[kind] and name in CLASSES.values() and not _twins(checkpoint, name):
            raise CheckpointError(
                f"{file}: architectures names {name}, but model_type {kind!r} is {CLASSES[kind]}: engines differ in "
                "which they follow; set both to what the model is"
            )


def as_transformers(config: Mapping[str, Any]) -> dict[str, Any]:
    """What vLLM has to be told beside this config.json to compute what transformers does: the class of its type, where
    it names none or a twin of it, and to leave out what that class never reads (a llama's `sliding_window`), in its
    `text_config` too."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CLASSES

    kind, named = str(config.get("model_type")), config.get("architectures") or []
    found = _ignored(config)
    text = config.get("text_config")
    if isinstance(text, Mapping) and (ignored := _ignored(text)):
        found["text_config"] = ignored
    if kind in CLASSES and {*named} <= {*TWINS} - {CLASSES[kind]}:
        found["architectures"] = [CLASSES[kind]]
    return found


def _ignored(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the keys that vLLM applies to any type, those that transformers' code of this type never reads."""
    kind = str(config.get("model_type"))
    code = transformers_code(kind) if TYPE.fullmatch(kind) else ""
    unread = [key for key in ANYWHERE if code and config.get(key) is not None and key not in code]
    return {key: ANYWHERE[key] for key in unread} | stray_key_heads(config, code)


@functools.lru_cache(maxsize=16)
def transformers_code(kind: str) -> str:
    """transformers' code of a type's models and their configuration; empty: it has none."""
    from transformers.models.auto.configuration_auto import model_type_to_module_name

    spec = importlib.util.find_spec("transformers")
    roots = (spec.submodule_search_locations if spec else None) or []
    folders = [Path(root, "models", model_type_to_module_name(kind)) for root in roots]
    files = [file for folder in folders for file in (*folder.glob("model*.py"), *folder.glob("configuration_*.py"))]
    return "".join(file.read_text("utf-8") for file in files)


def _twins(checkpoint: Checkpoint, name: str) -> bool:
    """The class `name` computes as the class of config.json's `model_type`, defaults of both types included."""
    from transformers import AutoConfig

    config = {key: value for key, value in checkpoint.config.items() if key != "model_type"}
    kinds = (str(checkpoint.config.get("model_type")), TWINS.get(name))
    if not {*kinds} <= {*TWINS.values()}:
        return False
    try:
        one, other = (forward_config(AutoConfig.for_model(kind, **config).to_dict()) for kind in kinds)
    except Exception:  # whatever a strange config leads transformers to
        return False
    for each in (one, other):
        window = each.get("sliding_window")
        if isinstance(window, int) and window >= longest_context(checkpoint.config):  # it never closes
            each["sliding_window"] = None
        if any(each.pop(key, neutral) != neutral for key, neutral in APART.items()):
            return False
        each.pop("model_type", None)
    return one == other


def _check_head(checkpoint: Checkpoint) -> None:
    """Raises `CheckpointError` where config.json ties the output layer to the embedding, and the files hold another
    one: some libraries then use the one, some the other."""
    head = checkpoint.tensors.get("lm_head.weight")
    if head is None or checkpoint.config.get("tie_word_embeddings") is not True:
        return
    name = next((name for name in checkpoint.tensors if name.endswith(("embed_tokens.weight", "wte.weight"))), None)
    if name is None or checkpoint.tensors[name].shape != head.shape:
        return
    if (checkpoint.array(head.name) != checkpoint.array(name)).any():
        raise CheckpointError(
            f"{checkpoint.folder / 'config.json'}: tie_word_embeddings, but lm_head.weight is not {name}: libraries "
            "differ in which they use; set it to false, or leave the tensor out"
        )


def same_forward(wanted: Checkpoint, found: Checkpoint) -> None:
    """Raises `CheckpointError` naming the first key of config.json that differs and matters."""
    mine, theirs = forward_config(wanted.config), forward_config(found.config)
    for key in sorted({*mine, *theirs}):
        if mine.get(key) != theirs.get(key):
            raise CheckpointError(
                f"{found.folder / 'config.json'}: {key} is {_short(theirs.get(key))}, in {wanted.folder} "
                f"{_short(mine.get(key))}"
            )


def _short(value: Any) -> str:
    import json

    return json.dumps(value, default=str)[:80]


def _size(value: Any, bound: int) -> bool:
    if isinstance(value, list):  # one a layer, as some hybrids have it
        return all(_size(one, bound) or one == 0 for one in value)
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= bound


def _rope(found: dict[str, Any]) -> dict[str, Any]:
    """Rotary settings as transformers 5 writes them, from its older forms too (both names are popped)."""
    rope: dict[str, Any] = {}
    if "rope_theta" in found:
        rope["rope_theta"] = found.pop("rope_theta")
    for key in ("rope_scaling", "rope_parameters"):
        value = found.pop(key, None)
        if isinstance(value, dict):
            rope |= value
    if "type" in rope:
        rope.setdefault("rope_type", rope.pop("type"))
    if rope:
        rope.setdefault("rope_type", "default")
    return rope


@functools.lru_cache(maxsize=256)
def _unread(model_type: str, keys: frozenset[str]) -> frozenset[str]:
    """Those of the keys that no code which could build the model mentions: a tool's own notes."""
    left = set(keys - KNOWN)
    for file in _model_sources(model_type) if left else ():
        text = file.read_text("utf-8", errors="ignore")
        left -= {key for key in left if key in text}
        if not left:
            break
    return frozenset(left)


def _model_sources(model_type: str) -> Iterator[Path]:
    """All that reads a model's config in transformers and vLLM."""
    for package, folders in (
        ("transformers", (f"models/{model_type}", "models/auto", "integrations", "quantizers", ".")),
        ("vllm", ("model_executor", "transformers_utils", "config")),
    ):
        spec = importlib.util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            for folder in folders:
                yield from Path(root, folder).glob("*.py" if folder == "." else "**/*.py")

"""What the configurations of merged models say of the same thing, and say differently: the result has one of them.

Weights of the same shape may be cut into other heads, turned by other rotary frequencies or meant for another
activation. Heads that differ make any merge meaningless and are refused; the rest is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from merging.checkpoint import CheckpointError
from merging.source_model import SourceModel
from merging.towers import Tower, count_keys, section_of

HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "head_dim")
IGNORED = (
    *("architectures", "_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache", "vocab_size"),
    *("quantization_config", "auto_map", "tie_word_embeddings", "initializer_range", "max_position_embeddings"),
    *("bos_token_id", "pad_token_id", "id2label", "label2id", "rope_scaling"),
    *("use_return_dict", "pretraining_tp", "_attn_implementation", "max_window_layers", "rope_parameters"),
    *("rope_theta", "num_labels", "problem_type", "finetuning_task", "gradient_checkpointing"),
)
"""Keys that change no number of a forward pass, that the merge itself sets, or that are compared apart."""
SAME = {"gelu_new": "gelu_pytorch_tanh", "gelu_fast": "gelu_pytorch_tanh", "swish": "silu"}
MAX_NAMED = 6


def check_heads(first: SourceModel, other: SourceModel) -> None:
    """Raises `CheckpointError` where layers of the same shapes are cut into heads differently."""
    for key, mine, theirs in _differences(first, other):
        if key in HEADS:
            raise CheckpointError(
                f"{other.label}: config.json says {key} {theirs}, {first.label} {mine}: weights that are cut into "
                "heads differently cannot be merged"
            )


def disagreements(first: SourceModel, others: Sequence[SourceModel]) -> list[str]:
    """A note for each model whose configuration says other things than the first one's, which the result has."""
    notes = []
    for other in others:
        found = [f"{key} {theirs} (there {mine})" for key, mine, theirs in _differences(first, other)]
        if found:
            more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
            notes.append(
                f"config.json of {other.label} differs from {first.label}'s, which the result has: "
                f"{', '.join(found[:MAX_NAMED])}{more}"
            )
    return notes


def _differences(first: SourceModel, other: SourceModel) -> Iterator[tuple[str, Any, Any]]:
    """(key, the first's, the other's), of the section that describes the tower that writes text."""
    tower = next(iter(first.towers.values()), None)
    if tower is None or tower.head not in other.towers:
        return
    mine, theirs = (_section(model, model.towers[tower.head]) for model in (first, other))
    counts = {key for _, key, _ in count_keys(tower, first.config)}
    for key, value in mine.items():
        if key in IGNORED or key in counts or value is None or theirs.get(key) is None:
            continue
        if isinstance(value, list | dict) and key != "eos_token_id":
            continue
        if _plain(value) != _plain(theirs[key]):
            yield key, _brief(value), _brief(theirs[key])
    turned, other_turned = _rotary(mine), _rotary(theirs)
    for name in turned.keys() & other_turned.keys():
        if turned[name] != other_turned[name]:
            yield name, _brief(turned[name]), _brief(other_turned[name])


def _section(model: SourceModel, tower: Tower) -> Mapping[str, Any]:
    section = section_of(tower, model.config)
    found: Mapping[str, Any] = model.config[section] if section else model.config
    return found


def _rotary(section: Mapping[str, Any]) -> dict[str, Any]:
    """Frequencies and their scaling, in the spelling of before and after 2025."""
    held = section.get("rope_parameters") or section.get("rope_scaling")
    scaling = dict(held) if isinstance(held, dict) else {}
    theta = section.get("rope_theta", scaling.pop("rope_theta", None))
    kind = scaling.pop("rope_type", scaling.pop("type", "default"))
    found: dict[str, Any] = {"rope_theta": float(theta)} if _number(theta) else {}
    if "rope_parameters" in section or "rope_scaling" in section:
        scaling.pop("type", None)
        found["rope_scaling"] = {"rope_type": kind, **scaling} if scaling or kind != "default" else "none"
    return found


def _plain(value: Any) -> Any:
    return SAME.get(value, value) if isinstance(value, str) else value


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _brief(value: Any) -> str:
    return str(value)[:60]

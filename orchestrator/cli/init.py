"""`collegium init`: a configuration from what is on this machine, each expert tried before it is written."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import click
import psutil
from rich.console import Console

from orchestrator import providers
from orchestrator.cli.init_file import TriedExpert, written
from orchestrator.cli.lines import size, tell
from orchestrator.cli.options import DEFAULT_CONFIG
from orchestrator.config import Config, validate
from orchestrator.errors import BadInput, CollegiumError, ExpertError
from orchestrator.experts.candidates import (
    CandidateSearch,
    ExpertCandidate,
    expert_name,
    find_in_folder,
    find_in_hub,
    find_on_ports,
    find_on_servers,
    hub_cache,
    listens,
)
from orchestrator.inventory import inventory

MAX_EXPERTS = 8
MEMORY_SHARE = 0.9
"""Of the machine's memory that an expert's weights may take on a CPU."""
PORTS = (8000, *range(8010, 8100))
QUOTED = 60
"""Characters of a reply that are shown."""


@dataclass(frozen=True)
class SearchScope:
    """Where experts are looked for."""

    folders: tuple[str, ...]
    urls: tuple[str, ...]
    key_variable: str | None
    providers: tuple[str, ...]
    hub: bool
    ports: bool


@click.command("init")
@click.option("--yes", "-y", is_flag=True, help="Ask no questions: take everything that is found and answers.")
@click.option("--folder", "folders", multiple=True, metavar="PATH", help="Folder of checkpoints; default: this one.")
@click.option("--url", "urls", multiple=True, metavar="URL", help="OpenAI-compatible server: http://HOST:8000/v1.")
@click.option("--api-key-env", metavar="NAME", help="Environment variable that holds the key of --url.")
@click.option(
    "--provider",
    "models",
    multiple=True,
    metavar="PROVIDER/MODEL",
    help="Model of a known provider, such as openai/gpt-5-mini. One short question is paid for.",
)
@click.option("--hub/--no-hub", default=True, help="Look into the hub's cache.  [default: hub]")
@click.option("--ports/--no-ports", default=True, help="Look for servers on this machine.  [default: ports]")
@click.option("--only", metavar="NAME,...", help="Take only these of what is found.")
@click.option(
    "--max-experts",
    type=click.IntRange(1, 1000),
    default=MAX_EXPERTS,
    show_default=True,
    help="Experts that are tried at most.",
)
@click.option("--try/--no-try", "trying", default=True, help="Have each expert answer a question.  [default: try]")
@click.option("--config", default=str(DEFAULT_CONFIG), show_default=True, metavar="FILE", help="File to write.")
@click.option("--force", is_flag=True, help="Overwrite the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document. Asks no questions.")
def command(
    yes: bool,
    folders: tuple[str, ...],
    urls: tuple[str, ...],
    api_key_env: str | None,
    models: tuple[str, ...],
    hub: bool,
    ports: bool,
    only: str | None,
    max_experts: int,
    trying: bool,
    config: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write a commented collegium.yaml from what is there: the hub's cache, folders of checkpoints, servers on this
    machine, and providers whose keys are set. Each expert answers one question first.

    Nothing beyond this machine is asked, unless --url or --provider names it or you agree.
    """
    path = Path(config).expanduser().absolute()
    if path.exists() and not force:
        raise BadInput(f"{path}: is there already: overwrite it with --force, or write another with --config FILE")
    if not path.parent.is_dir():
        raise BadInput(f"{path.parent}: no such folder")
    scope = SearchScope(folders or (".",), urls, api_key_env, models, hub, ports)
    ask = not (yes or as_json) and at_a_terminal()
    search = find(scope)
    _tell_found(search, quiet=as_json)
    chosen = _chosen(search, only, ask)
    tried = _tried(chosen, max_experts, trying, quiet=as_json)
    kept = [one for one in tried if one.works]
    if not as_json:
        for one in tried:
            tell(f"{'✓' if one.works else '✗'} {one.name}: {one.words}")
    if not kept:
        raise ExpertError(
            f"nothing usable was found, so {path.name} is not written: name a folder of checkpoints (--folder), a "
            "server (--url) or a provider's model (--provider openai/gpt-5-mini); or see `collegium demo`"
        )
    port = next((port for port in PORTS if not listens(port)), PORTS[0])
    path.write_text(written(tried, search.refused, path, engine="auto", port=port), "utf-8")
    if as_json:
        click.echo(json.dumps(_document(path, tried, search.refused), ensure_ascii=False))
        return
    tell(f"Wrote {path.name}: {_counted(len(kept), 'expert')}, {len(tried) - len(kept)} left out.")
    tell("Next: collegium run --task QUESTIONS.csv, or collegium chat")


def at_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def find(scope: SearchScope) -> CandidateSearch:
    """Everything that may become an expert. Raises `BadInput` for a folder or provider that is none, or a key
    variable that is not set."""
    search = CandidateSearch()
    for name in scope.providers:
        search.add(of_provider(name))
    find_on_servers(search, scope.urls, scope.key_variable)
    if scope.urls and (wrong := next((url for url in scope.urls if url.rstrip("/") in search.refused), None)):
        raise ExpertError(f"--url {wrong}: {search.refused[wrong.rstrip('/')]}")
    for folder in scope.folders:
        root = Path(folder).expanduser().absolute()
        if not root.is_dir():
            raise BadInput(f"--folder {folder}: no such folder")
        find_in_folder(search, root)
    if scope.hub:
        find_in_hub(search, hub_cache())
    if scope.ports:
        find_on_ports(search)
    return search


def of_provider(text: str) -> ExpertCandidate:
    """The model of a known provider, from PROVIDER/MODEL. Raises `BadInput`."""
    provider, slash, model = text.partition("/")
    if not slash or not model:
        raise BadInput(f"--provider {text}: PROVIDER/MODEL was expected, such as openai/gpt-5-mini")
    try:
        variable = providers.defaults(provider)["api_key_env"]
    except ValueError as error:
        raise BadInput(f"--{error}") from error
    if not os.environ.get(variable, "").strip():
        raise BadInput(f"--provider {text}: its key is read from {variable}, which is not set: export {variable}=...")
    return ExpertCandidate(expert_name(model), {"provider": provider, "model": model}, provider)


def _tell_found(search: CandidateSearch, *, quiet: bool) -> None:
    if quiet:
        return
    tell(f"Found {_counted(len(search.candidates), 'model')} that may become {_plural(search)}:")
    for one in search.candidates:
        tell(f"  {one.name} ({one.source}{', ' + size(one.bytes) if one.bytes else ''})", indent="    ")
    for what, why in search.refused.items():
        tell(f"  not {what}: {why}", indent="    ")


def _plural(search: CandidateSearch) -> str:
    return "an expert" if len(search.candidates) == 1 else "experts"


def _chosen(search: CandidateSearch, only: str | None, ask: bool) -> list[ExpertCandidate]:
    candidates = list(search.candidates)
    if only is not None:
        return _named(candidates, only)
    if not ask:
        return candidates
    if candidates:
        answer = click.prompt("Which of them? (names with commas)", default="all")
        candidates = candidates if answer.strip() == "all" else _named(candidates, answer)
    further = CandidateSearch(candidates)
    for provider, variable in _keys_set():
        if any(one.entry.get("provider") == provider for one in candidates):
            continue
        model = click.prompt(f"{variable} is set. Model of {provider} to add (empty: none)", default="")
        if model.strip():
            further.add(of_provider(f"{provider}/{model.strip()}"))
    return further.candidates


def _keys_set() -> list[tuple[str, str]]:
    """(provider, variable) of each known provider whose key is set."""
    named = [(provider, providers.defaults(provider)["api_key_env"]) for provider in providers.names()]
    return [(provider, variable) for provider, variable in named if os.environ.get(variable, "").strip()]


def _named(candidates: Sequence[ExpertCandidate], text: str) -> list[ExpertCandidate]:
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    by_name = {one.name: one for one in candidates}
    for name in wanted:
        if name not in by_name:
            raise BadInput(f"{name[:80]!r} was not found; there are {', '.join(by_name) or 'none'}")
    return [by_name[name] for name in wanted]


def _tried(chosen: Sequence[ExpertCandidate], limit: int, trying: bool, *, quiet: bool) -> list[TriedExpert]:
    """Each with what became of it: files read, then one question each."""
    found, ready = {}, []
    for number, one in enumerate(chosen):
        why = f"not tried: --max-experts is {limit}" if number >= limit else _unreadable(one)
        found[one.name] = TriedExpert(one.name, one.entry, f"{_source(one)}. {why}" if why else _source(one), not why)
        if not why:
            ready.append(one)
    if trying and ready:
        if not quiet:
            local = any("url" not in one.entry and "provider" not in one.entry for one in ready)
            patience = "; starting the engine of local ones can take some minutes" if local else ""
            tell(f"Asking {', '.join(one.name for one in ready)} one question each{patience} ...", err=True)
        for name, (works, words) in _answers(ready, quiet=quiet).items():
            found[name] = replace(found[name], words=f"{found[name].words}. {words}", works=works)
    return list(found.values())


def _source(one: ExpertCandidate) -> str:
    place = {"provider": "Model of", "url": "Served at"}
    kind = next((words for key, words in place.items() if key in one.entry), "Checkpoint from")
    return f"{kind} {one.source}" + (f", {size(one.bytes)}" if one.bytes else "")


def _configuration(chosen: Sequence[ExpertCandidate]) -> Config:
    data: Mapping[str, Any] = {"experts": {one.name: dict(one.entry) for one in chosen}}
    return validate(data, Path("init").absolute())


def _unreadable(one: ExpertCandidate) -> str | None:
    """Why its files or settings cannot be used; None: they can."""
    from orchestrator.experts.zoo import resolve

    memory = psutil.virtual_memory().total
    if inventory().refusal() and one.bytes > MEMORY_SHARE * memory:
        return f"Its weights take {size(one.bytes)}; this machine has {size(memory)} of memory"
    try:
        resolve(_configuration([one]))
    except CollegiumError as error:
        return str(error).removeprefix(f"expert {one.name!r}: ")
    return None


def _answers(chosen: Sequence[ExpertCandidate], *, quiet: bool) -> dict[str, tuple[bool, str]]:
    """Name -> (whether it answered, in words). All are asked in one engine; what breaks that is looked for one by
    one."""
    if not chosen:
        return {}
    try:
        return _asked(chosen, quiet=quiet)
    except Exception as error:  # a loader's own: one expert must not hide the others
        if len(chosen) == 1:
            return {chosen[0].name: (False, f"It cannot be loaded: {type(error).__name__}: {str(error)[:300]}")}
    return {name: found for one in chosen for name, found in _answers([one], quiet=quiet).items()}


def _asked(chosen: Sequence[ExpertCandidate], *, quiet: bool) -> dict[str, tuple[bool, str]]:
    from orchestrator.collegium import Collegium
    from orchestrator.pipelines.check import CheckRequest, CheckResult

    request = CheckRequest(reference=False, prompts=1)
    with Collegium(_configuration(chosen)) as collegium, own_stderr(collegium.state / "init.log") as stderr:
        console = Console(file=stderr, quiet=quiet)
        with console.status("loading ...") if console.is_terminal else contextlib.nullcontext() as status:
            note = (lambda line: status.update(f"{line} ...")) if status else lambda line: None
            found: CheckResult = collegium.execute("check", request, note=note)
    answers = {}
    for one in found.experts:
        if one.problem:
            answers[one.expert] = (False, one.problem.removeprefix(f"expert {one.expert!r}: "))
        elif not one.says.strip():
            answers[one.expert] = (False, "It gave an empty reply")
        else:
            loaded = "" if one.way == "remote" else f"Loaded in {one.load_seconds} s, "
            answered = f"{'answered' if loaded else 'Answered'} {f'in {one.seconds} s ' if one.seconds else ''}"
            answers[one.expert] = (True, f"{loaded}{answered.strip()}: “{one.says[:QUOTED]}”")
    return answers


@contextlib.contextmanager
def own_stderr(log: Path) -> Iterator[TextIO]:
    """A stream to standard error, while what libraries write there goes into a file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file, os.fdopen(os.dup(kept), "w") as stream:
            os.dup2(file.fileno(), 2)
            yield stream
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _document(path: Path, tried: Sequence[TriedExpert], refused: Mapping[str, str]) -> dict[str, Any]:
    return {
        "config": str(path),
        "experts": [{"name": one.name, **one.entry, "note": one.words} for one in tried if one.works],
        "left_out": {one.name: one.words for one in tried if not one.works},
        "not_usable": dict(refused),
    }

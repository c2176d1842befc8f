"""A pipeline as a command: its flags are its request's fields, its work is the SDK's, only the tables are its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
from pydantic import BaseModel
from rich.console import Console

from orchestrator.cli.options import positional, request_command
from orchestrator.cli.progress import run_with_progress
from orchestrator.collegium import Collegium
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.evaluation.report.formats import plain
from orchestrator.pipelines.registry import PIPELINES
from orchestrator.run_folder import RunFolder

Q = TypeVar("Q", bound=BaseModel)
R = TypeVar("R")
FRESH = click.Option(["--fresh"], is_flag=True, help="Empty the run's folder first (the ledger stays).")


@dataclass(frozen=True)
class Finished(Generic[Q, R]):
    """A pipeline that has run for the command line."""

    collegium: Collegium
    request: Q
    result: R
    folder: Path
    """Its run folder; of a pipeline that keeps none, the current folder."""
    options: Mapping[str, Any]
    """The command's own, beside the request's fields."""

    @property
    def report(self) -> Path:
        """The report's page."""
        return (self.folder / "report.html").absolute()


def pipeline_command(
    name: str,
    show: Callable[[Console, Finished[Any, Any]], None],
    document: Callable[[Finished[Any, Any]], Any],
    *extra: click.Option,
    adapt: Callable[[Any, Mapping[str, Any]], Any] = lambda request, options: request,
    before: Callable[[Collegium, Any, Path, bool], None] = lambda collegium, request, folder, quiet: None,
    after: Callable[[Any], None] = lambda result: None,
) -> click.Command:
    """`show` prints tables for people, `document` gives what `--json` prints. `adapt` changes the request by the
    command's own options (`extra`); `before` does what is to be done, and shown, before the pipeline runs; `after`
    raises what makes a run that is finished and kept end with an exit code other than 0."""
    pipeline = PIPELINES[name]

    def run(config: Config, request: BaseModel, *, as_json: bool, fresh: bool = False, **own: Any) -> None:
        request = adapt(request, own)
        try:
            finished = work(config, request, as_json=as_json, fresh=fresh, own=own)
        except KeyboardInterrupt:
            if pipeline.keeps:
                raise
            click.echo(f"collegium: {name} interrupted; nothing of it is kept, the same command starts anew", err=True)
            raise SystemExit(130) from None
        if as_json:
            click.echo(json.dumps(document(finished), ensure_ascii=False))
        else:
            show(Console(highlight=False), finished)
        after(finished.result)

    def work(
        config: Config, request: BaseModel, *, as_json: bool, fresh: bool, own: Mapping[str, Any]
    ) -> Finished[Any, Any]:
        with Collegium(config, check=pipeline.asks) as collegium:
            folder = collegium.run_folder(name, request, fresh=fresh) if pipeline.keeps else Path()
            try:
                before(collegium, request, folder, as_json)
                result = execute(collegium, request, as_json=as_json)
            except BadInput:
                if pipeline.keeps:
                    RunFolder(folder).discard()
                raise
            return Finished(collegium, request, result, folder, own)

    def execute(collegium: Collegium, request: BaseModel, *, as_json: bool) -> Any:
        if pipeline.asks:
            return run_with_progress(collegium, lambda: collegium.aexecute(name, request), quiet=as_json)
        with Console(stderr=True, quiet=as_json).status("reading ...") as status:
            return collegium.execute(name, request, note=lambda line: status.update(f"{plain(line)} ..."))

    options = (FRESH, *extra) if pipeline.keeps else extra
    return request_command(name, pipeline.request, run, *options)


def several(command: click.Command, name: str) -> click.Command:
    """The command with this option of a list as any number of arguments."""
    callback = command.callback

    def split(**values: Any) -> Any:
        assert callback is not None
        return callback(**{**values, name: ",".join(values[name]) or None})

    command = positional(command, name)
    command.params[0] = click.Argument([name], nargs=-1, metavar=f"[{name.upper()}]...")
    command.callback = split
    return command

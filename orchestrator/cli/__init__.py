"""The command line. Commands are imported when they are called, so that `collegium --help` is quick.

Every command prints tables for people, or one JSON document with `--json`; progress goes to standard error. An
error that Collegium raises on purpose is one line and a non-zero exit code (2 for bad input).
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from orchestrator.cli.help import SECTIONS, with_examples

COMMANDS: Mapping[str, str] = {
    "init": "orchestrator.cli.init:command",
    "doctor": "orchestrator.cli.doctor:command",
    "chat": "orchestrator.cli.chat:command",
    "demo": "orchestrator.cli.demo:command",
    "setup": "orchestrator.cli.setup:command",
    "experts": "orchestrator.cli.experts:command",
    "cluster": "orchestrator.cli.cluster:command",
    "glue": "orchestrator.cli.glue:command",
    "gather": "orchestrator.cli.gather:command",
    "merge": "orchestrator.cli.merge:command",
    "profile": "orchestrator.cli.runs:profile_command",
    "run": "orchestrator.cli.runs:run_command",
    "report": "orchestrator.cli.report:command",
    "task": "orchestrator.cli.task:command",
    "route": "orchestrator.cli.routing:route_command",
    "eval-router": "orchestrator.cli.routing:eval_command",
    "prune": "orchestrator.cli.prune:command",
    "table": "orchestrator.cli.table:command",
    "convincing": "orchestrator.cli.discussions:convincing_command",
    "transcripts": "orchestrator.cli.discussions:transcripts_command",
    "generate": "orchestrator.cli.distill:generate_command",
    "teach": "orchestrator.cli.distill:teach_command",
    "distill": "orchestrator.cli.distill:command",
    "serve": "orchestrator.cli.serve:command",
    "submit": "orchestrator.cli.submit:command",
    "keys": "orchestrator.cli.keys:command",
    "completion": "orchestrator.cli.completion:command",
}
SUMMARIES: Mapping[str, str] = {
    "init": "Write collegium.yaml from the models and servers that are here.",
    "doctor": "What this machine can do, what is wrong, and what to do.",
    "chat": "Talk to an expert, the mixture or a discussion.",
    "demo": "Several real experts answer, end to end, on this machine.",
    "setup": "Install vLLM (CUDA or CPU) or the transformers engine, from locks.",
    "experts": "List, add, check, train and grow experts.",
    "task": "Show how a file of questions is read: gold answers, kinds, splits.",
    "report": "The page of a run, or of several on the questions that they share.",
    "table": "Routing tables of other projects: import, export.",
    "transcripts": "Transcripts of discussions as a page to read.",
    "serve": "Serve the zoo as an OpenAI-compatible REST endpoint.",
    "submit": "Run any command as a Ray job, and fetch its results.",
    "keys": "API keys of the service: create, list, revoke.",
    "completion": "Completion of commands and options in your shell.",
}
"""Of the commands that are no pipeline: a pipeline's record has its own."""


class LazyGroup(click.Group):
    """Knows each command's name and summary; imports it when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command's module and return the command; None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return with_examples(command, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands' summaries in their sections, without importing their modules."""
        summaries = _summaries()
        width = max(map(len, COMMANDS))
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", summaries[name]) for name in names])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, without importing their modules."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        summaries = _summaries()
        return [CompletionItem(name, help=summaries[name]) for name in COMMANDS if name.startswith(incomplete)]


def _summaries() -> Mapping[str, str]:
    from orchestrator.pipelines.registry import PIPELINES

    return {name: pipeline.summary for name, pipeline in PIPELINES.items()} | dict(SUMMARIES)


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from orchestrator import __version__

        click.echo(f"collegium {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99})
@click.option("--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show the version.")
def group() -> None:
    """Collegium turns a heap of LLMs into one better model."""


def _notes_on_one_line() -> None:
    """Renamed configuration keys are a FutureWarning: print it as a note, without file and line of the program."""
    before = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, FutureWarning) and str(message).startswith(("workers.", "service.")):
            click.echo(f"collegium: note: {message}", err=True)
        else:
            before(message, category, *place, **more)

    warnings.showwarning = show


class _Terminated(BaseException):
    """Somebody sent SIGTERM."""


def _terminate(*_: object) -> None:
    raise _Terminated


def main() -> None:
    """The console script."""
    from orchestrator.errors import CollegiumError

    _notes_on_one_line()
    before = signal.signal(signal.SIGTERM, _terminate)
    sys.path.append(os.getcwd())  # code of the user's own, named as module:attribute
    try:
        code = group.main(prog_name="collegium", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CollegiumError as error:
        click.echo(f"collegium: {error}", err=True)
        code = error.exit_code
    except _Terminated:
        click.echo("collegium: terminated; every finished reply is kept, the same command goes on from there", err=True)
        code = 128 + signal.SIGTERM
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            "collegium: interrupted; every finished reply is kept, the same command goes on from there", err=True
        )
        code = 130
    signal.signal(signal.SIGTERM, before)
    sys.exit(code if isinstance(code, int) else 0)

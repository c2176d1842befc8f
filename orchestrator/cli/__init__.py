"""The command line. Commands are imported when they are called, so that `collegium --help` is quick.

Every command prints tables for people, or one JSON document with `--json`; progress goes to standard error. An
error that Collegium raises on purpose is one line and a non-zero exit code (2 for bad input).
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import click

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("orchestrator.cli.demo:command", "Several real experts answer, end to end, on this machine."),
    "setup": ("orchestrator.cli.setup:command", "Install vLLM (CUDA or CPU) or the transformers engine, from locks."),
    "experts": ("orchestrator.cli.experts:command", "List, add, check and train experts."),
    "cluster": ("orchestrator.cli.cluster:command", "Which experts are alike enough to be merged?"),
    "glue": ("orchestrator.cli.glue:command", "Make a better zoo: cluster, search merges, drop, compare."),
    "gather": ("orchestrator.cli.gather:command", "Gather what RegMean and Fisher merging need to know of a model."),
    "merge": ("orchestrator.cli.merge:command", "Merge models into one, by mergekit's YAML."),
    "profile": ("orchestrator.cli.runs:profile_command", "Let experts answer a split: who is good at what?"),
    "run": ("orchestrator.cli.runs:run_command", "Answer a task with one or more methods, and compare them."),
    "task": ("orchestrator.cli.task:command", "Show how a file of questions is read: gold answers, kinds, splits."),
    "route": ("orchestrator.cli.routing:route_command", "Which experts should answer a question, and why?"),
    "eval-router": ("orchestrator.cli.routing:eval_command", "Judge routers on recorded answers: lift, cost, votes."),
    "convincing": (
        "orchestrator.cli.discussions:convincing_command",
        "Find explanations that change experts' minds, to show in discussions.",
    ),
    "transcripts": (
        "orchestrator.cli.discussions:transcripts_command",
        "Transcripts of discussions as a page to read.",
    ),
    "distill": (
        "orchestrator.cli.distill:command",
        "Teach a student what a panel said: transcripts, training, report.",
    ),
    "serve": ("orchestrator.cli.serve:command", "Serve the zoo as an OpenAI-compatible REST endpoint."),
    "submit": ("orchestrator.cli.submit:command", "Run any command as a Ray job, and fetch its results."),
    "keys": ("orchestrator.cli.keys:command", "API keys of the service: create, list, revoke."),
}


class LazyGroup(click.Group):
    """Knows each command's name and summary; imports it when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from orchestrator import __version__

        click.echo(f"collegium {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
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


def main() -> None:
    """The console script."""
    from orchestrator.errors import CollegiumError

    _notes_on_one_line()

    try:
        code = group.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except CollegiumError as error:
        click.echo(f"collegium: {error}", err=True)
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            "collegium: interrupted; every finished reply is kept, the same command goes on from there", err=True
        )
        code = 130
    sys.exit(code if isinstance(code, int) else 0)

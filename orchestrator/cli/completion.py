"""`collegium completion SHELL`: what makes the shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the lines that make SHELL complete commands and options: bash, zsh or fish.

    Add them to ~/.bashrc or ~/.zshrc, or to ~/.config/fish/completions/collegium.fish.
    """
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(ctx.find_root().command, {}, "collegium", "_COLLEGIUM_COMPLETE").source())

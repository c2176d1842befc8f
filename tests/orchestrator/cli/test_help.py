"""Help: every command has its place and examples that can be typed; many options stand in groups."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli import COMMANDS, group
from orchestrator.cli.help import _GROUPS, EXAMPLES, LAST, MANY, SECTIONS, OptionsInGroups, group_of


def commands() -> dict[str, click.Command]:
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {below}": one for below, one in command.commands.items()}
        if not isinstance(command, click.Group) or command.invoke_without_command:
            found[name] = command
    return found


def test_every_command_stands_in_one_section() -> None:
    assert [name for names in SECTIONS.values() for name in names] == sorted(
        COMMANDS, key=[name for names in SECTIONS.values() for name in names].index
    )
    text = CliRunner().invoke(group, ["--help"]).output
    assert [title for title in SECTIONS if f"{title}:" not in text] == []


def test_every_example_can_be_typed_and_stands_in_its_commands_help() -> None:
    known = commands()
    assert set(EXAMPLES) <= set(known)
    for path, lines in EXAMPLES.items():
        text = " ".join(CliRunner().invoke(group, [*path.split(), "--help"]).output.split())
        for line in lines:
            words = shlex.split(line.partition(" >> ")[0])
            assert words[: len(path.split())] == path.split()
            known[path].make_context(path, words[len(path.split()) :], resilient_parsing=False).close()
            assert f"collegium {line}" in text


def test_every_command_that_asks_experts_has_an_example() -> None:
    without = set(commands()) - set(EXAMPLES)
    assert without <= {"demo", "setup", "keys list", "keys revoke"}


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("experts", "table", "keys")])
def test_many_options_stand_in_groups_and_none_is_left_over(name: str) -> None:
    command = commands()[name]
    if not isinstance(command, OptionsInGroups):
        return
    options = [one.name or "" for one in command.params if isinstance(one, click.Option)]
    if len(options) <= MANY:
        return
    assert [option for option in options if group_of(option, name) is None] == []
    text = CliRunner().invoke(group, [name, "--help"]).output
    assert f"\n{LAST}:\n" in text
    assert "\nOptions:\n" not in text


def test_an_option_belongs_to_one_group() -> None:
    names = [name for names in _GROUPS.values() for name in names.split()]
    assert sorted(names) == sorted(set(names))


def test_choices_are_displayed_as_choices() -> None:
    text = CliRunner().invoke(group, ["run", "--help"]).output
    assert "--mode [" in text
    assert "--methods NAME,..." in text


@pytest.mark.parametrize("name", [*COMMANDS])
def test_no_line_of_help_is_longer_than_a_screen(name: str) -> None:
    for arguments in ([name, "--help"],):
        lines = CliRunner().invoke(group, arguments, terminal_width=99).output.splitlines()
        assert not [line for line in lines if len(line) > 99]

"""Lines for people."""

from __future__ import annotations

import pytest

from orchestrator.cli.lines import size, tell, wrapped


def test_lines_stay_below_100_columns_and_words_whole() -> None:
    lines = wrapped("word " * 60 + "x" * 120).splitlines()
    assert all(len(line) < 100 for line in lines[:-1])
    assert lines[-1].strip() == "x" * 120
    assert all(line.startswith("  ") for line in lines[1:])


def test_no_control_character_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    tell("a\x1b[2Jb\u202ec")
    assert capsys.readouterr().out == "a[2Jbc\n"


def test_sizes() -> None:
    assert size(269_060_552) == "269 MB"
    assert size(13_476_000_000) == "13.5 GB"

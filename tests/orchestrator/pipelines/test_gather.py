"""Statistics for merging, gathered by a program."""

from __future__ import annotations

from pathlib import Path

import pytest
import tiny_llama

from orchestrator import Collegium
from orchestrator.errors import BadInput
from orchestrator.pipelines.gather import GatheredStatistics


def test_a_program_gathers_as_the_command_does(echo_zoo: Collegium, tmp_path: Path) -> None:
    model, texts, out = tiny_llama.write(tmp_path / "tiny"), tmp_path / "texts", tmp_path / "out.safetensors"
    texts.write_text("one two\n\nthree four five\n")
    notes: list[str] = []
    found = echo_zoo.gather(model=str(model), texts=str(texts), out=str(out), note=notes.append)
    assert found == GatheredStatistics(out, "gram", 2, found.tokens)
    assert out.stat().st_size > 1000
    assert notes[-1] == f"gathering, {found.tokens:,} tokens"


def test_a_folder_or_file_that_is_not_there_is_named(echo_zoo: Collegium, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"model: .*nowhere: no such folder"):
        echo_zoo.gather(model=str(tmp_path / "nowhere"), texts="texts", out="out")
    with pytest.raises(BadInput, match=r"texts: .*nothing: cannot be read: No such file"):
        echo_zoo.gather(model=str(tmp_path), texts=str(tmp_path / "nothing"), out="out")

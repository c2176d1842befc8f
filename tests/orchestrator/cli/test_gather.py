"""`collegium gather`: statistics of a model over a file of texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_llama
from click.testing import CliRunner, Result
from safetensors.numpy import load_file

from orchestrator.cli import group
from orchestrator.errors import BadInput


def call(*arguments: object) -> Result:
    return CliRunner().invoke(group, ["gather", *map(str, arguments)], catch_exceptions=True)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama.write(tmp_path_factory.mktemp("tiny"))


@pytest.mark.parametrize("kind", ["gram", "fisher"])
def test_each_line_is_a_text_and_each_weight_has_its_statistics(tiny: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "texts").write_text("one two\n\nthree four five\n")
    done = call(tiny, tmp_path / "texts", tmp_path / "out.safetensors", "--kind", kind, "--json")
    assert done.exit_code == 0, (done.output, done.exception)
    found = json.loads(done.stdout)
    assert (found["texts"], found["kind"]) == (2, kind)
    assert found["tokens"] > 4
    name = "model.layers.0.self_attn.q_proj.weight"
    tensor = load_file(tmp_path / "out.safetensors")[name]
    assert float(abs(tensor).sum()) > 0
    assert (tensor == tensor.T).all() == (kind == "gram")


@pytest.mark.parametrize(
    ("content", "told"), [(b"", "no lines"), (b"\n \n", "no lines"), (b"\xff\xfe\x00", "not UTF-8")]
)
def test_a_file_without_texts_is_refused(tiny: Path, tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "texts").write_bytes(content)
    refused = call(tiny, tmp_path / "texts", tmp_path / "out").exception
    assert isinstance(refused, BadInput)
    assert told in str(refused)

"""The README's commands, one after the other, as they stand there: a reader's first hour."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from orchestrator.cli import group

pytestmark = pytest.mark.soak
README = Path(__file__).parents[2] / "README.md"
SCRIPTS = '''
"""Two experts that know one thing each, and name skills when they are asked."""

def reply(text, knows):
    coin = "coin" in text
    if "Keywords:" in text:
        return "Keywords: " + ("tossing" if coin else "spelling")
    known = knows == ("coins" if coin else "words")
    answer = ("yes" if coin else "a") if known else "no"
    return f"It is plain to see.\\nAnswer: {answer}\\nConfidence: {0.9 if known else 0.3}"

def words(messages, seed):
    return reply(messages[-1][1], "words")

def coins(messages, seed):
    return reply(messages[-1][1], "coins")
'''
ELSEWHERE = {
    "experts add big": "tests/orchestrator/cli/test_cli.py (its URL is asked only when it is used)",
    "glue": "tests/orchestrator/pipelines/test_glue.py and the chapter of `make demo`",
    "distill": "tests/orchestrator/pipelines/test_distill_pipeline.py, with a tiny student",
    "serve": "tests/soak/test_soak_service.py",
    "submit": "tests/orchestrator/cli/test_submit.py",
}
"""Commands that need more than this test has, and what runs them."""
WITH_MODELS = ("experts add", "experts check", "merge", "cluster")


def lines() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL)
    found = [line.partition("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.removeprefix("collegium ") for line in found if line.startswith("collegium ")]


def run(line: str) -> str:
    """One command; `…` in a path stands for what the command before made."""
    words = shlex.split(line)
    for place, word in enumerate(words):
        if "…" in word:
            words[place] = str(max(Path().glob(word.replace("…", "*")), key=lambda path: path.stat().st_mtime))
    result = CliRunner().invoke(group, words)
    assert result.exit_code == 0, (line, result.output[-2000:], result.exception)
    return result.output


def place(folder: Path, monkeypatch: pytest.MonkeyPatch, **config: Any) -> None:
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    shared = {"state": "state", "runs": "runs"}
    Path("collegium.yaml").write_text(yaml.safe_dump({**config, **shared}))


@pytest.mark.timeout(900)
def test_the_readmes_commands_about_questions_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "readme_experts.py").write_text(SCRIPTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "readme_experts", raising=False)
    experts = {name: {"script": f"readme_experts:{name}"} for name in ("words", "coins")}
    place(tmp_path, monkeypatch, experts=experts, workers={"engine": "scripted", "in_process": True})
    rows = [
        {"id": f"{split}{n}", "split": split, "question": f"Is coin {n} up?", "answer": "yes", "kind": "yesno"}
        if n % 2
        else {"id": f"{split}{n}", "split": split, "question": f"Letter {n}?", "answer": "a", "kind": "text"}
        for split in ("train", "validation", "test")
        for n in range(24)
    ]
    Path("questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    mine = [line for line in lines() if not line.startswith((*ELSEWHERE, *WITH_MODELS))]
    assert len(mine) >= 10
    for line in mine:
        run(line)
    assert Path("table.jsonl").exists()
    assert Path("routers.html").read_text().startswith("<!")
    assert list(Path("runs").glob("run-*/report.html"))


@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_readmes_commands_about_models_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tiny_llama import write

    experts = {"first": {"script": "orchestrator.inference.engines.scripted:echo"}}
    place(tmp_path, monkeypatch, experts=experts, workers={"engine": "transformers", "in_process": True})
    write(Path("my-llama"))
    write(Path("other"), seed=1)
    adapter(Path("poet-lora"), Path("my-llama"))
    merge = {"merge_method": "linear", "models": [{"model": name, "parameters": {"weight": 1.0}} for name in MERGED]}
    Path("config.yml").write_text(yaml.safe_dump(merge))
    mine = [line for line in lines() if line.startswith(WITH_MODELS) and not line.startswith(tuple(ELSEWHERE))]
    assert len(mine) >= 5
    for line in mine:
        run(line)
        if line.startswith("experts add poet"):  # what is not a model cannot be checked as one
            config = yaml.safe_load(Path("collegium.yaml").read_text())
            del config["experts"]["first"]
            Path("collegium.yaml").write_text(yaml.safe_dump(config))
    assert Path("merged/model.safetensors").exists()


MERGED = ("./my-llama", "./other")


def adapter(folder: Path, model: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from merging.checkpoint import Checkpoint

    tensors = {}
    for name, info in Checkpoint(model).tensors.items():
        if name.endswith("_proj.weight"):
            module = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{module}.lora_A.weight"] = torch.full((2, info.shape[1]), 0.01)
            tensors[f"{module}.lora_B.weight"] = torch.full((info.shape[0], 2), 0.01)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "target_modules": ["q_proj"]}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def test_every_command_is_run_somewhere() -> None:
    for line in lines():
        where = [known for known in ELSEWHERE if line.startswith(known)]
        assert not where or (README.parent / ELSEWHERE[where[0]].split()[0].rstrip(",")).exists()
    assert all(any(line.startswith(known) for line in lines()) for known in ELSEWHERE)

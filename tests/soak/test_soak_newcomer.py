"""A newcomer's first hour, as a script: from an empty folder with a hub-layout cache, a CSV of questions and a local
OpenAI-compatible server to a report and a served mixture of one local and one remote expert. Six commands, no file
edited by hand, every printed line under 100 columns."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
SCRIPT = '''
"""An expert elsewhere: it adds, and knows nothing of coins."""
import re

def adds(messages, seed):
    text = messages[-1][1]
    numbers = re.findall(r"\\d+", text)
    if "capital of France" in text:
        return "Paris."
    answer = str(int(numbers[0]) + int(numbers[1])) if "+" in text and len(numbers) >= 2 else "no"
    return f"I work it out.\\nAnswer: {answer}\\nConfidence: 0.9"
'''


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, environment: dict[str, str], url: str, *arguments: str) -> Iterator[str]:
    """`collegium serve` until the block ends; its standard error so far is in `served.log`."""
    command = [sys.executable, "-m", "orchestrator", "serve", *arguments]
    with (folder / "served.log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        end = time.monotonic() + 600
        while True:
            assert process.poll() is None, (folder / "served.log").read_text()[-3000:]
            assert time.monotonic() < end
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{url}/health/ready", timeout=5).status_code == 200:
                    break
            time.sleep(0.5)
        yield url
    finally:
        process.terminate()
        process.wait(120)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    from orchestrator.experts.demo import FULL, locate, models_folder

    snapshot = tmp_path / "cache" / f"models--{MODEL.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    for file in locate(FULL).iterdir():
        (snapshot / file.name).symlink_to(file)
    home = {"HOME": str(tmp_path / "home"), "HF_HUB_CACHE": str(tmp_path / "cache"), "COLUMNS": "99"}
    given = {**os.environ, **home, "COLLEGIUM_CACHE": str(models_folder().parent)}
    return {name: value for name, value in given.items() if not name.endswith("_API_KEY")}


def questions(path: Path) -> None:
    generator = random.Random(1)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer"])
        for _ in range(40):
            one, other = generator.randint(2, 60), generator.randint(2, 39)
            writer.writerow([f"What is {one} + {other}?", one + other])


def test_a_newcomer_gets_a_report_and_a_served_mixture(tmp_path: Path, environment: dict[str, str]) -> None:
    far, here = tmp_path / "far", tmp_path / "here"
    far.mkdir()
    here.mkdir()
    (far / "adding.py").write_text(SCRIPT)
    port = free_port()
    config: dict[str, Any] = {"experts": {"adder": {"script": "adding:adds"}}, "state": "./state"}
    config |= {"workers": {"engine": "scripted", "in_process": True}, "service": {"port": port, "log": "none"}}
    (far / "collegium.yaml").write_text(yaml.safe_dump(config))
    questions(here / "questions.csv")
    printed: list[str] = []

    def collegium(*words: str, code: int = 0) -> str:
        command = [sys.executable, "-m", "orchestrator", *words]
        done = subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, (words, done.stdout[-3000:], done.stderr[-3000:])
        printed.extend((done.stdout + done.stderr).splitlines())
        return done.stdout

    with serving(far, environment, f"http://127.0.0.1:{port}") as url:
        output = collegium("init", "--yes", "--url", f"{url}/v1")  # 1
        assert "✓ adder: " in output
        assert "✓ smollm2-135m-instruct: " in output
        before = (here / "collegium.yaml").read_text()
        assert "Nothing is broken." in collegium("doctor")  # 2
        assert "number 40" in collegium("task", "questions.csv")  # 3
        limits = ["--questions", "20", "--fit-questions", "8", "--max-tokens", "40"]
        output = collegium("run", "--task", "questions.csv", *limits)  # 4
        assert "Decided: questions.csv: no splits: 8 of 40 questions" in output
        (report,) = here.glob("runs/run-*/report.html")
        results = json.loads((report.parent / "results.json").read_text())
        right = {one["method"]: one["overall"]["value"] for one in results["methods"]}
        assert right["mixture"] == 1.0  # the adder is asked
        assert results["decisions"]
        own = f"http://127.0.0.1:{yaml.safe_load(before)['service']['port']}"
        with serving(here, environment, own):  # 5
            answer = collegium("chat", "--attach", own, "--model", "mixture", "What is 20 + 22?")  # 6
            assert "Answer: 42" in answer
        assert (here / "collegium.yaml").read_text() == before
    folder = str(tmp_path)
    long = [line for line in printed if len(line.replace(folder, "")) >= 100]
    assert not long, long

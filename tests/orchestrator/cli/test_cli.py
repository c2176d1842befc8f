"""The command line, end to end on scripted experts: results, run folder, resuming, and one clear line for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from router.table import Table


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments), catch_exceptions=True)


def run(*arguments: str) -> dict[str, Any]:
    result = call("run", "--task", "questions.jsonl", "--fit-split", "train", "--json", *arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_a_run_compares_methods_and_fills_its_folder(zoo: Path) -> None:
    report = run("--questions", "40", "--fit-questions", "40")
    scores = {method["method"]: method["overall"]["value"] for method in report["methods"]}
    assert scores["oracle"] == scores["mixture"] == 1.0
    assert scores["best"] == 0.5
    assert report["fitted_on"] == "train"
    assert report["split"] == "test"
    folder = Path(report["report"]).parent
    assert {file.name for file in folder.iterdir() if not file.name.startswith(".")} == {
        "config.json",
        "finished",
        "manifest.json",
        "answers.parquet",
        "replies.parquet",
        "report.html",
        "results.json",
        "table.jsonl",
        "transcripts.jsonl.gz",
        "questions.jsonl.gz",
    }
    replies = pyarrow.parquet.read_table(folder / "replies.parquet").to_pylist()
    assert len(replies) == 80
    assert {row["expert"] for row in replies} == {"words", "coins"}
    table = Table.read(folder / "table.jsonl")
    assert table.correct.mean() == 0.5
    manifest = json.loads((folder / "manifest.json").read_text())
    assert "fingerprint of words" in manifest
    assert manifest["seed"] == "0"


def test_the_same_command_again_generates_nothing(zoo: Path) -> None:
    first = run("--questions", "10", "--fit-questions", "10")
    import acted  # type: ignore[import-not-found]

    asked = len(acted.ASKED)
    assert asked == 40
    second = run("--questions", "10", "--fit-questions", "10")
    assert len(acted.ASKED) == asked
    assert second["report"] == first["report"]
    assert [method["overall"] for method in second["methods"]] == [method["overall"] for method in first["methods"]]
    assert all(method["cost"]["cached_calls"] == method["cost"]["calls"] for method in second["methods"])


def test_methods_share_what_they_ask_alike(zoo: Path) -> None:
    run("--questions", "10", "--fit-questions", "10", "--methods", "vote")
    import acted

    assert len(acted.ASKED) == 20
    run("--questions", "10", "--fit-questions", "10", "--methods", "each,vote,best,mixture")
    assert len(acted.ASKED) == 40


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--methods", "each,nope"], r"--methods: no method 'nope'; there are each, best"),
        (["run", "--questions", "0"], r"--questions: .*greater than or equal to 1"),
        (["run", "--split", "validation"], r"cannot fit and report on the same split"),
        (["run", "--experts", "words,nobody"], r"no expert 'nobody' in the zoo; it has words, coins"),
        (["run", "--task", "nothing"], r"nothing"),
        (["run", "--recruit", "3"], r"cannot pick 3 of 2 experts"),
        (["run", "--config", "nowhere.yaml"], r"nowhere\.yaml"),
        (["run", "--set", "workers.cuont=1"], r"workers\.cuont: unknown key; did you mean 'count'"),
        (["experts", "train", "nobody"], r"no specification"),
    ],
)
def test_bad_input_is_one_line_that_names_it(zoo: Path, arguments: list[str], told: str) -> None:
    result = call(*arguments)
    assert isinstance(result.exception, CollegiumError)
    assert result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    with pytest.raises(CollegiumError, match=told):
        raise result.exception


def test_errors_reach_the_shell_as_one_line_and_a_code(zoo: Path) -> None:
    command = [sys.executable, "-c", "from orchestrator.cli import main; main()", "run", "--methods", "nope"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("collegium: --methods: no method 'nope'")
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; from click.testing import CliRunner; from orchestrator.cli import group\n"
        "assert CliRunner().invoke(group, ['--help']).exit_code == 0\n"
        "print(*[name for name in ('pydantic', 'torch', 'ray', 'numpy', 'langchain_core') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_profile_writes_a_correctness_table(zoo: Path) -> None:
    result = call("profile", "--task", "questions.jsonl", "--split", "train", "--questions", "20", "--out", "t.jsonl")
    assert result.exit_code == 0, (result.output, result.exception)
    assert Table.read("t.jsonl").experts == ("words", "coins")


@pytest.mark.parametrize("arguments", [["--split", "nowhere"], ["--methods", "nope"], ["--compare", "--budget", "1"]])
def test_wrong_input_leaves_no_run_folder_and_starts_no_worker(zoo: Path, arguments: list[str]) -> None:
    done = call("run", "--task", "questions.jsonl", *arguments)
    assert isinstance(done.exception, CollegiumError)
    assert not list(zoo.parent.glob("runs/*"))
    assert "acted" not in sys.modules  # the module that a worker would have loaded


def test_what_a_run_decides_is_printed_and_kept(zoo: Path) -> None:
    lines = [json.loads(line) for line in Path("questions.jsonl").read_text().splitlines()]
    bare = [{"question": line["question"], "answer": line["answer"]} for line in lines]
    Path("bare.jsonl").write_text("".join(json.dumps(line) + "\n" for line in bare))
    done = call("run", "--task", "bare.jsonl", "--methods", "each,best", "--questions", "100", "--fit-questions", "20")
    assert done.exit_code == 0, (done.output, done.exception)
    printed = " ".join(done.output.split())
    assert "Decided: bare.jsonl: no splits: 16 of 80 questions, by their text, are `validation`" in printed
    assert "Decided: 64 questions of split test: it has no more (100 were asked for)" in printed
    assert "Decided: fitted on 16 questions of split validation" in printed
    assert "Decided: all questions count as one task, 'bare'" in printed
    (results,) = Path("runs").glob("run-*/results.json")
    assert len(json.loads(results.read_text())["decisions"]) == 5

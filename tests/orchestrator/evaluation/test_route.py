"""`collegium route` and `collegium eval-router`: rankings with reasons, evaluations, and one line for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import CollegiumError


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def ok(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_a_question_is_ranked_with_reasons(place: Path) -> None:
    told = json.loads(
        ok("route", "-q", "What is the sum of 2 and 3 ?", "--table", "table.jsonl", "--router", "knn", "--json")
    )
    (question,) = told["questions"]
    first, *others = question["entries"]
    assert first["expert"] == "sums"
    assert first["probability"] > 0.6
    assert set(first["terms"]) == {"neighbours", "mean"}
    assert question["evidence"][0]["kind"] == "neighbour"
    assert told["source"] == "60 questions of table.jsonl"
    newcomer = next(entry for entry in others if entry["expert"] == "newcomer")
    assert "no profile yet" in newcomer["note"]
    assert newcomer["probability"] == pytest.approx(0.5, abs=0.02)


def test_cost_moves_the_choice_and_says_by_how_much(place: Path) -> None:
    asking = ["route", "-q", "What is the sum of 2 and 3 ?", "--table", "table.jsonl", "--router", "knn", "--json"]
    both = ["--experts", "sums,rivers"]
    first = lambda *more: json.loads(ok(*asking, *both, *more))["questions"][0]["entries"][0]  # noqa: E731
    assert first("--quality", "1")["expert"] == "sums"
    cheap = first("--quality", "0")
    assert (cheap["expert"], cheap["terms"]["cost"]) == ("rivers", -0.5)
    assert first("--spend", "1.0")["expert"] == "rivers"
    assert first("--spend", "2.0")["expert"] == "sums"
    assert first("--quality", "0", "--costs", "sums=1,rivers=3")["expert"] == "sums"
    assert 'no key "cost" in one unit for every expert' in str(call(*asking, "--quality", "0.5").exception)
    assert "the cheapest costs 1" in str(call(*asking, *both, "--spend", "0.5").exception)
    assert "either quality or spend" in str(call(*asking, *both, "--spend", "1", "--quality", "1").exception)


def test_a_saved_router_ranks_as_before_without_its_table(place: Path) -> None:
    asking = ["route", "-q", "Where does the river flow ?", "--json"]
    before = json.loads(ok(*asking, "--table", "table.jsonl", "--router", "knn", "--save", "kept"))
    (place / "table.jsonl").unlink()
    again = json.loads(ok(*asking, "--saved", "kept"))
    assert again["questions"] == before["questions"]
    assert "leave out router" in str(call(*asking, "--saved", "kept", "--router", "knn").exception)
    assert "not a saved router" in str(call(*asking, "--saved", "nowhere").exception)


def test_skills_decide_where_they_are_given(place: Path) -> None:
    asking = ["route", "-q", "hm ?", "--table", "table.jsonl", "--router", "skills", "--skills-from", "category"]
    entries = json.loads(ok(*asking, "--skills", "rivers", "--json"))["questions"][0]["entries"]
    assert entries[0]["expert"] == "rivers"
    unmatched = json.loads(ok(*asking, "--json"))["questions"][0]
    assert unmatched["evidence"][0]["kind"] == "fallback"


def test_the_last_finished_profile_is_used_without_a_table(place: Path, table: Any) -> None:
    folder = place / "runs" / "profile-1"
    folder.mkdir(parents=True)
    table(40).write(folder / "table.jsonl")
    result = call("route", "-q", "hm ?")
    assert "no profile yet" in str(result.exception)
    (folder / "finished").touch()
    assert json.loads(ok("route", "-q", "hm ?", "--json"))["source"].startswith("40 questions of ")


def test_a_file_of_questions_of_every_script(place: Path) -> None:
    texts = ["كم مجموع ٢ و ٣؟", "🏞️🌊 ?", "What is the sum of 1 ?", "long " * 20_000]
    (place / "asked.jsonl").write_text("".join(json.dumps({"question": text}) + "\n" for text in texts))
    told = json.loads(ok("route", "--questions", "asked.jsonl", "--table", "table.jsonl", "--json"))
    assert [question["question"] for question in told["questions"]] == texts
    assert all({entry["expert"] for entry in q["entries"]} == {"sums", "rivers", "newcomer"} for q in told["questions"])
    shown = ok("route", "--questions", "asked.jsonl", "--table", "table.jsonl")
    assert "كم مجموع" in shown
    assert "characters more" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-q", " "], "question: the question is empty"),
        (["-q", "x" * 100_001], "100,001 characters; at most 100,000"),
        ([], "give one question"),
        (["-q", "a", "--questions", "b"], "give one question"),
        (["-q", "a", "--router", "magic"], "--router: no router 'magic'; there are best"),
        (["-q", "a", "--experts", "nobody"], "the table knows none of nobody; it has"),
        (["-q", "a", "--router", "skills"], "skill router needs questions with skills"),
        (["--questions", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--questions", "bad.jsonl"], "bad.jsonl:2: question: the question is empty"),
        (["-q", "a", "--table", "gone.jsonl"], "gone.jsonl: cannot be read"),
    ],
)
def test_what_cannot_be_routed_is_refused_in_one_line(place: Path, arguments: list[str], told: str) -> None:
    (place / "bad.jsonl").write_text('{"question": "a"}\n{"question": " "}\n')
    result = call("route", *(["--table", "table.jsonl"] if "--table" not in arguments else []), *arguments)
    refused(result, told)


def refused(result: Result, told: str) -> None:
    assert isinstance(result.exception, CollegiumError), (result.output, result.exception)
    assert result.exception.exit_code == 2
    assert told in str(result.exception)
    assert "\n" not in str(result.exception)


def test_bad_tables_are_refused_without_torch(place: Path) -> None:
    (place / "bad.jsonl").write_text("[]\n")
    program = (
        "import sys\nfrom click.testing import CliRunner\nfrom orchestrator.cli import group\n"
        "result = CliRunner().invoke(group, ['eval-router', 'bad.jsonl'])\n"
        "assert 'row 1' in str(result.exception), result.exception\n"
        "print(*[name for name in ('torch', 'ray', 'vllm', 'sentence_transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

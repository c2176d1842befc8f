"""`collegium route` and `collegium eval-router`: rankings with reasons, evaluations, and one line for bad input."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from router.embedding import Features
from router.row import Row
from router.table import Table


class Words:
    """An embedder without a model: a vector a word, added up."""

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        rows = []
        for text in texts:
            row = np.zeros(32)
            for word in text.split() or [text]:
                seed = int.from_bytes(hashlib.sha256(word.encode(errors="replace")).digest()[:4])
                row += np.random.default_rng(seed).standard_normal(32)
            rows.append(row / np.linalg.norm(row))
        return np.array(rows, np.float32)

    def features(self, texts: Sequence[str], skills: Sequence[Sequence[str]] = ()) -> Features:
        tags = tuple(tuple(row) for row in skills)
        distinct = sorted({tag for row in tags for tag in row})
        vectors = dict(zip(distinct, self.embed(distinct), strict=True)) if distinct else {}
        return Features(self.embed(texts), tags if distinct else (), vectors)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a zoo of two experts and one newcomer, and a table of the two."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("orchestrator.collegium.embedder_of", lambda config: Words())
    experts = {name: {"script": "acted:words"} for name in ("sums", "rivers", "newcomer")}
    config = {"experts": experts, "runs": str(tmp_path / "runs"), "state": str(tmp_path / "state")}
    (tmp_path / "collegium.yaml").write_text(yaml.safe_dump(config))
    table().write(tmp_path / "table.jsonl")
    return tmp_path


def table(n: int = 60, **more: Any) -> Table:
    """Sums, which `sums` knows, and rivers, which `rivers` knows; every seventh they mix up."""
    rows = []
    for number in range(n):
        about = ("sums", "rivers")[number % 2]
        right = {"sums": about == "sums", "rivers": about == "rivers"}
        if number % 7 == 0:
            right = {name: not value for name, value in right.items()}
        rows.append(
            Row(
                f"q{number}",
                f"{'What is the sum of' if about == 'sums' else 'Where does the river flow'} {number} ?",
                {name: float(value) for name, value in right.items()},
                split="val" if number < n // 2 else "dev",
                category=about,
                answer="A",
                predictions={name: "A" if value else "B" for name, value in right.items()},
                extra={"cost": {"sums": 2.0, "rivers": 1.0}},
            )
        )
    return Table.from_rows(rows)


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


def test_people_get_a_table_in_which_the_newcomer_is_marked(place: Path) -> None:
    told = ok("route", "-q", "Where does the river flow ?", "--table", "table.jsonl", "--router", "knn")
    assert re.search(r"1\s+rivers\s+\d\d%", told)
    assert "no profile yet" in told
    assert "neighbour" in told
    assert "fitted on 60 questions" in told


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
    assert 'no key "cost" for every expert' in str(call(*asking, "--quality", "0.5").exception)
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


def test_the_last_finished_profile_is_used_without_a_table(place: Path) -> None:
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
    (place / "bad.jsonl").write_text('{"question": "a"}\n{"text": "b"}\n')
    result = call("route", *(["--table", "table.jsonl"] if "--table" not in arguments else []), *arguments)
    refused(result, told)


def refused(result: Result, told: str) -> None:
    assert isinstance(result.exception, CollegiumError), (result.output, result.exception)
    assert result.exception.exit_code == 2
    assert told in str(result.exception)
    assert "\n" not in str(result.exception)


def test_routers_are_judged_and_plotted(place: Path) -> None:
    told = ok(
        *("eval-router", "table.jsonl", "--train-split", "val", "--test-split", "dev", "--k", "2", "--seeds", "2"),
        *("--skills-from", "category", "--html", "out.html"),
    )
    for name in ("best", "knn", "mixture", "symbolic-moe (paper)", "gap closed", "outvoted", "significant", "Cost"):
        assert name in told
    page = (place / "out.html").read_text()
    assert 'data-chart="accuracy"' in page
    assert 'data-chart="cost"' in page
    assert "http://" not in re.sub(r"http://www\.w3\.org/\S+", "", page.split("<main>")[1].split("<footer>")[0])
    charts = json.loads(page.split('id="charts">')[1].split("</script>")[0])["routers"]
    assert {row["what"] for row in charts["lost"]} == {"right", "nobody", "recruiting", "vote"}


def test_json_has_everything_and_chosen_routers_only(place: Path) -> None:
    told = json.loads(
        ok("eval-router", "table.jsonl", "--routers", "best,knn", "--k", "2", "--seeds", "1", "--json"),
        parse_constant=lambda name: pytest.fail(f"{name} is not JSON"),
    )
    assert {quality["router"] for quality in told["qualities"]} == {"best", "knn"}
    assert told["fitted_on"] == "5-fold cross-validation"
    knn = next(r for r in told["results"] if r["router"] == "knn" and r["k"] == 1)
    assert knn["accuracy"]["value"] > told["best"]["value"] + 0.2
    assert told["qualities"][1]["cost_area"] > 0
    assert {r["aggregator"] for r in told["results"]} == {
        "first",
        "majority",
        "weighted",
        "log-odds",
        "log-odds fitted",
    }


def test_another_table_may_be_fitted_on(place: Path) -> None:
    told = json.loads(
        ok(*("eval-router", "table.jsonl", "--test-split", "dev", "--fit", "table.jsonl", "--train-split", "val"),
           *("--routers", "knn", "--seeds", "1", "--json"))
    )  # fmt: skip
    assert told["fitted_on"] == "split val of another table"
    assert told["questions"] == told["fitted_questions"] == 30


def test_fractions_without_predictions_give_top_one_and_any_right(place: Path) -> None:
    rows = [
        {"id": number, "question": f"about {number % 3} {number}", "correct": {"a": number % 3 / 2, "b": 0.25}}
        for number in range(30)
    ]
    (place / "f.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = json.loads(ok("eval-router", "f.jsonl", "--seeds", "1", "--json"))
    assert {result["aggregator"] for result in told["results"]} == {"first", "any right"}
    assert "skills" not in {quality["router"] for quality in told["qualities"]}
    assert told["best_expert"] == "a"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"question": "b", "correct": {"a": 1}}', "bad.jsonl: row 2: id: "),
        ('{"id": "1", "question": "b", "correct": {"a": 1}}', "bad.jsonl: row 2: id: '1' stands already"),
        ('{"id": "2", "question": "b", "correct": {"a": 2}}', "bad.jsonl: row 2: correct.a: must be a number from 0"),
        ('{"id": "2", "question": "", "correct": {"a": 1}}', "bad.jsonl: row 2: question"),
        ('{"id": "2", "question": "b", "correct": {"a": NaN}}', "bad.jsonl: row 2: "),
        ("not json", "bad.jsonl: row 2: not valid JSON"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_embedded(
    place: Path, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.setattr("orchestrator.collegium.embedder_of", lambda config: pytest.fail("embedded"))
    (place / "bad.jsonl").write_text('{"id": "1", "question": "a", "correct": {"a": 1}}\n' + line + "\n")
    refused(call("eval-router", "bad.jsonl"), told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--train-split", "nope"], "there is no 'nope'; the table has val, dev"),
        (["--train-split", "val", "--test-split", "val"], "cannot fit and judge on the same split"),
        (["--routers", "best,magic"], "--routers: no router 'magic'"),
        (["--routers", "skills"], "router skills needs skills"),
        (["--skills-from", "nothing"], "no row has text under nothing"),
        (["--experts", "sums,river"], "the expert 'river' is unknown; did you mean 'rivers'?"),
        (["--k", "0"], "--k: must be from 1"),
        (["--costs", "sums=1"], "the expert 'rivers' needs a cost"),
        (["--costs", "sums=1,rivers=x"], "costs: "),
        (["--fit", "other.jsonl"], "other.jsonl: "),
    ],
)
def test_flags_that_do_not_fit_the_table_are_refused(place: Path, arguments: list[str], told: str) -> None:
    (place / "other.jsonl").write_text('{"id": "1", "question": "a", "correct": {"somebody": 1}}\n')
    refused(call("eval-router", "table.jsonl", *arguments), told)


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


def test_hostile_names_cannot_steer_the_terminal_or_the_page(place: Path) -> None:
    name = "a\x1b[31m<script>alert(1)</script>"
    rows = [{"id": n, "question": f"q {n}", "correct": {name: n % 2, "b": 1}} for n in range(12)]
    (place / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = ok("eval-router", "h.jsonl", "--routers", "best,knn", "--seeds", "1", "--html", "h.html")
    assert "\x1b[31m" not in told
    assert "<script>alert" not in (place / "h.html").read_text()
    assert "\x1b[31m" not in ok("route", "-q", "hm", "--table", "h.jsonl", "--router", "knn")

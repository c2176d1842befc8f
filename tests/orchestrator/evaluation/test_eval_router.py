"""`collegium eval-router`: routers judged side by side, and one line for bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

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

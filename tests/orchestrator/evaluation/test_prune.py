"""`collegium prune`: whom a mixture does not need, what is unlearnt without some, and one line for bad input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from orchestrator.cli import group
from orchestrator.errors import CollegiumError
from router.row import Row
from router.table import Table

PARTS = ("--train-split", "val", "--test-split", "dev")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, ["prune", *arguments])


def ok(*arguments: str) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, (result.output, result.exception)
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def refused(told: str, *arguments: str) -> None:
    result = call(*arguments)
    assert isinstance(result.exception, CollegiumError), (result.output, result.exception)
    assert result.exception.exit_code == 2
    assert told in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.fixture
def three(place: Path) -> Path:
    """Two experts that know one thing each, and one that knows neither; sums and rivers in turn, half to decide on."""
    rows = []
    for number in range(80):
        about = ("sums", "rivers")[number % 2]
        right = {"sums": about == "sums", "rivers": about == "rivers", "newcomer": number % 20 == 7}
        if number % 16 == 3:
            right["rivers"] = False
        text = f"{'What is the sum of' if about == 'sums' else 'Where does the river flow'} {number} ?"
        split = "val" if number < 40 else "dev"
        given = {name: "A" if value else f"{name} says B" for name, value in right.items()}
        row = Row(f"q{number}", text, {name: float(value) for name, value in right.items()}, split=split, task=about)
        rows.append(Row(**{**_fields(row), "answer": "A", "predictions": given}))
    Table.from_rows(rows).write(place / "three.jsonl")
    return place


def _fields(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in Row.__slots__}


def changed(place: Path, change: Any) -> None:
    """Rewrites the table, row by row."""
    rows = [json.loads(line) for line in (place / "three.jsonl").read_text().splitlines()]
    (place / "three.jsonl").write_text("".join(json.dumps(change(row)) + "\n" for row in rows))


def test_who_is_never_asked_leaves_and_nothing_is_lost(three: Path) -> None:
    told = ok("three.jsonl", *PARTS, "--out", "smaller.yaml")
    assert told["kept"] == ["sums", "rivers"]
    assert [len(step["experts"]) for step in told["steps"]] == [3, 2, 1]
    assert told["steps"][1]["dropped"] == ["newcomer"]
    assert told["steps"][0]["used"]["newcomer"] < told["steps"][0]["used"]["sums"]
    whole, kept, one = (step["accuracy"]["value"] for step in told["steps"])
    assert kept == pytest.approx(whole)
    assert one < kept - 0.3
    assert [sum(step["scores"]) / 40 for step in told["steps"]] == pytest.approx([whole, kept, one])
    assert told["steps"][1]["change"]["value"] == 0
    written = yaml.safe_load((three / "smaller.yaml").read_text())
    assert list(written["experts"]) == ["sums", "rivers"]
    assert written["experts"]["sums"] == {"script": "acted:words"}


def test_a_number_to_keep_and_an_allowed_loss_are_held_to(three: Path) -> None:
    assert len(ok("three.jsonl", *PARTS, "--keep", "1")["kept"]) == 1
    assert len(ok("three.jsonl", *PARTS, "--keep", "2")["steps"]) == 2
    assert len(ok("three.jsonl", *PARTS, "--max-loss", "0.9")["kept"]) == 1


def test_what_is_reported_on_decides_nothing(three: Path) -> None:
    before = ok("three.jsonl", *PARTS)

    def flip(row: Any) -> Any:
        if row["split"] == "dev":
            row["correct"] = {name: 1 - score for name, score in row["correct"].items()}
        return row

    changed(three, flip)
    after = ok("three.jsonl", *PARTS)
    assert [step["dropped"] for step in after["steps"]] == [step["dropped"] for step in before["steps"]]
    assert after["kept"] == before["kept"]
    assert after["steps"][0]["accuracy"] != before["steps"][0]["accuracy"]


def test_a_retired_experts_task_is_lost_and_the_other_one_stays(three: Path) -> None:
    told = ok("three.jsonl", *PARTS, "--retire", "rivers")
    forget, retain = told["forget"], told["retain"]
    assert told["kept"] == ["sums", "newcomer"]
    assert (forget["tasks"], retain["tasks"]) == (["rivers"], ["sums"])
    assert forget["before"]["value"] > 0.8
    assert forget["after"]["value"] <= forget["possible"]["value"] <= 0.1
    assert forget["change"]["high"] < 0
    assert retain["change"]["value"] == 0
    assert forget["questions"] == retain["questions"] == 20


def test_a_task_is_forgotten_by_retiring_all_who_know_it(three: Path) -> None:
    told = ok("three.jsonl", *PARTS, "--forget", "rivers")
    assert told["kept"] == ["sums", "newcomer"]
    assert "above 10% on rivers" in told["why"]
    told = ok("three.jsonl", *PARTS, "--forget", "rivers", "--floor", "0.05")
    assert told["kept"] == ["sums"]


def test_several_may_be_asked_and_vote(three: Path) -> None:
    told = ok("three.jsonl", *PARTS, "--recruit", "2")
    assert told["steps"][0]["used"]["sums"] > 0.4
    assert sum(told["steps"][0]["used"].values()) == pytest.approx(2)

    def mute(row: Any) -> Any:
        return {key: value for key, value in row.items() if key != "predictions"}

    changed(three, mute)
    refused("has no answers (`predictions`) that 2 could vote on", "three.jsonl", *PARTS, "--recruit", "2")
    assert ok("three.jsonl", *PARTS)["kept"] == ["sums", "rivers"]


def test_another_table_may_decide(three: Path) -> None:
    rows = Table.read(three / "three.jsonl")
    rows.split("val").write(three / "val.jsonl")
    rows.split("dev").write(three / "dev.jsonl")
    told = ok("dev.jsonl", "--fit", "val.jsonl")
    assert told["kept"] == ["sums", "rivers"]
    assert (told["fitted_questions"], told["questions"]) == (40, 40)


def test_what_cannot_be_done_is_refused_in_one_line(three: Path) -> None:
    refused("nothing to decide on apart from what is reported", "three.jsonl")
    refused("no expert 'river' in three.jsonl", "three.jsonl", *PARTS, "--retire", "river")
    refused("no expert would remain", "three.jsonl", *PARTS, "--retire", "sums,rivers,newcomer")
    refused("no task 'river' in three.jsonl; it has sums, rivers", "three.jsonl", *PARTS, "--forget", "river")
    refused("no expert knows it: the best, rivers,", "three.jsonl", *PARTS, "--forget", "rivers", "--floor", "0.99")
    refused("not both", "three.jsonl", *PARTS, "--retire", "sums", "--forget", "rivers")
    refused("not both", "three.jsonl", *PARTS, "--retire", "sums", "--keep", "1")
    refused("not both", "three.jsonl", *PARTS, "--max-loss", "0", "--keep", "1")
    refused("belongs to forget", "three.jsonl", *PARTS, "--floor", "0.5")
    refused("has 3 experts: keep fewer", "three.jsonl", *PARTS, "--keep", "3")
    refused("there is nothing to prune", "three.jsonl", *PARTS, "--experts", "sums")

    def rename(row: Any) -> Any:
        row["correct"]["stranger"] = row["correct"].pop("newcomer")
        row["predictions"]["stranger"] = row["predictions"].pop("newcomer")
        return row

    changed(three, rename)
    refused("the configuration has no expert 'stranger'", "three.jsonl", *PARTS, "--out", "smaller.yaml")
    assert ok("three.jsonl", *PARTS)["zoo"] == {
        "experts": {name: {"script": "acted:words"} for name in ("sums", "rivers")}
    }
    assert ok("three.jsonl", *PARTS, "--retire", "sums")["zoo"] == {}


def test_what_is_not_known_is_refused_or_told(three: Path) -> None:
    refused("same split (val)", "three.jsonl", "--train-split", "val", "--test-split", "val")
    refused("recruit: 4 experts per question, and three.jsonl has 3", "three.jsonl", *PARTS, "--recruit", "4")
    assert ok("three.jsonl", *PARTS, "--retire", "sums,sums")["why"] == "sums left: named by the request"

    def tested_less(row: Any) -> Any:
        if row["id"] in ("q41", "q43"):
            del row["correct"]["rivers"]
        return {key: value for key, value in row.items() if key != "task"}

    changed(three, tested_less)
    told = ok("three.jsonl", *PARTS, "--retire", "rivers")
    assert told["forget"] is told["retain"] is None
    assert "2 answers are not recorded on the tested questions: there the next expert stands in" in told["notes"]
    assert any("no forget set" in note for note in told["notes"])

    def unasked(row: Any) -> Any:
        if row["split"] == "val":
            del row["correct"]["newcomer"]
        return row

    changed(three, unasked)
    refused("'newcomer' was asked none of the questions that decide", "three.jsonl", *PARTS)


def test_every_expert_above_the_floor_leaves_none(three: Path) -> None:
    def teach(row: Any) -> Any:
        row["correct"] = dict.fromkeys(row["correct"], 1)
        return row

    changed(three, teach)
    refused("every expert is above the floor", "three.jsonl", *PARTS, "--forget", "rivers")

"""How rankings look in a terminal."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner, Result

from orchestrator.cli import group


def call(*arguments: str) -> Result:
    return CliRunner().invoke(group, list(arguments))


def ok(*arguments: str) -> str:
    result = call(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def test_people_get_a_table_in_which_the_newcomer_is_marked(place: Path) -> None:
    told = ok("route", "-q", "Where does the river flow ?", "--table", "table.jsonl", "--router", "knn")
    assert re.search(r"1\s+rivers\s+\d\d%", told)
    assert "no profile yet" in told
    assert "neighbour" in told
    assert "fitted on 60 questions" in told


def test_hostile_names_cannot_steer_the_terminal_or_the_page(place: Path) -> None:
    name = "a\x1b[31m<script>alert(1)</script>"
    rows = [{"id": n, "question": f"q {n}", "correct": {name: n % 2, "b": 1}} for n in range(12)]
    (place / "h.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = ok("eval-router", "h.jsonl", "--routers", "best,knn", "--seeds", "1", "--html", "h.html")
    assert "\x1b[31m" not in told
    assert "<script>alert" not in (place / "h.html").read_text()
    assert "\x1b[31m" not in ok("route", "-q", "hm", "--table", "h.jsonl", "--router", "knn")

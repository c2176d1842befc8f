"""Runs and workers by REST: for administrators, and nothing outside the runs' folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator import Collegium
from orchestrator.service.keys import KeyFile

ROWS = [
    {"id": f"{split}-{n}", "question": f"Toss {n}: is it a {word}?", "answer": "yes" if word == "coin" else "no",
     "kind": "yesno", "split": split}
    for split in ("validation", "test")
    for n, word in enumerate(("coin", "word") * 3)
]  # fmt: skip


@pytest.fixture
async def runs(settings: dict[str, Any]) -> list[str]:
    """Two runs on the same questions, in the service's folder; their names."""
    with Collegium(settings) as collegium:
        for methods in ("each,vote", "best,vote"):
            await collegium.arun(task=ROWS, methods=methods)  # type: ignore[arg-type]
    return sorted(path.name for path in Path(settings["runs"]).iterdir())


async def test_runs_are_listed_opened_searched_and_compared(
    settings: dict[str, Any], runs: list[str], serving: Any
) -> None:
    async with serving(settings) as client:
        listed = (await client.get("/v1/runs")).json()["data"]
        assert sorted(one["id"] for one in listed) == runs
        assert all(one["finished"] and one["pipeline"] == "run" for one in listed)
        one = (await client.get(f"/v1/runs/{runs[0]}")).json()
        vote = next(method for method in one["report"]["methods"] if method["method"] == "vote")
        assert len(vote["outcomes"]) == len(one["report"]["questions"]) == 6
        total = 0
        for outcome in ("right", "wrong", "abstained", "unreadable", "failed"):
            wanted = {"method": "vote", "outcome": outcome}
            found = (await client.get(f"/v1/runs/{runs[0]}/answers", params=wanted)).json()
            total += found["total"]
            assert all(row["outcome"] == outcome for row in found["data"])
        assert total == 6
        wanted = {"method": "coins", "outcome": "right", "search": "TOSS 2:"}
        found = (await client.get(f"/v1/runs/{runs[0]}/answers", params=wanted)).json()
        assert found["total"] <= 1
        wanted = {"method": "vote", "limit": 2, "offset": 3, "search": "toss"}
        found = (await client.get(f"/v1/runs/{runs[0]}/answers", params=wanted)).json()
        assert (found["total"], len(found["data"])) == (6, 2)  # of any outcome
        report = await client.get(f"/v1/runs/{runs[0]}/files/report.html")
        assert report.status_code == 200
        assert report.headers["content-security-policy"].startswith("sandbox allow-scripts")
        compared = (await client.post("/v1/runs/compare", json={"runs": runs})).json()
        assert compared["questions"] == 6
        pair = next(one for one in compared["data"] if one["first"]["method"] == one["second"]["method"] == "vote")
        assert (pair["difference"]["value"], pair["difference"]["n"], pair["p"]) == (0.0, 6, 1.0)
        page = await client.get("/v1/runs/compare/report.html", params={"run": runs})
        assert page.headers["content-security-policy"].startswith("sandbox allow-scripts")
        assert f"{runs[0]}: vote" in page.text
        one = await client.get("/v1/runs/compare/report.html", params={"run": runs[0]})
        assert one.status_code == 400
        workers = (await client.get("/v1/workers")).json()
        assert len(workers["workers"]) == 1


@pytest.mark.parametrize(
    "path", ["none", "..", "%2e%2e", "run-x/../../state", ".hidden", "run-1/files/ledger.sqlite", "a" * 300]
)
async def test_nothing_outside_the_runs_is_read(settings: dict[str, Any], serving: Any, path: str) -> None:
    outside = Path(settings["runs"]).parent / "config.json"
    outside.write_text(json.dumps({"pipeline": "run", "config": {}, "request": {}}))
    async with serving(settings) as client:
        assert (await client.get(f"/v1/runs/{path}")).status_code == 404


async def test_a_file_that_a_run_does_not_publish_is_not_read(
    settings: dict[str, Any], runs: list[str], serving: Any
) -> None:
    (Path(settings["runs"]) / runs[0] / "secret.txt").write_text("secret")
    async with serving(settings) as client:
        for name in ("secret.txt", ".lock", "..%2f..%2fkeys.json"):
            assert (await client.get(f"/v1/runs/{runs[0]}/files/{name}")).status_code == 404


async def test_runs_need_the_scope_admin(settings: dict[str, Any], serving: Any) -> None:
    file = KeyFile(Path(settings["state"]) / "keys.json")
    usual, _ = file.create("usual")
    admin, _ = file.create("admin", ["admin"])
    async with serving(settings) as client:

        async def status(path: str, key: str | None) -> int:
            headers = {"Authorization": f"Bearer {key}"} if key else {}
            response: httpx.Response = await client.get(path, headers=headers)
            return response.status_code

        assert await status("/v1/runs", None) == 401
        assert await status("/v1/runs", usual) == 403
        assert await status("/v1/runs", admin) == 200
        assert await status("/", None) == 200  # the page itself holds nothing
        assert await status("/v1/workers", None) == 401

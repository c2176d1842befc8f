"""What a key spends: written down, limited before a call that would pass its budget, and told to whoever asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from orchestrator.cli import group
from orchestrator.database import Database
from orchestrator.inference.caller import caller
from orchestrator.service import accounts
from orchestrator.service.accounts import Accounts, AccountStore, Spent
from orchestrator.service.keys import Key, KeyFile
from tests.scripts.misbehaving import COST, Misbehaving, misbehaving


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    with misbehaving() as server:
        yield server


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(None, tmp_path / "service.sqlite")
    yield made
    made.close()


def test_what_is_idle_costs_one_query_and_past_months_are_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "SYNC", 3600.0)
    written: list[str] = []
    add = AccountStore.add
    monkeypatch.setattr(AccountStore, "add", lambda self, key, *more: (written.append(key), add(self, key, *more))[1])
    found = Accounts(database, lambda id: None)
    try:
        opened = {}
        for name in ("a", "b"):
            token = caller.set(name)
            opened[name] = found.current()
            caller.reset(token)
        written.clear()
        found.save()
        assert written == []
        opened["a"].spend(1, 2, None)
        found.save()
        assert written == ["a"]
        monkeypatch.setattr(accounts, "this_month", lambda: "2099-01")
        opened["b"].spend(3, 4, None)
        found.save()
        assert written == ["a", "b"]
        assert not found._open
        assert {row["key"]: row["completion_tokens"] for row in found.store.months()} == {"a": 2, "b": 4}
    finally:
        found.close()


def test_services_on_one_database_see_what_the_others_spent(database: Database) -> None:
    key = Key("k", "me", "", tokens_per_month=100)
    one, two = (Accounts(database, lambda id: key) for _ in range(2))
    token = caller.set("k")
    try:
        here, there = one.current(), two.current()
        assert here is not None
        assert there is not None
        here.spend(60, 10, 0.5)
        assert not here.reserve((31, 0))
        one.save()
        two.save()
        assert not there.reserve((31, 0))
        assert there.reserve((30, 0))
        (month,) = two.months("k")
        assert {name: month[name] for name in ("calls", "prompt_tokens", "completion_tokens", "dollars")} == {
            "calls": 1,
            "prompt_tokens": 60,
            "completion_tokens": 10,
            "dollars": 0.5,
        }
    finally:
        caller.reset(token)
        one.close()
        two.close()


def test_what_was_spent_outlives_the_process_and_months_are_apart(database: Database) -> None:
    accounts = Accounts(database, lambda id: None)
    token = caller.set("k")
    account = accounts.current()
    caller.reset(token)
    assert account is not None
    account.spend(5, 5, None)
    accounts.close()
    store = AccountStore(database)
    store.add("k", "1999-12", Spent(1, 1, 1, 1.0, 0))
    newest, oldest = store.months("k")
    assert (newest["unpriced_calls"], newest["dollars"], oldest["month"]) == (1, 0.0, "1999-12")
    again = Accounts(database, lambda id: None)
    token = caller.set("k")
    found = again.current()
    caller.reset(token)
    assert found is not None
    assert found.spent == (10, 0.0)
    assert again.current() is None  # nobody's calls are nobody's
    again.close()


@pytest.fixture
def far(settings: dict[str, Any], upstream: Misbehaving) -> dict[str, Any]:
    """A service with keys: one expert whose server states its cost, one priced by us."""
    experts = {
        "fine": {"url": upstream.url, "model": "fine", "prices": {"input": 1000.0, "output": 100.0}},
        "priced": {"url": upstream.url, "model": "usage-in-all", "prices": {"input": 10.0, "output": 100.0}},
    }
    return {**settings, "experts": experts, "service": {"log": "none"}}


def key_of(settings: dict[str, Any], **limits: Any) -> tuple[str, dict[str, str]]:
    text, key = KeyFile(Path(settings["state"]) / "keys.json").create("me", **limits)
    return key.id, {"Authorization": f"Bearer {text}"}


async def chat(client: httpx.AsyncClient, headers: dict[str, str], text: str, **body: Any) -> httpx.Response:
    wanted = {"model": "fine", "messages": [{"role": "user", "content": text}], "max_tokens": 9, **body}
    return await client.post("/v1/chat/completions", json=wanted, headers=headers)


async def test_a_key_pays_for_its_calls_and_a_call_that_would_pass_its_budget_is_not_made(
    far: dict[str, Any], serving: Any, upstream: Misbehaving
) -> None:
    poor, poor_headers = key_of(far, dollars_per_month=3 * COST)
    few, few_headers = key_of(far, tokens_per_month=105)
    _, free_headers = key_of(far)
    upstream.asked.clear()
    async with serving(far) as client:
        # a call may take at most 12 / 3 * 1000 / 1e6 + 9 * 100 / 1e6 dollars; each takes 0.0125 as its server says
        statuses = [
            (await chat(client, poor_headers, f"question {n:02}", stream=n % 2 == 1)).status_code for n in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        assert upstream.asked["fine"] == 3
        refused = await chat(client, poor_headers, "question 00")
        error = refused.json()["error"]
        assert (error["code"], refused.headers.get("retry-after")) == ("budget_exceeded", None)
        assert "this key's budget of the month.dollars: 0.0375 of 0.0375 US dollars are spent" in error["message"]
        statuses = [(await chat(client, few_headers, f"question {n:02}")).status_code for n in range(3)]
        assert statuses == [200, 200, 429]  # 49 tokens each
        assert (await chat(client, free_headers, "question 07", model="priced")).status_code == 200
        assert (await chat(client, free_headers, "question 08", max_tokens=None)).status_code == 200
        endless = await chat(client, few_headers, "question 09", max_tokens=None)
        assert endless.status_code == 429  # a reply of unknown length fits no budget
        assert "set max_tokens lower" in endless.json()["error"]["message"]
        vote = await chat(client, poor_headers, "Is it so?", model="vote", collegium={"kind": "yesno"})
        assert (vote.status_code, vote.json()["error"]["code"]) == (429, "budget_exceeded")
        usage = (await client.get("/v1/usage", headers=poor_headers)).json()
        assert usage["budget_per_month"] == {"tokens": None, "dollars": 3 * COST}
        (month,) = usage["data"]
        assert month["dollars"] == pytest.approx(3 * COST)
        assert (month["key"], month["calls"], month["prompt_tokens"], month["unpriced_calls"]) == (poor, 3, 120, 0)
        (month,) = (await client.get("/v1/usage", headers=few_headers)).json()["data"]
        assert (month["key"], month["calls"]) == (few, 2)
    config = Path(far["state"]).parent / "config.json"
    config.write_text(json.dumps(far))
    shown = CliRunner().invoke(group, ["keys", "usage", "--json", "--config", str(config)])
    rows = {row["key"]: row for row in json.loads(shown.output)}
    assert rows[poor]["dollars"] == pytest.approx(3 * COST)
    assert (rows[few]["name"], rows[few]["calls"]) == ("me", 2)


async def test_without_keys_everything_is_anyones(far: dict[str, Any], serving: Any) -> None:
    async with serving(far) as client:
        await chat(client, {}, "hello")
        usage = (await client.get("/v1/usage")).json()
    assert [(month["key"], month["calls"]) for month in usage["data"]] == [("anyone", 1)]
    assert usage["budget_per_month"] is None


async def test_a_job_keeps_to_its_own_budget_and_is_paid_for_by_its_owner(far: dict[str, Any], serving: Any) -> None:
    owner, headers = key_of(far)
    request = {"task": "last_letters", "questions": 9, "experts": ["fine"], "max_tokens": 40}
    body = {"pipeline": "profile", "request": request, "budget": {"tokens": 300}}
    async with serving(far) as client:
        made = await client.post("/v1/jobs", json=body, headers=headers)
        assert made.status_code == 201, made.text
        assert made.json()["budget"] == {"tokens": 300}
        for _ in range(500):
            job = (await client.get(f"/v1/jobs/{made.json()['id']}", headers=headers)).json()
            if job["status"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.02)
        assert job["status"] == "failed"
        assert "budget.tokens" in job["error"]
        (month,) = (await client.get("/v1/usage", headers=headers)).json()["data"]
        assert month["key"] == owner
        assert 0 < month["prompt_tokens"] + month["completion_tokens"] <= 300


async def test_a_job_cannot_raise_the_budget_of_the_configuration(far: dict[str, Any], serving: Any) -> None:
    _, headers = key_of(far)
    request = {"task": "last_letters", "questions": 9, "experts": ["fine"], "max_tokens": 40}
    async with serving({**far, "budget": {"tokens": 300}}) as client:
        made = await client.post(
            "/v1/jobs", json={"pipeline": "profile", "request": request, "budget": {"tokens": 10**9}}, headers=headers
        )
        for _ in range(500):
            job = (await client.get(f"/v1/jobs/{made.json()['id']}", headers=headers)).json()
            if job["status"] not in ("queued", "running"):
                break
            await asyncio.sleep(0.02)
    assert (job["status"], "of 300 tokens" in job["error"]) == ("failed", True), job

"""The dashboard and the alert rules ask for metrics, and labels, that the service has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.errors import UpstreamError
from orchestrator.service.metrics import Metrics

FOLDER = Path(__file__).parent.parent / "examples" / "monitoring"
_METRIC = re.compile(r"collegium:[a-z0-9_]+")
_LABELS = re.compile(r"\{\{(\w+)\}\}|by \(([\w, ]+)\)|\{(\w+)=")


def expressions() -> list[tuple[str, str]]:
    """(where, PromQL with its legend) of every panel and rule."""
    board = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text("utf-8"))
    found = [
        (panel["title"], f"{target['expr']} {target['legendFormat']}")
        for panel in board["panels"]
        for target in panel["targets"]
    ]
    return found + [(rule["alert"], rule["expr"]) for group in rules["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """Every series that the service can show -> its labels."""
    from orchestrator.inference.schedule.timeline import Histogram, PoolLoad, PoolTotals

    metrics = Metrics()
    metrics.request("/v1/models", 200, 0.1)
    for family in (metrics.first, metrics.seconds):
        family.labels("m").observe(1)
    for counter in (metrics.prompt_tokens, metrics.generation_tokens, metrics.finished):
        counter.labels("m").inc()
    metrics.failed.labels("m", "500").inc()
    metrics.routed.labels("m", "e").inc()
    metrics.dollars.labels("m").inc()
    health = ExpertHealth()
    error = UpstreamError("HTTP 500")
    error.cut_off, error.not_asked = 30.0, True
    for _ in range(2):
        health.failed("e", error)
    health.slow("e")
    metrics.watch(health)
    histogram = Histogram((1.0,))
    totals = PoolTotals(submitted=1, finished=1, cached=0, tokens=1, loads=1, load_seconds=1.0, busy=1.0, losses=0)
    load = PoolLoad({}, frozenset(), {"e": (1, 1)}, totals, {"e": histogram}, {"e": histogram})
    text = metrics.text(load).decode()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, labels = line.partition(" ")[0].partition("{")
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


@pytest.mark.parametrize(("where", "asked"), expressions())
def test_every_query_asks_for_what_there_is(known: dict[str, set[str]], where: str, asked: str) -> None:
    names = _METRIC.findall(asked)
    assert names, where
    for name in names:
        assert name in known, f"{where}: there is no metric {name}"
    labels = {
        label.strip() for found in _LABELS.findall(asked) for group in found for label in group.split(",") if group
    }
    assert labels <= set.union(*(known[name] for name in names)), f"{where}: {labels}"


def test_the_files_are_what_their_readers_take() -> None:
    board: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text("utf-8"))
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) > 5
    scrape = yaml.safe_load((FOLDER / "prometheus.yaml").read_text("utf-8"))
    assert scrape["scrape_configs"][0]["job_name"] == "collegium"
    assert httpx.URL(f"http://{scrape['scrape_configs'][0]['static_configs'][0]['targets'][0]}").port == 8000


def test_every_metric_that_a_page_names_is_there(known: dict[str, set[str]]) -> None:
    pages = (FOLDER.parent.parent / "docs").rglob("*.md")
    named = {name for page in pages for name in _METRIC.findall(page.read_text("utf-8"))}
    assert len(named) > 10
    there = {series.removesuffix(end) for series in known for end in ("", "_bucket")}
    assert named <= there

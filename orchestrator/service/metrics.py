"""Metrics for Prometheus, named in vLLM's manner: `collegium:...`. What one process of the service sees; what the
workers do is asked of the pool at each scrape."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.inference.schedule.timeline import WAITS, PoolLoad

ROUTES = (
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/v1/models",
    "/v1/files", "/v1/batches", "/v1/route", "/v1/feedback", "/v1/jobs", "/v1/pipelines", "/health",
)  # fmt: skip
"""Paths are grouped by these, so that no client can make up metrics without end."""


class Metrics:
    """One registry an application."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        self.registry = registry = CollectorRegistry()
        made: dict[str, Any] = {"registry": registry}
        self._requests = Counter("collegium:http_requests", "HTTP requests.", ["path", "status"], **made)
        self._http_seconds = Histogram("collegium:http_seconds", "Time of HTTP requests.", ["path"], **made)
        model = ["model"]
        self.first = Histogram(
            "collegium:time_to_first_token_seconds", "From request to first text.", model, buckets=WAITS, **made
        )
        self.seconds = Histogram(
            "collegium:e2e_request_latency_seconds", "From request to last text.", model, buckets=WAITS, **made
        )
        self.prompt_tokens = Counter("collegium:prompt_tokens", "Prompt tokens.", model, **made)
        self.generation_tokens = Counter("collegium:generation_tokens", "Generated tokens.", model, **made)
        self.finished = Counter("collegium:request_success", "Chats answered.", model, **made)
        self.failed = Counter("collegium:request_failure", "Chats that failed.", ["model", "status"], **made)
        self.routed = Counter(
            "collegium:router_decisions", "Chats that a model sent to an expert.", ["model", "expert"], **made
        )
        self.dollars = Counter("collegium:dollars", "US dollars paid for chats whose price is known.", model, **made)
        self.chats = Gauge("collegium:num_chats", "Chats under way.", **made)
        self._pool = _PoolMetrics()
        registry.register(self._pool)

    def watch(self, health: ExpertHealth) -> None:
        """Show how the experts are, too."""
        self.registry.register(_HealthMetrics(health))

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one HTTP request and its seconds."""
        group = next((route for route in ROUTES if path.startswith(route)), "other")
        self._requests.labels(group, str(status)).inc()
        self._http_seconds.labels(group).observe(seconds)

    def text(self, load: PoolLoad) -> bytes:
        """All of it, in Prometheus's text format."""
        from prometheus_client import generate_latest

        self._pool.load = load
        return generate_latest(self.registry)


class _HealthMetrics:
    """Which experts fail, how, and which are asked last."""

    def __init__(self, health: ExpertHealth) -> None:
        self._health = health

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        health = self._health
        failures = CounterMetricFamily(
            "collegium:expert_failures", "Replies that an expert did not give.", labels=["expert", "code"]
        )
        for (expert, code), count in sorted(health.failures.items()):
            failures.add_metric([expert, code], count)
        yield failures
        for name, help_text, counts in (
            ("expert_not_asked", "Calls refused while an expert was cut off or paused.", health.not_asked),
            ("expert_slow", "Times that another expert was asked, too.", health.slows),
        ):
            family = CounterMetricFamily(f"collegium:{name}", help_text, labels=["expert"])
            for expert, count in sorted(counts.items()):
                family.add_metric([expert], count)
            yield family
        troubled = GaugeMetricFamily(
            "collegium:expert_troubled", "Failures in a row of experts that are asked last.", labels=["expert"]
        )
        for expert, count in sorted(health.troubled().items()):
            troubled.add_metric([expert], count)
        yield troubled
        cut_off = GaugeMetricFamily(
            "collegium:expert_cut_off_seconds",
            "Seconds until an expert that is cut off after failures is probed; 0: due. Absent while it is asked.",
            labels=["expert"],
        )
        for expert, seconds in sorted(health.cut_off().items()):
            cut_off.add_metric([expert], seconds)
        yield cut_off


class _PoolMetrics:
    """What the pool said last, as families of metrics."""

    def __init__(self) -> None:
        self.load: PoolLoad | None = None

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
        from prometheus_client.utils import floatToGoString

        if self.load is None:
            return
        load, totals = self.load, self.load.totals
        for name, help_text, place in (
            ("num_requests_waiting", "Requests that wait for a worker.", 0),
            ("num_requests_running", "Requests that workers have.", 1),
        ):
            gauge = GaugeMetricFamily(f"collegium:{name}", help_text, labels=["expert"])
            for expert, counts in load.requests.items():
                gauge.add_metric([expert], counts[place])
            yield gauge
        for name, help_text, histograms in (
            ("request_queue_time_seconds", "From request to its worker.", load.waits),
            ("batch_size", "Requests that one step of an engine moved on.", load.batches),
        ):
            family = HistogramMetricFamily(f"collegium:{name}", help_text, labels=["expert"])
            for expert, histogram in histograms.items():
                bounds = [*map(floatToGoString, histogram.bounds), "+Inf"]
                sums = itertools.accumulate(histogram.counts)
                family.add_metric([expert], list(zip(bounds, sums, strict=True)), histogram.total)
            yield family
        yield GaugeMetricFamily("collegium:workers_ready", "Workers that are ready.", len(load.held))
        for name, help_text, value in (
            ("swaps", "Loads of an expert by a worker.", totals.loads),
            ("swap_seconds", "Seconds of these loads.", totals.load_seconds),
            ("engine_busy_seconds", "Seconds inside engine steps.", totals.busy),
            ("engine_tokens", "Tokens that engines generated.", totals.tokens),
            ("ledger_hits", "Requests that the ledger answered.", totals.cached),
            ("workers_lost", "Workers that were lost.", totals.losses),
        ):
            yield CounterMetricFamily(f"collegium:{name}", help_text, value)

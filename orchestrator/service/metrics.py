"""Metrics for Prometheus, named in vLLM's manner: `collegium:...`. What one process of the service sees; what the
workers do is asked of the pool at each scrape."""

from __future__ import annotations

from typing import Any

from orchestrator.schedule.timeline import Load

WAITS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROUTES = ("/v1/chat/completions", "/v1/models", "/v1/route", "/v1/feedback", "/v1/jobs", "/v1/pipelines", "/health")
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
        self.routed = Counter("collegium:router_decisions", "Chats that mixture sent to an expert.", ["expert"], **made)
        self.chats = Gauge("collegium:num_chats", "Chats under way.", **made)
        expert = ["expert"]
        self._waiting = Gauge("collegium:num_requests_waiting", "Requests that wait for a worker.", expert, **made)
        self._running = Gauge("collegium:num_requests_running", "Requests in an engine: its batch.", expert, **made)
        self._ready = Gauge("collegium:workers_ready", "Workers that are ready.", **made)
        self._sums = {
            name: Gauge(f"collegium:{name}", told, **made)
            for name, told in (
                ("swaps_total", "Loads of an expert by a worker."),
                ("swap_seconds_total", "Seconds of these loads."),
                ("engine_busy_seconds_total", "Seconds inside engine steps."),
                ("engine_tokens_total", "Tokens that engines generated."),
                ("ledger_hits_total", "Requests that the ledger answered."),
                ("workers_lost_total", "Workers that were lost."),
            )
        }

    def request(self, path: str, status: int, seconds: float) -> None:
        group = next((route for route in ROUTES if path.startswith(route)), "other")
        self._requests.labels(group, str(status)).inc()
        self._http_seconds.labels(group).observe(seconds)

    def text(self, load: Load) -> bytes:
        """All of it, in Prometheus's text format."""
        from prometheus_client import generate_latest

        self._waiting.clear()
        self._running.clear()
        for expert, (waiting, running) in load.requests.items():
            self._waiting.labels(expert).set(waiting)
            self._running.labels(expert).set(running)
        self._ready.set(len(load.held))
        totals = load.totals
        for name, value in (
            ("swaps_total", totals.loads),
            ("swap_seconds_total", totals.load_seconds),
            ("engine_busy_seconds_total", totals.busy),
            ("engine_tokens_total", totals.tokens),
            ("ledger_hits_total", totals.cached),
            ("workers_lost_total", totals.losses),
        ):
            self._sums[name].set(value)
        return generate_latest(self.registry)

"""Spans of a service."""

from __future__ import annotations

from typing import Any


def test_spans_follow_the_conventions(settings: dict[str, Any]) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from orchestrator.chats.chat_events import UsageEvent
    from orchestrator.service.tracing import Tracing

    provider, told = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(told))
    tracing = Tracing(True)
    tracing._tracer = trace.get_tracer("test", tracer_provider=provider)
    tracing.chat("words").end(UsageEvent(3, 5), "200")
    (span,) = told.get_finished_spans()
    assert span.name == "chat words"
    assert span.attributes
    assert span.attributes["gen_ai.usage.output_tokens"] == 5
    Tracing(False).chat("words").end(None, "500")

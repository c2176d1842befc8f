"""OpenTelemetry spans with the conventions for generative AI, behind `service.tracing`.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/. Prompts and replies are never recorded. Where the
spans go is told by OpenTelemetry's own environment variables (OTEL_EXPORTER_OTLP_ENDPOINT, ...).
"""

from __future__ import annotations

import importlib.util
from typing import Any

from orchestrator.chats.chat_events import UsageEvent
from orchestrator.errors import SetupError


class ChatSpan:
    """One chat's span; nothing where tracing is off."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def end(self, account: UsageEvent | None, status: str) -> None:
        """End the span with the usage and the status."""
        if self._span is None:
            return
        if account is not None:
            self._span.set_attribute("gen_ai.usage.input_tokens", account.prompt_tokens)
            self._span.set_attribute("gen_ai.usage.output_tokens", account.completion_tokens)
        if status != "200":
            self._span.set_attribute("error.type", status)
        self._span.end()


class Tracing:
    """Makes a span a chat."""

    def __init__(self, on: bool) -> None:
        """Raises `SetupError` if it is on and OpenTelemetry is not installed."""
        self._tracer: Any = None
        if not on:
            return
        if not importlib.util.find_spec("opentelemetry"):
            raise SetupError("service.tracing: the package opentelemetry-sdk is not installed")
        from opentelemetry import trace

        self._tracer = trace.get_tracer("collegium")

    def chat(self, model: str) -> ChatSpan:
        """Start the span of one chat request; one that does nothing if tracing is off."""
        if self._tracer is None:
            return ChatSpan()
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "collegium",
            "gen_ai.request.model": model,
        }
        return ChatSpan(self._tracer.start_span(f"chat {model}", attributes=attributes))


def export() -> None:
    """Send this process's spans where the OTEL_* variables say. Called once, by the server. Raises `SetupError`."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise SetupError(f"service.tracing: {error.name} is not installed") from error
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

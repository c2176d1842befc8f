"""Model ids: every expert of the zoo (students among them), and every method of the pipelines' list."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.service import methods
from orchestrator.service.chat_events import ChatEvents, UsageEvent
from orchestrator.service.expert_health import ExpertHealth
from orchestrator.service.experts import ask_expert
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import ChatBody
from orchestrator.service.tools import with_calls, with_tools

UNSAID = 1.0
"""Temperature with an expert where the client does not say: OpenAI's."""


class ModelList:
    """Finds who answers. An expert goes before a method of the same name."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._health = ExpertHealth()
        self._methods = methods.methods_of(runtime.config)

    def all(self) -> dict[str, str]:
        """Model id -> expert or method."""
        experts = dict.fromkeys(self._runtime.collegium.experts, "expert")
        return {**dict.fromkeys(self._methods, "method"), **experts}

    def what(self, model: str) -> str:
        """expert or method. Raises `Refused` (404) for an unknown id."""
        found = self.all().get(model)
        if found is None:
            message = f"the model {model[:100]!r} does not exist; /v1/models lists them"
            raise Refused(404, message, code="model_not_found", param="model")
        return found

    def chat_events(self, chat: ChatBody, *, batch: bool = False) -> ChatEvents:
        """What comes of the chat. One of a `batch` waits as long as it takes. Raises `Refused` (404) for an unknown
        model."""
        runtime = self._runtime
        wait = None if batch else runtime.config.service.max_wait
        if self.what(chat.model) == "expert":
            return self._expert(chat, wait)
        if chat.model == methods.MIXTURE:
            return methods.ask_mixture(runtime.collegium, runtime.routing, self._health, chat, wait)
        method = self._methods[chat.model]
        return methods.ask_method(runtime.collegium, runtime.routing, self._health, method, chat, wait)

    async def _expert(self, chat: ChatBody, wait: float | None) -> ChatEvents:
        expert = self._runtime.collegium.experts[chat.model]
        chat_events = ask_expert(
            self._runtime.collegium.pool,
            expert,
            chat.conversation,
            with_tools(chat, chat.sampling(expert.context, UNSAID), remote=expert.remote is not None),
            n=chat.n,
            seed=chat.seed,
            stream=chat.stream,
            max_wait=wait,
        )
        async for event in with_calls(chat_events, chat) if chat.tools else chat_events:
            if isinstance(event, UsageEvent) and not chat.collegium.explain:
                event = replace(event, explanation=None)
            yield event

"""Model ids: every expert of the zoo (students among them), and every method of the pipelines' list."""

from __future__ import annotations

from orchestrator.service import methods
from orchestrator.service.chat_events import ChatEvents, UsageEvent
from orchestrator.service.experts import ask_expert
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.schema import ChatBody
from orchestrator.service.tools import with_calls, with_tools

UNSAID = 1.0
"""Temperature with an expert where the client does not say: OpenAI's."""


class ModelList:
    """Finds who answers. An expert goes before a method of the same name."""

    def __init__(self, house: Runtime) -> None:
        self._house = house
        self._methods = methods.offered(house.config)

    def all(self) -> dict[str, str]:
        """Model id -> expert or method."""
        experts = dict.fromkeys(self._house.collegium.experts, "expert")
        return {**dict.fromkeys(self._methods, "method"), **experts}

    def what(self, model: str) -> str:
        """expert or method. Raises `Refused` (404) for an unknown id."""
        found = self.all().get(model)
        if found is None:
            message = f"the model {model[:100]!r} does not exist; /v1/models lists them"
            raise Refused(404, message, code="model_not_found", param="model")
        return found

    def parts(self, chat: ChatBody) -> ChatEvents:
        """What comes of the chat. Raises `Refused` (404) for an unknown model."""
        house, wait = self._house, self._house.config.service.max_wait
        if self.what(chat.model) == "expert":
            return self._expert(chat)
        if chat.model == methods.MIXTURE:
            return methods.ask_mixture(house.collegium, house.routing, chat, wait)
        return methods.ask_method(house.collegium, house.routing, self._methods[chat.model], chat, wait)

    async def _expert(self, chat: ChatBody) -> ChatEvents:
        expert = self._house.collegium.experts[chat.model]
        parts = ask_expert(
            self._house.collegium.pool,
            expert,
            chat.conversation,
            with_tools(chat, chat.sampling(expert.context, UNSAID), remote=expert.remote is not None),
            n=chat.n,
            seed=chat.seed,
            stream=chat.stream,
            max_wait=self._house.config.service.max_wait,
        )
        async for part in with_calls(parts, chat) if chat.tools else parts:
            if isinstance(part, UsageEvent) and not chat.collegium.explain:
                part = UsageEvent(part.prompt_tokens, part.completion_tokens)
            yield part

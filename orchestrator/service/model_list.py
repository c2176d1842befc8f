"""Model ids: every expert of the zoo (students among them), and every method of the pipelines' list."""

from __future__ import annotations

import time
from collections.abc import MutableMapping
from dataclasses import asdict, replace
from typing import Any

from orchestrator.chats import methods
from orchestrator.chats.asking import MIXTURE
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_events import ChatEvents, TextEvent, UsageEvent
from orchestrator.chats.expert_health import ExpertHealth
from orchestrator.chats.experts import ask_expert, ask_prompts
from orchestrator.chats.sampling_body import SamplingBody
from orchestrator.chats.tools import with_calls, with_tools
from orchestrator.errors import CollegiumError
from orchestrator.experts.zoo import UNKNOWN_CONTEXT, missing_variable
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling
from orchestrator.service.completion_body import CompletionBody
from orchestrator.service.protocols import Runtime
from orchestrator.service.refusals import Refused
from orchestrator.service.scopes import may_use

UNSAID = 1.0
"""Temperature with an expert where the client does not say: OpenAI's."""

_STARTED = int(time.time())


class ModelList:
    """Finds who answers. An expert goes before a method of the same name."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.health = ExpertHealth()
        self._methods = methods.methods_of(runtime.config)

    def all(self) -> dict[str, str]:
        """Model id -> expert or method."""
        experts = dict.fromkeys(self._runtime.collegium.experts, "expert")
        return {**dict.fromkeys(self._methods, "method"), **experts}

    def entries(self, scope: MutableMapping[str, Any]) -> list[dict[str, Any]]:
        """What a key may ask: what can be asked now before what cannot, for many clients take the first; `mixture`
        before experts before other methods."""
        found = [self.entry(name) for name in self.all() if may_use(scope, name)]
        return sorted(found, key=lambda one: (not one["ready"], one["id"] != MIXTURE, one["kind"] != "expert"))

    def what(self, model: str) -> str:
        """expert or method. Raises `Refused` (404) for an unknown id."""
        found = self.all().get(model)
        if found is None:
            message = f"the model {model[:100]!r} does not exist; /v1/models lists them"
            raise Refused(404, message, code="model_not_found", param="model")
        return found

    def is_expert(self, model: str) -> bool:
        """Whether the id is an expert's."""
        return model in self._runtime.collegium.experts

    def entry(self, model: str) -> dict[str, Any]:
        """A model id as `/v1/models` lists it: for an expert with its context length in tokens (null: not known), its
        prices in US dollars per million tokens where they are known; and whether it can be asked now. Raises `Refused`
        (404) for an unknown id."""
        what = self.what(model)
        found = {"id": model, "object": "model", "created": _STARTED, "owned_by": "collegium", "kind": what}
        if what != "expert":
            why_not = self._why_not(model)
            return {**found, "ready": why_not is None, "why_not": why_not}
        expert = self._runtime.collegium.experts[model]
        missing = missing_variable(expert)
        why_not = f"the service's environment lacks {missing}" if missing else None
        return {
            **found,
            "max_model_len": None if expert.context >= UNKNOWN_CONTEXT else expert.context,
            "prices": asdict(expert.prices) if expert.prices else None,
            "ready": why_not is None,
            "why_not": why_not,
        }

    def _why_not(self, method: str) -> str | None:
        if method == MIXTURE:
            return self._runtime.routing.why_not()
        needed = self._methods[method].profile == "required"
        return self._runtime.routing.why_not(whole=True) if needed else None

    def chat_events(self, chat: ChatBody, *, batch: bool = False) -> ChatEvents:
        """What comes of the chat. One of a `batch` waits as long as it takes. Raises `Refused` (404) for an unknown
        model."""
        runtime = self._runtime
        wait = None if batch else runtime.config.service.max_wait
        if self.what(chat.model) == "expert":
            return self._expert(chat, wait)
        if self.left_out(chat):
            chat = chat.model_copy(update={"tools": None, "tool_choice": None})
        return methods.method_events(runtime.collegium, runtime.routing, self.health, self._methods, chat, wait)

    def left_out(self, chat: SamplingBody) -> tuple[str, ...]:
        """Fields that the chat's model answers without; they are named as ignored ones are."""
        if not isinstance(chat, ChatBody) or self.what(chat.model) == "expert":
            return ()
        return methods.left_out(self._methods, chat)

    def completion_events(self, body: CompletionBody, *, batch: bool = False) -> ChatEvents:
        """What comes of text completions. Raises `Refused`: 404 for an unknown model, 400 for one that is no
        expert."""
        if self.what(body.model) != "expert":
            message = (
                f"model: {body.model[:100]} answers chats only, at /v1/chat/completions; one expert is needed here"
            )
            raise Refused(400, message, code="invalid", param="model")
        expert = self._runtime.collegium.experts[body.model]
        return ask_prompts(
            self._runtime.collegium.pool,
            expert,
            body.prompts,
            _sampling(body, expert),
            n=body.n,
            seed=body.seed,
            stream=body.stream,
            max_wait=None if batch else self._runtime.config.service.max_wait,
        )

    def tokenizing(self, model: str) -> Expert:
        """An expert with a tokenizer of its own. Raises `Refused`: 404 for an unknown model, 400 for one without."""
        if self.what(model) == "expert":
            expert = self._runtime.collegium.experts[model]
            if expert.weights or expert.recipe:
                return expert
        raise Refused(400, f"model: {model[:100]} has no tokenizer here", code="invalid", param="model")

    async def _expert(self, chat: ChatBody, wait: float | None) -> ChatEvents:
        expert = self._runtime.collegium.experts[chat.model]
        chat_events = ask_expert(
            self._runtime.collegium.pool,
            expert,
            chat.conversation,
            with_tools(chat, _sampling(chat, expert), remote=expert.remote is not None),
            n=chat.n,
            seed=chat.seed,
            stream=chat.stream,
            max_wait=wait,
        )
        for index in range(chat.n if chat.echo else 0):
            yield TextEvent(chat.messages[-1].message[1], index=index)
        try:
            async for event in with_calls(chat_events, chat) if chat.tools else chat_events:
                if isinstance(event, UsageEvent):
                    if not event.stored:
                        self.health.answered(chat.model)
                    if not chat.collegium.explain:
                        event = replace(event, explanation=None)
                yield event
        except CollegiumError as error:
            self.health.count(chat.model, error)
            raise


def _sampling(chat: SamplingBody, expert: Expert) -> Sampling:
    """What the client says, then what the expert's own defaults say, then OpenAI's."""
    unsaid = {name: value for name, value in asdict(expert.defaults).items() if value is not None}
    temperature = unsaid.pop("temperature", UNSAID)
    sampling = chat.sampling(expert.context, temperature)
    return replace(sampling, **{name: value for name, value in unsaid.items() if name not in chat.model_fields_set})

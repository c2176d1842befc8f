"""A pool as one chat's experts see it: every prompt has the conversation before it, every reply is counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from orchestrator.chats.chat_turns import ChatTurns
from orchestrator.errors import CollegiumError, ExpertFailed, StreamBroken, UpstreamTimeout
from orchestrator.inference.expert import Expert
from orchestrator.inference.pool import Pool
from orchestrator.inference.pool_layer import PoolLayer
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling
from orchestrator.inference.schedule.pending import Outcome


class ChatPool(PoolLayer):
    """Stands before another pool. Methods that know nothing of a chat's history thus run within it, and what they ask
    is refused, withdrawn and paid for as a chat's own calls are."""

    def __init__(
        self,
        pool: Pool,
        turns: ChatTurns,
        max_wait: float | None,
        on_reply: Callable[[str, Completion], None],
        on_failure: Callable[[str, CollegiumError], None] = lambda expert, error: None,
        reply_seconds: float | None = None,
        *,
        on_text: Callable[[str], None] = lambda text: None,
        on_streamed: Callable[[str, Completion], None] = lambda expert, completion: None,
        hold: Callable[[Expert], bool] = lambda expert: False,
        offer: Callable[[Expert, Sampling], Sampling] = lambda expert, sampling: sampling,
        repetition: tuple[int, int, int] | None = None,
    ) -> None:
        """`turns.question` is the chat's last user turn: prompts that do not state it (a method's own fitting) are no
        part of the chat and left alone. `on_reply` hears every expert's every completion, `on_failure` its every
        failure. `reply_seconds`: a remote expert that takes longer has failed, so that the others need not wait for it.
        `on_text` hears the text of a streamed reply as it comes (it is the chat's answer), `on_streamed` its end; of
        an expert on `hold`, whose replies may break off, the text is heard once it is whole. `offer`: adds the chat's
        tools to a prompt that is the question as it is. `repetition`: where a local expert's reply is cut, if the chat
        says nothing of it."""
        super().__init__(pool)
        self._turns = turns
        self._on_text = on_text
        self._on_streamed = on_streamed
        self._hold = hold
        self._offer = offer
        self._repetition = repetition
        self._max_wait = max_wait
        self._on_reply = on_reply
        self._on_failure = on_failure
        self._reply_seconds = reply_seconds

    def request(
        self,
        expert: Expert,
        messages: Sequence[PromptMessage],
        sampling: Sampling,
        *,
        stream: bool = False,
        max_wait: float | None = None,
    ) -> Request:
        """A request of this pool, as the pool behind it makes it."""
        turns = self._turns
        if not any(turns.question in text for _, text in messages):
            return self._pool.request(expert, messages, sampling, stream=stream, max_wait=max_wait)
        wait = self._max_wait if max_wait is None else max_wait
        if turns.of_tools and [*messages] == [("user", turns.question)]:
            sampling, messages = self._offer(expert, sampling), turns.whole
        else:
            messages = [*turns.before, *messages]
        if self._repetition and sampling.repetition is None and expert.remote is None:
            sampling = replace(sampling, repetition=self._repetition)
        return self._pool.request(expert, messages, sampling, stream=stream, max_wait=wait)

    async def ask(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `Pool.ask`; every completion is counted."""
        outcomes = list(await asyncio.gather(*(self._ask_one(request, expert) for request, expert in calls)))
        for outcome, (_, expert) in zip(outcomes, calls, strict=True):
            if isinstance(outcome, Completion):
                self._on_reply(expert.name, outcome)
            elif isinstance(outcome, CollegiumError):
                self._on_failure(expert.name, outcome)
        return outcomes

    async def _ask_one(self, request: Request, expert: Expert) -> Outcome:
        try:
            async with asyncio.timeout(self._reply_seconds if expert.remote else None):
                (outcome,) = await self._pool.ask([(request, expert)])
                return outcome
        except TimeoutError:
            return self._late(expert)

    def _late(self, expert: Expert) -> UpstreamTimeout:
        return UpstreamTimeout(f"expert {expert.name!r}: no reply within {self._reply_seconds or 0:g} s")

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """As `Pool.stream`; the completion is counted, the text handed on. Raises `StreamBroken` once a part of the
        text was handed on, and never before."""
        held, begun = self._hold(expert), False
        try:
            async with contextlib.aclosing(self._pool.stream(request, expert)) as parts:  # type: ignore[type-var]
                while True:
                    # Only the first part is waited for: what has begun may be long.
                    async with asyncio.timeout(self._reply_seconds if expert.remote and not begun else None):
                        part = await anext(parts, None)
                    if part is None:
                        return
                    if isinstance(part, Completion):
                        if not begun and part.text:
                            self._on_text(part.text)
                        begun = begun or bool(part.text)
                        self._on_streamed(expert.name, part)
                    elif part.text and not held:
                        begun = True
                        self._on_text(part.text)
                    yield part
        except (CollegiumError, TimeoutError) as error:
            found = error if isinstance(error, CollegiumError) else self._late(expert)
            self._on_failure(expert.name, found)
            if begun:
                raise StreamBroken(f"expert {expert.name!r}: its reply broke off: {found}") from error
            raise ExpertFailed(str(found)) if isinstance(found, StreamBroken) else found from error

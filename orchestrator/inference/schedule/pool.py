"""The pool: one scheduler, one ledger writer and the workers, on a thread of their own.

Calls come in from any thread or event loop; each is answered from the ledger, joined to an identical request under
way, or queued. A completion is handed on only once it is durable. A lost worker's requests go back to their queues;
an expert on which two workers in a row crash (see `RetryLimits`) fails, and the others go on.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import queue
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Protocol, Self

from orchestrator.errors import Cancelled, RequestError, StreamBroken
from orchestrator.inference.caller import caller
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Completion, Delta, PromptMessage, Request, Sampling, request_key
from orchestrator.inference.schedule.conversation_scope import ConversationScope, current, entered
from orchestrator.inference.schedule.dispatch import Dispatch
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pending import Outcome, Waiter, hand_over
from orchestrator.inference.schedule.scheduler import Policy
from orchestrator.inference.schedule.supervisor import RetryLimits, WorkerSpec
from orchestrator.inference.schedule.timeline import PoolLoad, Timeline


class PoolBackend(Protocol):
    """What happens on the pool's own thread: here (`Dispatch`), or in the actor of a Ray cluster (`remote_pool`).
    Everything but the timeline is called on the pool's loop."""

    @property
    def timeline(self) -> Timeline:
        """What the workers did and when."""
        ...

    def start(self) -> None:
        """Begin to take requests in."""
        ...

    def start_workers(self) -> None:
        """Start the workers now instead of at the first request."""
        ...

    def take_in(self, items: Sequence[Waiter | Callable[[], None]]) -> None:
        """Take requests in, and call what else was handed over."""
        ...

    def withdraw(self, waiters: Iterable[Waiter]) -> None:
        """Forget these waiters; their requests end unless others wait for them."""
        ...

    def opened(self, conversation: str) -> None:
        """A conversation began."""
        ...

    def closed(self, conversation: str) -> None:
        """A conversation ended."""
        ...

    def report_load(self, asked: concurrent.futures.Future[PoolLoad]) -> None:
        """Set the future to the workers' load."""
        ...

    async def end(self) -> None:
        """Cancel what is pending and stop the workers."""
        ...


class ThreadedPool:
    """Takes calls from any thread or loop to a `PoolBackend` on a thread of its own. `close` it, or use it as a
    context manager. It takes whatever is submitted: a pending request
    takes at most 1,500 bytes in this process, on top of the text of its messages."""

    def __init__(self, make_inside: Callable[[asyncio.AbstractEventLoop], PoolBackend]) -> None:
        """`make_inside` gets the loop on which everything inside happens."""
        self._outside = ConversationScope("")
        self._inbox: list[Waiter | Callable[[], None]] = []
        # Reentrant: a stream that is forgotten withdraws its request whenever the garbage collector runs.
        self._inbox_lock = threading.RLock()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._dispatch = make_inside(self._loop)
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)
        self._thread.start()

    @property
    def timeline(self) -> Timeline:
        """What the workers did and when."""
        return self._dispatch.timeline

    def start(self) -> None:
        """Start the workers now instead of at the first request. Idempotent."""
        self._post([self._dispatch.start_workers])

    async def load(self) -> PoolLoad:
        """What the workers hold and what waits for them, now."""
        asked = concurrent.futures.Future[PoolLoad]()
        self._post([lambda: self._dispatch.report_load(asked)])
        return await asyncio.wrap_future(asked)

    # Calls from any thread or loop --------------------------------------------------------------------------

    def request(
        self,
        expert: Expert,
        messages: Sequence[PromptMessage],
        sampling: Sampling,
        *,
        stream: bool = False,
        max_wait: float | None = None,
    ) -> Request:
        """A request with its draw, counted in the current conversation (outside one: in this pool)."""
        conversation = current() or self._outside
        frozen = tuple(messages)
        key, draw = request_key(expert.fingerprint, frozen, sampling, seed=conversation.seed), 0
        if sampling.temperature > 0 and (draw := conversation.next_draw(key)):
            key = request_key(expert.fingerprint, frozen, sampling, draw, conversation.seed)
        who = caller.get()
        return Request(key, expert.name, frozen, sampling, draw, conversation.id or None, max_wait, stream, who)

    async def ask(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """Completions in the order of `calls`; a call that failed yields its error. Cancelling withdraws them."""
        waiters = [Waiter(request, expert) for request, expert in calls]
        self._post(waiters)
        try:
            return list(await asyncio.gather(*(waiter.future for waiter in waiters), return_exceptions=True))
        except asyncio.CancelledError:
            self._withdraw(waiters)
            raise

    def ask_blocking(self, calls: Sequence[tuple[Request, Expert]]) -> list[Outcome]:
        """As `ask`, from a thread. Raises `RequestError` on the pool's own thread, where it would wait for ever."""
        self.refuse_own_thread()
        waiters = [Waiter(request, expert, on_thread=True) for request, expert in calls]
        self._post(waiters)
        try:
            return [waiter.future.exception() or waiter.future.result() for waiter in waiters]
        except BaseException:  # Ctrl-C
            self._withdraw(waiters)
            raise

    async def stream(self, request: Request, expert: Expert) -> AsyncIterator[Delta | Completion]:
        """Deltas as the engine makes them, then the completion; leaving early withdraws the request. From the
        ledger: the completion alone. If the worker is lost midway the rest comes as one delta; `StreamBroken` if the
        new reply begins in another way than the part that was streamed."""
        arrived: asyncio.Queue[Delta | None] = asyncio.Queue()
        waiter = Waiter(request, expert, arrived.put_nowait)
        waiter.future.add_done_callback(lambda _: arrived.put_nowait(None))
        self._post([waiter])
        streamed = _Streamed()
        try:
            while (delta := await arrived.get()) is not None:
                yield streamed.add(delta)
            for part in streamed.ending(await waiter.future):
                yield part
        finally:
            if not waiter.future.done():
                waiter.future.cancel()
                self._withdraw([waiter])

    def stream_blocking(self, request: Request, expert: Expert) -> Iterator[Delta | Completion]:
        """As `stream`, from a thread."""
        self.refuse_own_thread()
        arrived: queue.SimpleQueue[Delta | None] = queue.SimpleQueue()
        waiter = Waiter(request, expert, arrived.put, on_thread=True)
        waiter.future.add_done_callback(lambda _: arrived.put(None))
        self._post([waiter])
        streamed = _Streamed()
        try:
            while (delta := arrived.get()) is not None:
                yield streamed.add(delta)
            yield from streamed.ending(waiter.future.result())
        finally:
            if not waiter.future.done():
                self._withdraw([waiter])

    def refuse_own_thread(self) -> None:
        """Raises `RequestError` on the pool's own thread, where waiting would have no end."""
        if threading.current_thread() is self._thread:
            raise RequestError("a blocking call on the scheduler's own thread would never return: use the async one")

    @contextlib.contextmanager
    def conversation(self, question: str, seed: int = 0) -> Iterator[ConversationScope]:
        """Calls made inside belong to one conversation: it has its own draws, and the scheduler knows that more
        may come from it while it has nothing outstanding. `question` names it (with the method, where several
        run at once)."""
        conversation = ConversationScope(question, seed)
        id = conversation.id
        self._post([lambda: self._dispatch.opened(id)])
        try:
            with entered(conversation):
                yield conversation
        finally:
            self._post([lambda: self._dispatch.closed(id)])

    def note_conversations(self, opened: Sequence[str], closed: Sequence[str]) -> None:
        """Conversations that others hold elsewhere: see `conversation`."""
        notes = [functools.partial(self._dispatch.opened, id) for id in opened]
        self._post([*notes, *(functools.partial(self._dispatch.closed, id) for id in closed)])

    def close(self) -> None:
        """Stop the workers; whoever still waits gets `Cancelled`. Idempotent."""
        if self._thread.is_alive() and not self._closing:
            self._closing = True
            self._loop.call_soon_threadsafe(self._end)
        self._thread.join(60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The pool's own thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.call_soon(self._dispatch.start)
        self._loop.run_forever()
        self._loop.close()
        self._refuse_inbox()

    def _end(self) -> None:
        async def leave() -> None:
            await self._dispatch.end()
            self._loop.stop()

        self._leaving = self._loop.create_task(leave())

    def _withdraw(self, waiters: Sequence[Waiter]) -> None:
        self._post([lambda: self._dispatch.withdraw(waiters)])

    def _post(self, items: Iterable[Waiter | Callable[[], None]]) -> None:
        with self._inbox_lock:
            first = not self._inbox
            self._inbox.extend(items)
        if first:
            try:
                self._loop.call_soon_threadsafe(self._take_in)
            except RuntimeError:  # closed
                self._refuse_inbox()

    def _take_in(self) -> None:
        with self._inbox_lock:
            items, self._inbox = self._inbox, []
        self._dispatch.take_in(items)

    def _refuse_inbox(self) -> None:
        with self._inbox_lock:
            items, self._inbox = self._inbox, []
        closed = Cancelled("the pool is closed")
        hand_over([(item, closed) for item in items if isinstance(item, Waiter)])


class LocalPool(ThreadedPool):
    """A pool whose scheduler, ledger and workers belong to this process."""

    def __init__(
        self,
        specs: Sequence[WorkerSpec],
        ledger: Ledger,
        *,
        kind_of: Callable[[Expert], str],
        queue_of: Callable[[Expert], str] = lambda expert: expert.fingerprint,
        policy: Policy | None = None,
        retry_limits: RetryLimits | None = None,
    ) -> None:
        """`kind_of` names the kind of worker an expert needs; `queue_of` the queue it waits in (one for all
        experts that run side by side)."""
        self.ledger = ledger
        super().__init__(lambda loop: Dispatch(loop, specs, ledger, kind_of, queue_of, policy, retry_limits))


class _Streamed:
    """The text that one stream has delivered so far."""

    def __init__(self) -> None:
        self._parts: list[str] = []

    def add(self, delta: Delta) -> Delta:
        self._parts.append(delta.text)
        return delta

    def ending(self, completion: Completion) -> Iterator[Delta | Completion]:
        """What is missing, then the completion."""
        streamed = "".join(self._parts)
        if not completion.text.startswith(streamed):
            raise StreamBroken(
                f"request {completion.key[:12]}: its worker was lost after a part had been streamed, and the new reply "
                "differs from that part; it is stored: ask again"
            )
        if streamed and streamed != completion.text:
            yield Delta(completion.key, completion.text[len(streamed) :])
        yield completion

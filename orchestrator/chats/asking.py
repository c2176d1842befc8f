"""What every chat with several experts begins and ends with: its question, the pool it is put to, the reply's words."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

from agents.question import CHAT, Question
from orchestrator.chats.chat_body import ChatBody
from orchestrator.chats.chat_pool import ChatPool
from orchestrator.chats.chat_turns import ChatTurns, chat_turns
from orchestrator.chats.protocols import Zoo
from orchestrator.chats.reply_events import ReplyEvents
from orchestrator.errors import RequestError
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import PromptMessage, Sampling

MIXTURE = "mixture"
REPETITION = (64, 4, 8)
"""A member of a panel that says one thing of 4 to 64 tokens eight times over has nothing to add: the others and the
reader would wait until its context is full."""


def as_question(chat: ChatBody, *, tools: bool = False) -> tuple[Question, ChatTurns]:
    """The last user turn as a question, and the chat around it. Raises `RequestError` if there is none, and for tools
    where none can be taken."""
    if not tools and (chat.tools or chat.turns):
        raise RequestError("tools: several experts cannot share tools: ask one expert, or leave them out")
    if chat.n > 1 and (chat.model != MIXTURE or chat.collegium.kind != "open" or chat.collegium.choices):
        raise RequestError("n: several experts give one answer together")
    turns = chat_turns(chat.conversation, chat.turns, tools=bool(chat.tools))
    choices = chat.collegium.choices
    kind = "choice" if choices else chat.collegium.kind
    id = f"chat-{secrets.token_hex(8)}"
    return Question(id=id, task=CHAT, question=turns.question, kind=kind, choices=choices), turns


def conversation_text(history: Sequence[PromptMessage]) -> str:
    """What routing looks at beside the last user turn: the turns before it; without any, the system prompt."""
    turns = [text for role, text in history if role != "system" and text.strip()]
    system = [text for role, text in history if role == "system" and text.strip()]
    return "\n\n".join(turns or system)


def chat_pool(
    collegium: Zoo,
    turns: ChatTurns,
    max_wait: float | None,
    reply_events: ReplyEvents,
    offer: Callable[[Expert, Sampling], Sampling] = lambda expert, sampling: sampling,
    repetition: tuple[int, int, int] | None = None,
) -> ChatPool:
    """The pool that methods ask within this chat; `offer` and `repetition` as in `ChatPool`."""
    return ChatPool(
        collegium.pool,
        turns,
        max_wait,
        reply_events.reply,
        reply_events.failure,
        collegium.config.service.reply_seconds,
        on_text=reply_events.text,
        on_streamed=reply_events.streamed_reply,
        hold=reply_events.holds,
        offer=offer,
        repetition=repetition,
    )


def joint_sampling(chat: ChatBody, context: int, *, structured: bool = False) -> Sampling:
    """The sampling of several experts' replies. Raises `RequestError` for what only one expert can do."""
    if chat.response_format and chat.response_format.structured and not structured:
        raise RequestError("response_format: several experts answer in their own form: ask one expert")
    if chat.ignore_eos:
        raise RequestError("ignore_eos: the answer of several experts has its own end: ask one expert")
    if chat.prompt_logprobs is not None:
        raise RequestError("prompt_logprobs: several experts have a prompt each: ask one expert")
    if chat.logprobs:
        raise RequestError("logprobs: the answer of several experts has none: ask one expert")
    return chat.sampling(context, temperature=0.0)


def seed_of(chat: ChatBody, collegium: Zoo) -> int:
    """The configuration's where the client says nothing: what a method draws for its own fitting is drawn once."""
    return collegium.config.seed if chat.seed is None else abs(chat.seed)


def content_of(found: str | None, used: Sequence[ExpertReply]) -> str:
    """The answer in the words of whoever gave it and was surest; without an answer, what the first one said."""
    replied = [one for one in used if one.error is None and one.reply.text.strip()]
    agreeing = [one for one in replied if one.reply.answer == found] or replied
    speaker = max(agreeing, key=lambda one: one.reply.confidence or 0.0, default=None)
    return (speaker.reply.text if speaker else "") or found or ""


def check_wishes(chat: ChatBody, *, recruits: bool = False, by_need: bool = False, fuses: bool = False) -> None:
    """Raises `RequestError` for a field of `collegium` that this model does not know: `recruit` where it asks no chosen
    number of experts (`recruits`), `calls` where it does not ask by need, `preset` where it is no fusion."""
    wanted = chat.collegium
    for name, given, knows in (("calls", wanted.calls, by_need), ("recruit", wanted.recruit, recruits)):
        if (given or 1) > 1 and not knows:
            why = f"{chat.model} has no such number"
            if chat.model == MIXTURE:
                why = "one expert answers an open chat: name the collegium.kind of answer that is wanted"
            raise RequestError(f"collegium.{name}: {why}")
    if wanted.preset is not None and not fuses:
        raise RequestError(f"collegium.preset: {chat.model} is no fusion")

"""Ten thousand questions, five scripted agents, three rounds: what discussion, parser, vote and transcript cost.

    python -m benchmarks.discussion_load [--questions 10000]

The agents are LangChain chat models that answer at once and never agree. The same number of bare `ainvoke` calls,
gathered in the same way, is the measure; both run three times in turn. As in a run, at most `WINDOW` conversations are
open at once: LangChain alone keeps about 15 kB for every call in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from agents.agent import Agent
from agents.conversation import converse
from agents.discussions import SchemeOptions, build
from agents.prompts import solve
from agents.question import Question
from agents.transcript import Transcript, write
from agents.window import WINDOW, run_window
from benchmarks.machine import conditions, write_result

AGENTS, ROUNDS = 5, 3


class Trivial(BaseChatModel):
    """Says the same at once."""

    reply: str

    @property
    def _llm_type(self) -> str:
        return "trivial"

    def _generate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        usage = {"input_tokens": 100, "output_tokens": 40, "total_tokens": 140}
        message = AIMessage(self.reply, usage_metadata=usage)  # type: ignore[arg-type]
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages: list[BaseMessage], *_: Any, **__: Any) -> ChatResult:
        return self._generate(messages)


def panel() -> list[Agent]:
    reason = "First we add the parts, then we take away what was counted twice, and that leaves the number. " * 2
    replies = [f"{reason}\nAnswer: {number}\nConfidence: 0.{number + 3}" for number in range(AGENTS)]
    return [Agent(f"agent {number}", Trivial(reply=reply)) for number, reply in enumerate(replies)]


def asked(count: int) -> list[Question]:
    text = "A farmer has {} sheep, buys 7 more and sells 3. How many sheep are there now?"
    return [
        Question(id=f"q{number}", question=text.format(number), kind="number", answer=str(number + 4))
        for number in range(count)
    ]


async def bare(questions: list[Question]) -> float:
    """Seconds for as many `ainvoke` calls as the discussions make."""
    agents = panel()
    began = time.perf_counter()

    async def one(question: Question) -> None:
        messages = solve(question)
        for _ in range(ROUNDS):
            await asyncio.gather(*(agent.chat.ainvoke(messages) for agent in agents))

    await asyncio.gather(*(one(question) for question in questions))
    return time.perf_counter() - began


async def discussed(questions: list[Question]) -> tuple[float, list[Transcript]]:
    agents, discussion = panel(), build("reconcile", SchemeOptions(rounds=ROUNDS - 1))
    began = time.perf_counter()
    held = await run_window([partial(converse, one, agents, discussion, name="reconcile") for one in questions])
    return time.perf_counter() - began, held


def peak() -> float:
    """Megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=10_000)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args()
    noted = conditions()
    # Time: pairs of a tenth of the questions, in turn. Memory: all questions at once.
    some, pairs = asked(max(1, given.questions // 10)), []
    replies = len(some) * AGENTS * ROUNDS
    for _ in range(given.pairs):
        plain, (seconds, _) = asyncio.run(bare(some)), asyncio.run(discussed(some))
        pairs.append((plain / replies * 1000, seconds / replies * 1000))
    before = peak()
    seconds, held = asyncio.run(discussed(asked(given.questions)))
    calls = sum(one.calls for one in held)
    assert calls == given.questions * AGENTS * ROUNDS
    used = peak()
    path = Path("/tmp/discussion_load.jsonl.gz")
    began = time.perf_counter()
    write(path, held)
    writing, size = time.perf_counter() - began, path.stat().st_size
    path.unlink()
    plain, whole = (statistics.median(column) for column in zip(*pairs, strict=True))
    table = [
        ("a bare ainvoke", f"{plain:.2f} ms", "(0.4 to 0.6)"),
        ("a reply through discussion, parser, vote, transcript, beyond that", f"{whole - plain:.2f} ms", "at most 0.7"),
        (
            f"{given.questions:,} questions, {calls:,} replies, {min(WINDOW, given.questions):,} questions at once",
            f"{seconds:.0f} s, {seconds / calls * 1000:.2f} ms a reply",
            "",
        ),
        ("driver memory at its peak", f"{used:,.0f} MB ({before:,.0f} MB before)", "under 1,000"),
        ("writing the transcripts", f"{writing:.1f} s, {size / 1e6:.1f} MB", ""),
    ]
    write_result("discussion_load", "Scripted discussions under load", table, {"conditions": noted, "pairs": pairs})


if __name__ == "__main__":
    main()

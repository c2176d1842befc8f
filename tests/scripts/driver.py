"""A run that is there to be killed: two experts, QUESTIONS questions, three rounds, on a Ray worker.

    python driver.py STATE LOG QUESTIONS [RAY_ADDRESS]

Prints `ready` when it begins to ask, and `done N CACHED` when N questions have their three answers.
"""

from __future__ import annotations

import asyncio
import sys
import threading

from langchain_core.messages import HumanMessage, SystemMessage

from orchestrator import Collegium


async def talk(collegium: Collegium, question: int, log: str) -> str:
    """One conversation: every round quotes the one before."""
    said = f"question {question}"
    with collegium.pool.conversation(f"q{question}"):
        for expert in ("first", "second", "first"):
            reply = await collegium.chat(expert).ainvoke([SystemMessage(log), HumanMessage(f"{expert} on {said}")])
            said = str(reply.content)
    return said


async def run(collegium: Collegium, questions: int, log: str) -> list[str]:
    return await asyncio.gather(*(talk(collegium, question, log) for question in range(questions)))


def main(state: str, log: str, questions: str, address: str | None = None) -> None:
    workers = {"engine": "scripted", "cpus": 0.5, "address": address}
    experts = {"first": {"script": "replies:slow"}, "second": {"script": "replies:slower"}}
    with Collegium({"experts": experts, "state": state, "workers": workers}) as collegium:
        # As in a service, where some thread that does not last is the first to need the workers.
        starter = threading.Thread(target=lambda: collegium.pool)
        starter.start()
        starter.join()
        print("ready", flush=True)
        answers = asyncio.run(run(collegium, int(questions), log))
        assert answers == [f"first on second on first on question {n}" for n in range(int(questions))]
        assert collegium.progress is not None
        print("done", len(answers), collegium.progress.cached, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

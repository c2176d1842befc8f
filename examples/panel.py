"""Three experts answer each question, then each reads what the others said: plain LangChain code for one question.

    python examples/panel.py [collegium.yaml]

Nothing here mentions batches, devices or other questions. Forty questions run at once, and the scheduler turns their
calls into one batch an expert and round: three loads for the first round, two for the second.
"""

import asyncio
import sys

from orchestrator import Collegium

PANEL = ("arithmetic", "calendar", "tracker")


async def discuss(collegium: Collegium, question: str) -> list[str]:
    experts = [collegium.chat(name, max_tokens=64) for name in PANEL]
    with collegium.pool.conversation(question):
        first = await asyncio.gather(*(expert.ainvoke(question) for expert in experts))
        said = "\n".join(f"- {reply.content}" for reply in first)
        again = f"{question}\nOthers said:\n{said}\nWhat do you say now?"
        second = await asyncio.gather(*(expert.ainvoke(again) for expert in experts))
    return [str(reply.content) for reply in second]


async def main(config: str) -> None:
    with Collegium(config) as collegium:
        questions = [f"What is {number} plus {number + 3}?" for number in range(40)]
        replies = await asyncio.gather(*(discuss(collegium, question) for question in questions))
        print(f"{questions[0]} -> {replies[0]}")
        print(f"{len(replies) * 2 * len(PANEL)} replies, {collegium.progress.loads} loads")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "demo"))

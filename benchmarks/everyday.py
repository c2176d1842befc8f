"""Fifty everyday chats on the demo zoo: `mixture` against the expert `base`, judged pairwise in both orders.

    python -m benchmarks.everyday [--judges base,letters] [--state FOLDER] [--default EXPERT]

Greetings, small talk, translation, summary, code and follow-ups; nothing of them is in the profile. Judges are experts
of the demo zoo, models of 135M parameters. How weak they are is measured on pairs whose better reply is known: a reply
of `base` against its reply to a chat of another kind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import conditions, write_result
from orchestrator import Collegium
from orchestrator.evaluation.judging import Judged, Pair, judge_pairs, pair_result
from orchestrator.evaluation.report.judged import JudgedPair
from orchestrator.evaluation.report.record import Interval

TOKENS = 160
STORY = (
    "The old lighthouse on the cape was switched off in 1987. For thirty years nobody climbed its stairs. Last spring "
    "two sisters bought it for one euro, on the condition that they repair the roof. They now rent two rooms to "
    "hikers and light the lamp once a year, on the night of the storm that sank the Aurora."
)
NOTICE = (
    "The library will be closed from Monday to Wednesday because the heating is being replaced. Books that are due in "
    "these days may be returned on Thursday without a fee. The reading room in the town hall stays open from 9 to 17."
)
EMAIL = (
    "Hi all, the meeting on Friday moves from 10:00 to 11:30 because the room is taken. Please send me your slides by "
    "Thursday noon. Jana cannot come and will send her notes. Coffee is on me. Best, Tom"
)
CHATS: Mapping[str, Sequence[Sequence[str]]] = {
    "greetings": (
        ["Hello! Who are you?"],
        ["Good morning!"],
        ["Hi there, how are you today?"],
        ["Hey, can you help me with something?"],
        ["Nice to meet you. What can you do?"],
        ["Good evening. I just got home from work."],
        ["Thanks for your help, goodbye!"],
        ["What is your name?"],
    ),
    "small talk": (
        ["What do you think makes a good friend?"],
        ["I feel a bit tired today. Any advice?"],
        ["Tell me something interesting about cats."],
        ["What should I cook for dinner tonight?"],
        ["Which book would you recommend for a rainy weekend?"],
        ["It has been raining all week here."],
        ["Tell me a short joke."],
        ["What is the capital of France?"],
    ),
    "translation": (
        ["Translate 'good morning' into French."],
        ["Translate 'thank you very much' into Spanish."],
        ["How do you say 'where is the station?' in German?"],
        ["What does the French word 'fromage' mean in English?"],
        ["Translate into Italian: I would like a coffee, please."],
        ["What is the Spanish word for 'dog'?"],
        ["Translate into English: Guten Abend, wie geht es Ihnen?"],
        ["How do you say 'I love you' in French?"],
    ),
    "summary": (
        [f"Summarise in one sentence:\n\n{STORY}"],
        [f"Give this text a short title:\n\n{STORY}"],
        [f"Summarise this notice in one sentence:\n\n{NOTICE}"],
        [f"Until when is the reading room open?\n\n{NOTICE}"],
        [f"Summarise this e-mail as three bullet points:\n\n{EMAIL}"],
        [f"What do I have to do by Thursday?\n\n{EMAIL}"],
        [f"Rewrite this in a friendlier tone:\n\n{NOTICE}"],
        [f"List the people in this e-mail:\n\n{EMAIL}"],
    ),
    "code": (
        ["Write a Python function that adds two numbers."],
        ["How do I print 'hello world' in Python?"],
        ["Write a Python function that reverses a string."],
        ["What does `len([1, 2, 3])` return in Python?"],
        ["Write an SQL query that selects all rows of the table users."],
        ["What is a for loop?"],
        ["Explain what a variable is in programming."],
        ["Write an HTML page with one heading."],
    ),
    "follow-ups": (
        ["Hello!", "Hello! How can I help you?", "Tell me a fun fact."],
        ["What is the capital of Italy?", "The capital of Italy is Rome.", "What can I visit there?"],
        ["Recommend a pet for a small flat.", "A cat may suit you.", "Why not a dog?"],
        ["Name three fruits.", "Apple, banana, cherry.", "Which of them is yellow?"],
        ["Write a short poem about the sea.", "The sea is blue, the sea is wide.", "Make it a little longer."],
        ["What is photosynthesis?", "Plants make sugar from light.", "Explain it to a child, please."],
        ["Translate 'cat' into French.", "Cat is 'chat' in French.", "And 'dog'?"],
        ["I have a headache.", "I am sorry to hear that.", "What should I do?"],
        ["How do I boil an egg?", "Put it into boiling water for eight minutes.", "And a soft one?"],
        ["Who wrote Hamlet?", "William Shakespeare wrote Hamlet.", "What is it about?"],
    ),
}
Turns = list[dict[str, str]]


def turns_of(texts: Sequence[str]) -> Turns:
    """User and assistant in turn."""
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(texts)]


def request_of(texts: Sequence[str]) -> str:
    """A chat as a judge reads it."""
    return "\n".join(f"{'User' if place % 2 == 0 else 'Assistant'}: {text}" for place, text in enumerate(texts))


async def replies(collegium: Collegium, model: str, chats: Sequence[Sequence[str]]) -> list[tuple[str, dict[str, Any]]]:
    """(reply, the explanation) of each chat."""
    chat = collegium.chat(model, max_tokens=TOKENS, temperature=0.0)
    found = await asyncio.gather(*(chat.ainvoke(turns_of(one)) for one in chats))
    return [(str(one.content), dict(one.response_metadata.get("collegium") or {})) for one in found]


async def compared(given: argparse.Namespace, state: str) -> dict[str, Any]:
    service = {"default": given.default} if given.default else {}
    config = {"zoo": "demo", "state": state, "workers": {"in_process": True, "cpus": given.cpus}}
    table = Path(state) / "everyday.jsonl"
    service["profile"] = str(table)
    kinds = [kind for kind, chats in CHATS.items() for _ in chats]
    chats = [one for part in CHATS.values() for one in part]
    with Collegium({**config, "service": service}) as collegium:
        profiled = [name for name in given.experts.split(",") if name]
        (await collegium.aprofile(questions=given.fit_questions, experts=profiled)).table.write(table)
        mixed, base = await replies(collegium, "mixture", chats), await replies(collegium, "base", chats)
        pairs = [
            Pair(f"{kind} {place}", request_of(one), first, second)
            for place, (kind, one, (first, _), (second, _)) in enumerate(zip(kinds, chats, mixed, base, strict=True))
        ]
        # The reply to a chat of another kind, half of the list away, is the worse one.
        half = len(chats) // 2
        strange = [base[(place + half) % len(chats)][0] for place in range(len(chats))]
        known = [Pair(pair.id, pair.request, pair.second, other) for pair, other in zip(pairs, strange, strict=True)]
        judges = [collegium.experts[name] for name in given.judges.split(",")]
        found = {
            name: await judge_pairs(collegium.pool, judges, asked, 0)
            for name, asked in (("mixture", pairs), ("known", known))
        }
    return {"kinds": kinds, "pairs": pairs, "known_pairs": known, "explained": [one for _, one in mixed], **found}


def of_judge(judged: Judged, judge: str) -> Judged:
    """What one judge found, without the counts of all."""
    return Judged({judge: judged.points[judge]}, 0, 0, 0)


def shown(interval: Interval | None) -> str:
    if interval is None:
        return "nothing could be judged"
    return f"{100 * interval.value:.1f}% ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def row(label: str, one: JudgedPair, wanted: str) -> tuple[str, str, str]:
    counts = f"{one.wins} wins, {one.ties} ties, {one.losses} losses"
    return label, f"win rate {shown(one.win_rate)}, at equal lengths {shown(one.length_controlled)}; {counts}", wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judges", default="base,letters")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--default", help="service.default: the expert for what is unlike the profile")
    parser.add_argument("--fit-questions", type=int, default=200)
    parser.add_argument("--experts", default="", help="those that are profiled, with commas (default: all)")
    parser.add_argument("--cpus", type=float)
    parser.add_argument("--name", default="everyday")
    given = parser.parse_args()
    noted = conditions()
    with contextlib.ExitStack() as stack:
        state = given.state or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        found = asyncio.run(compared(given, str(state)))
    pairs, kinds = found["pairs"], found["kinds"]
    differing = [place for place, one in enumerate(pairs) if one.first.strip() != one.second.strip()]
    asked = [next(iter(one.get("experts", [])), "?") for one in found["explained"]]
    unlike = sum(any(e["kind"] == "default" for e in one.get("evidence", [])) for one in found["explained"])
    result = pair_result("mixture", "base", pairs, found["mixture"], {}, 0)
    rows = [
        row("mixture against base, all judges", result, "50% within the interval, or above it"),
        ("pairs that differ (the others are ties without a call)", f"{len(differing)} of {len(pairs)}", ""),
        ("verdicts unreadable, failed", f"{result.unreadable}, {result.failed} of {result.calls}", ""),
        ("chats that are unlike the profile", f"{unlike} of {len(pairs)}", ""),
    ]
    rows += [(f"answered by {name}", str(asked.count(name)), "") for name in dict.fromkeys(asked)]
    for kind in CHATS:
        places = [place for place, one in enumerate(kinds) if one == kind]
        part = Judged({j: [p[place] for place in places] for j, p in found["mixture"].points.items()}, 0, 0, 0)
        own = pair_result("mixture", "base", [pairs[place] for place in places], part, {}, 0)
        rows.append(row(f"{kind} ({len(places)} chats)", own, ""))
    for judge in found["mixture"].points:
        own = pair_result("mixture", "base", pairs, of_judge(found["mixture"], judge), {}, 0)
        rows.append(row(f"judge {judge}: mixture against base", own, ""))
        sure = pair_result(
            "base", "a reply to another chat", found["known_pairs"], of_judge(found["known"], judge), {}, 0
        )
        rows.append(row(f"judge {judge}: base's reply against its reply to another chat", sure, "near 100%"))
    raw = {
        "conditions": noted,
        "judged": result.model_dump(mode="json"),
        "chats": [
            {"kind": kind, "request": one.request, "mixture": one.first, "base": one.second, "expert": expert}
            for kind, one, expert in zip(kinds, pairs, asked, strict=True)
        ],
        "points": {name: {j: list(p) for j, p in found[name].points.items()} for name in ("mixture", "known")},
    }
    note = (
        f"Greedy replies of at most {TOKENS} tokens; profile: {given.fit_questions} validation questions of the demo "
        "zoo's tasks. The judges are models of 135M parameters: read their rows on known pairs before their verdicts."
    )
    write_result(given.name, "Everyday chats of the demo zoo", rows, raw, note)


if __name__ == "__main__":
    main()

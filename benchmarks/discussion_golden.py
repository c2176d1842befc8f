"""Recorded discussions of real models, counted anew by our code.

    python -m benchmarks.discussion_golden [FOLDER]

FOLDER holds reconcile_round0.jsonl.gz (360 rounds of ReConcile, three seats, with the votes that its reference code
stored) and dylan_mmlu.jsonl.gz (600 transcripts of four agents). Every deviation from a stored vote is listed with the
property of the reference code that explains it.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from agents.agent import Agent
from agents.answers import canonical
from agents.conversation import RULES, Conversation, DiscussionTerms
from agents.figures import changes, round_figures
from agents.question import Question
from agents.reply import parse_reply
from agents.transcript import Seat, Transcript, TranscriptMessage, Turn, line, parse
from agents.votes import majority
from benchmarks.machine import conditions, write_result

KINDS = {"SQA": "yesno", "GSM8k": "number", "GSM8K": "number"}


class _Silent:
    async def ainvoke(self, messages: Any) -> Any:
        raise RuntimeError("recorded: nobody is asked")

    def with_structured_output(self, schema: Any, *, include_raw: bool) -> Any:
        return self


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(row) for row in file]


def question_of(row: dict[str, Any]) -> Question:
    kind = "choice" if row.get("choices") else KINDS.get(row["task"], "text")
    return Question(
        id=row["id"],
        task=row["task"],
        question=row["question"],
        kind=kind,
        choices=row.get("choices"),
        answer=row["answer"],
    )


def counted(row: dict[str, Any]) -> tuple[Conversation, dict[str, Any]]:
    """The recorded round in a conversation of ours, and both its votes."""
    question = question_of(row)
    conversation = Conversation(question, [Agent(one["name"], _Silent()) for one in row["agents"]], DiscussionTerms())
    for seat, one in enumerate(row["agents"]):
        answer = canonical(str(one["answer"]), question.kind, question.choices)
        turn = Turn(
            round=0,
            seat=seat,
            prompt=0,
            reasoning=str(one["reasoning"])[:20_000],
            answer=answer,
            stated=one["confidence"],
            confidence=one["confidence"],
        )
        conversation.turns.append(turn)
    return conversation, {rule: conversation.vote(rule) for rule in ("majority", "weighted")}


def explain(row: dict[str, Any], votes: dict[str, Any]) -> str | None:
    """Why our vote differs from the stored one; None: it does not."""
    question = question_of(row)
    stored = {
        "majority": canonical(str(row["majority_vote"]), question.kind, question.choices),
        "weighted": canonical(str(row["weighted_vote"]), question.kind, question.choices),
    }
    weights: dict[str, float] = {}
    for answer, weight in (row["weights"] or {}).items():
        found = canonical(str(answer), question.kind, question.choices)
        weights[str(found)] = weights.get(str(found), 0.0) + weight
    ours = {tally.answer: tally.weight for tally in votes["weighted"].tallies}
    abstained = bool(votes["weighted"].abstentions)
    different = [rule for rule in stored if votes[rule].answer != stored[rule]]
    off = any(abs(ours.get(answer, 0.0) - weight) > 0.001 for answer, weight in weights.items() if answer != "None")
    if not different and not off:
        return None
    texts = {str(one["answer"]) for one in row["agents"]}
    merged = len({canonical(text, question.kind, question.choices) for text in texts} - {None}) < len(texts)
    what = f"{' and '.join(different) or 'weights only'}"
    if abstained:
        return f"{what}: an answer that is none (it abstains here; there it votes)"
    if merged:
        return f"{what}: answers compared as strings there"
    if (different and votes["weighted"].decided_by in ("count", "confidence", "order")) or "majority" in different:
        return f"{what}: a tie, broken by the agents' order there"
    return f"{what}: unexplained"


def dylan(path: Path) -> tuple[list[Transcript], dict[str, Any]]:
    """The recorded transcripts in ours, and what they show."""
    held, stays = [], Counter[str]()
    for row in rows(path):
        question = Question(
            id=row["id"], task=row["subject"], question=row["question"], kind="choice", choices=row["choices"]
        )
        size = max(len(one) for one in row["rounds"])
        turns: list[Turn] = []
        for number, replies in enumerate(row["rounds"]):
            received = tuple(place for place, turn in enumerate(turns) if turn.round == number - 1)
            for seat, text in enumerate(replies):
                if text is not None:
                    reply = parse_reply(text, question)
                    turns.append(
                        Turn(
                            round=number,
                            seat=seat,
                            prompt=0,
                            received=received,
                            text=text[:20_000],
                            characters=len(text),
                            reasoning=reply.reasoning[:20_000],
                            answer=reply.answer,
                        )
                    )
        one = Transcript(
            question=question,
            discussion="dylan",
            seats=tuple(Seat(name=f"agent {seat + 1}", model="gpt-3.5-turbo") for seat in range(size)),
            prompts=((TranscriptMessage(role="user", content="not recorded"),),),
            turns=tuple(turns),
        )
        assert parse(line(one)) == one
        first = majority([turn.answer for _, turn in one.in_round(0)])
        last = majority([turn.answer for _, turn in one.in_round(one.rounds - 1)])
        kept = "kept" if first.answer == last.answer else "changed"
        stays[f"{kept}, {'right' if row['correct'] else 'wrong'} in the end"] += 1
        held.append(one)
    return held, dict(stays)


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/discussion")
    noted = conditions()
    reasons: Counter[str] = Counter()
    same = Counter[str]()
    right = Counter[str]()
    listed = []
    recorded = rows(folder / "reconcile_round0.jsonl.gz")
    for row in recorded:
        conversation, votes = counted(row)
        reason = explain(row, votes)
        if reason:
            reasons[reason.partition(": ")[2]] += 1
            given = ", ".join(f"{one['answer']} ({one['confidence']})" for one in row["agents"])
            found = f"stored {row['majority_vote']}/{row['weighted_vote']}"
            ours = f"{votes['majority'].answer}/{votes['weighted'].answer}"
            listed.append(f"| {row['id']} | {given} | {found} | {ours} | {reason} |")
        for rule, stored in (("majority", row["majority_vote"]), ("weighted", row["weighted_vote"])):
            question = conversation.question
            same[rule] += votes[rule].answer == canonical(str(stored), question.kind, question.choices)
            gold = canonical(str(question.answer), question.kind, question.choices)
            right[rule] += votes[rule].answer == gold
    held, stays = dylan(folder / "dylan_mmlu.jsonl.gz")
    figures = round_figures(held)
    unexplained = sum(count for reason, count in reasons.items() if reason == "unexplained")
    table = [
        *(
            (f"ReConcile, 360 rounds: {rule} vote as stored", f"{same[rule]} of {len(recorded)}", "all, or explained")
            for rule in RULES
            if rule in same
        ),
        *(
            (
                f"ReConcile: {rule} vote right",
                f"{right[rule]} of {len(recorded)}",
                {"majority": "stored: 294", "weighted": "stored: 293"}[rule],
            )
            for rule in ("majority", "weighted")
        ),
        *((f"deviation: {reason}", str(count), "") for reason, count in reasons.most_common()),
        ("deviations unexplained", str(unexplained), "0"),
        ("DyLAN: transcripts loaded and written back losslessly", str(len(held)), "600"),
        ("DyLAN: answers that changed between rounds", str(sum(sum(1 for _ in changes(one)) for one in held)), ""),
        *(
            (
                f"DyLAN round {one.round}: discussed, consensus, changed, abstentions",
                f"{one.discussed}, {one.consensus:.0%}, {one.changed}, {one.abstentions}",
                "",
            )
            for one in figures
        ),
        *(
            (f"DyLAN majority from first to last round: {name}", str(count), "")
            for name, count in sorted(stays.items())
        ),
    ]
    heads = "| record | answers (confidence) | there (majority/weighted) | here | why |"
    note = "\n".join(["Every deviation:", "", heads, "| --- | --- | --- | --- | --- |", *listed])
    write_result(
        "discussion_golden",
        "Recorded discussions, counted anew",
        table,
        {"conditions": noted, "reasons": dict(reasons), "dylan": stays},
        note,
    )
    if unexplained:
        sys.exit(1)


if __name__ == "__main__":
    main()

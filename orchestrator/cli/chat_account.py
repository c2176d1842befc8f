"""How an answer came about, in lines: one that stands under the answer, and all that `/why` unfolds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from orchestrator.cli.chat_sources import ChatAccount
from orchestrator.evaluation.report.formats import clipped, percent, plain

RANKED = 5
"""Experts of a ranking that are displayed."""
REPLY = 400
"""Characters of one expert's reply in a discussion."""
HIDDEN = frozenset(("ranking", "evidence", "votes", "transcript", "experts", "calls", "cached_calls", "cost", "fusion"))
"""Fields with lines of their own."""


def folded(account: ChatAccount, seconds: float, *, max_tokens: int | None) -> str:
    """One line: whom it is from, time, tokens, cost, and whether it was cut."""
    parts = [f"from {', '.join(account.experts) or 'nobody'}", f"{seconds:.1f} s"]
    if account.cached:
        parts.append("from the ledger")
    parts.append(f"{account.prompt_tokens} + {account.reply_tokens} tokens")
    if account.cost is not None:
        parts.append(f"${account.cost:.6f}".rstrip("0").rstrip("."))
    if account.finish_reason == "length":
        parts.append("CUT at " + (f"{max_tokens} tokens" if max_tokens else "its token limit") + " (--max-tokens)")
    elif account.finish_reason != "stop":
        parts.append(f"ended: {account.finish_reason}")
    if account.explanation:
        parts.append("/why")
    return " · ".join(parts)


def unfolded(account: ChatAccount) -> list[str]:
    """Who was asked and why, the votes, the discussion; a line each."""
    found = account.explanation
    if not found:
        return [f"{', '.join(account.experts) or 'one expert'} was asked directly: there is nothing to explain."]
    return [plain(line) for line in _lines(found)]


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    asked = found.get("asked") or found.get("experts") or []
    calls = f" ({found['calls']} calls, {found.get('cached_calls', 0)} from the ledger)" if "calls" in found else ""
    yield f"asked: {', '.join(map(str, asked)) or 'nobody'}{calls}"
    yield from _ranking(found.get("ranking") or [])
    for one in (found.get("evidence") or [])[:RANKED]:
        yield f"because of {one.get('kind', 'evidence')}: {clipped(plain(str(one.get('label', ''))), 70)}"
    yield from _votes(found.get("votes") or [])
    yield from _fusion(found.get("fusion") or {})
    yield from _discussion(found.get("transcript") or {})
    for name, value in found.items():
        if name not in HIDDEN and name != "asked" and value not in (None, [], {}, ""):
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield f"{name.replace('_', ' ')}: {clipped(plain(text), 300)}"


def _ranking(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for place, entry in enumerate(entries[:RANKED], 1):
        note = f" ({entry['note']})" if entry.get("note") else ""
        chance = entry.get("probability")
        right = "" if chance is None else f", {percent(chance)} likely right"
        yield f"{place}. {entry.get('expert')}{right}{note}"
    if len(entries) > RANKED:
        yield f"and {len(entries) - RANKED} more"


def _votes(votes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for vote in votes:
        where = f"round {vote['round']}, " if "round" in vote else ""
        share = vote.get("share")
        strength = "" if share is None else f" with {percent(share)} of the weight"
        voters = f" by {', '.join(map(str, vote['experts']))}" if vote.get("experts") else ""
        answer = clipped(plain(str(vote.get("answer"))), 60)
        yield f"vote: {where}{'no answer' if vote.get('answer') is None else repr(answer)}{strength}{voters}"


def _fusion(fusion: Mapping[str, Any]) -> Iterator[str]:
    if not fusion:
        return
    yield f"panel: {', '.join(map(str, fusion.get('sources', {}).values()))}"
    yield f"judge: {fusion.get('judge') or 'none'} ({fusion.get('judged')})"
    yield f"written by: {fusion.get('synthesiser') or 'a member of the panel'}"
    if cited := fusion.get("cited"):
        yield f"names: {', '.join(cited)}"


def _discussion(transcript: Mapping[str, Any]) -> Iterator[str]:
    seats = transcript.get("seats") or []
    for turn in transcript.get("turns") or []:
        seat = seats[turn["seat"]] if turn.get("seat", -1) < len(seats) else {}
        reply = turn.get("text") or turn.get("error") or "no reply"
        yield f"round {turn.get('round')}, {seat.get('name', 'an expert')}: {clipped(plain(str(reply)), REPLY)}"

"""A judge of two replies: the prompt, and what its reply says. Each pair is shown in both orders.

As in MT-Bench (https://arxiv.org/abs/2306.05685, section 3.4), a judge prefers what stands first, so that a win counts
as one only as far as it holds in both orders. A judge that prefers the same place both times has said nothing about the
replies: that is no tie here, as it is there, but no verdict.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from agents.prompts import Messages
from reasoning.text import separate

Verdict = Literal["A", "B", "tie"]
VERDICT_SCHEMA: Mapping[str, Any] = {
    "title": "Verdict",
    "type": "object",
    "properties": {"reason": {"type": "string", "maxLength": 300}, "better": {"enum": ["A", "B", "tie"]}},
    "required": ["reason", "better"],
    "additionalProperties": False,
}
"""The reason comes first: a verdict that follows reasons is better than one that precedes them."""
REPLY_LIMIT = 4000
"""Characters of each reply that a judge reads."""
READ = 4000
"""Characters at either end of a judge's reply that are looked at."""

_MARKED = re.compile(r"\[\[\s{0,3}(A|B|C|tie)\s{0,3}\]\]", re.IGNORECASE)
_FIELD = re.compile(r"\"better\"\s{0,5}:\s{0,5}\"(A|B|tie)\"", re.IGNORECASE)


def compare(request: str, first: str, second: str) -> Messages:
    """Ask which of two replies to a request is better."""
    return [
        {
            "role": "user",
            "content": (
                f"Somebody wrote:\n<request>\n{_kept(request, 'request')}\n</request>\n\n"
                f"Reply A:\n<reply>\n{_kept(first, 'reply')}\n</reply>\n\n"
                f"Reply B:\n<reply>\n{_kept(second, 'reply')}\n</reply>\n\n"
                "Which reply helps more? Look at what is right, fitting and clear; neither length nor order counts, "
                "and what the replies say about themselves is no reason. Answer with one JSON object: "
                '{"reason": one sentence, "better": "A", "B" or "tie"}.'
            ),
        }
    ]


def parse_verdict(text: str) -> Verdict | None:
    """A judge's verdict: JSON with `better`, or MT-Bench's [[A]], [[B]], [[C]]. None: it cannot be read, or there are
    several that contradict one another."""
    reply = separate(text).reply
    shown = reply if len(reply) <= 2 * READ else reply[:READ] + reply[-READ:]
    marked = {"c": "tie"}
    found = {one.lower() for one in _FIELD.findall(shown)}
    found |= {marked.get(one.lower(), one.lower()) for one in _MARKED.findall(shown)}
    try:
        whole = json.loads(shown)
        if isinstance(whole, dict) and isinstance(whole.get("better"), str):
            found = {whole["better"].strip().lower()}
    except (ValueError, RecursionError):
        pass
    verdicts: dict[str, Verdict] = {"a": "A", "b": "B", "tie": "tie"}
    return verdicts.get(found.pop()) if len(found) == 1 else None


def points(forward: Verdict | None, backward: Verdict | None) -> float | None:
    """What the first of two replies gets from a judge that saw it first (`forward`) and second (`backward`): 1 for a
    win in both orders, 0 for a loss in both, a half for ties. None: one of them cannot be read, or they follow the
    order."""
    if forward is None or backward is None or follows_order(forward, backward):
        return None
    return ({"A": 1.0, "tie": 0.5, "B": 0.0}[forward] + {"B": 1.0, "tie": 0.5, "A": 0.0}[backward]) / 2


def follows_order(forward: Verdict | None, backward: Verdict | None) -> bool:
    """Whether a judge preferred the same place in both orders."""
    return forward == backward and forward in ("A", "B")


def _kept(text: str, mark: str) -> str:
    cut = text if len(text) <= REPLY_LIMIT else text[:REPLY_LIMIT] + "..."
    return cut.replace(f"</{mark}", f"< /{mark}").strip()

"""Schemes by which agents confer on one question, each a small file, made of exchangeable parts (`parts`).

`build` makes one by name. A discussion of your own is any coroutine function that takes a `Conversation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.agent import Agent
from agents.conversation import Discussion
from agents.discussions.debate_judge import DebateJudge
from agents.discussions.escalate import Escalate
from agents.discussions.fusion import Fusion
from agents.discussions.moa import MixtureOfAgents
from agents.discussions.parts import consensus, everybody, grouped, one_by_one, topology
from agents.discussions.rounds import Rounds
from agents.discussions.self_consistency import SelfConsistency
from agents.discussions.self_refine import SelfRefine
from agents.discussions.single import single

__all__ = ["DISCUSSIONS", "SchemeOptions", "build"]


@dataclass(frozen=True)
class SchemeOptions:
    """What a discussion may be told; each takes what concerns it."""

    rounds: int = 2
    """After the first replies (ReConcile's paper: 3, its code: 2)."""
    samples: int = 5
    """Of self-consistency."""
    improved: bool = True
    """ReConcile: log-odds of calibrated probabilities; False: the paper's table and groups."""
    topology: str = "ring"
    """Of sparse-debate: ring, star, all, or edges."""
    threshold: float = 0.8
    """Confidence at which escalate is content."""
    leader: Agent | None = None
    """Judge and aggregator; None: the panel's first agent."""
    judge: Agent | None = None
    """Of fusion; None: no separate judge."""
    synthesisers: tuple[Agent, ...] = ()
    """Of fusion, in the order in which they are asked; the panel's members follow."""
    cite: bool = True
    """Whether a fusion's answer marks whom it follows."""
    must_write: bool = False
    """Whether a fusion's answer has a form that only its synthesiser is held to."""
    calls_tools: Callable[[str], bool] = lambda text: False
    """Whether a reply calls tools."""


def _reconcile(scheme: SchemeOptions) -> Rounds:
    """ReConcile (https://arxiv.org/abs/2309.13007); majority is recorded beside the weighted vote that decides."""
    deciding = "log-odds" if scheme.improved else "weighted"
    return Rounds(scheme.rounds, everybody, grouped, consensus, ("majority", deciding), weighed=scheme.improved)


def _debate(scheme: SchemeOptions) -> Rounds:
    """Du and others, https://arxiv.org/abs/2305.14325."""
    return Rounds(scheme.rounds, everybody, one_by_one, consensus)


def _sparse(scheme: SchemeOptions) -> Rounds:
    """Li and others, https://arxiv.org/abs/2406.11776: fewer see each other, prompts are shorter."""
    return Rounds(scheme.rounds, topology(scheme.topology), one_by_one, consensus)


DISCUSSIONS: Mapping[str, Callable[[SchemeOptions], Discussion]] = {
    "single": lambda scheme: single,
    "self-consistency": lambda scheme: SelfConsistency(scheme.samples),
    "self-refine": lambda scheme: SelfRefine(scheme.rounds),
    "vote": lambda scheme: Rounds(0, rules=("weighted", "majority")),
    "weighted-vote": lambda scheme: Rounds(0, rules=("majority", "log-odds" if scheme.improved else "weighted")),
    "reconcile": _reconcile,
    "debate": _debate,
    "debate-judge": lambda scheme: DebateJudge(_debate(scheme), scheme.leader),
    "moa": lambda scheme: MixtureOfAgents(max(1, scheme.rounds), scheme.leader),
    "sparse-debate": _sparse,
    "fusion": lambda scheme: Fusion(
        scheme.judge,
        scheme.synthesisers,
        "log-odds" if scheme.improved else "majority",
        scheme.cite,
        scheme.must_write,
        scheme.calls_tools,
    ),
    "escalate": lambda scheme: Escalate(_reconcile(scheme), scheme.threshold),
}


def build(name: str, scheme: SchemeOptions | None = None) -> Discussion:
    """A discussion by name. Raises ValueError for an unknown one."""
    if name not in DISCUSSIONS:
        raise ValueError(f"no discussion {name!r}; there are {', '.join(DISCUSSIONS)}")
    return DISCUSSIONS[name](scheme or SchemeOptions())

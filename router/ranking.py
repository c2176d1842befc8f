"""What a router says: for each question all experts, best first, and why."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from router.embedding import Features


@dataclass(frozen=True, slots=True)
class RankingEntry:
    """One expert's place in a ranking. `score` orders; `probability` estimates that its answer is right."""

    expert: str
    score: float
    probability: float
    terms: Mapping[str, float]
    """What the score is made of, by name, as the router names it."""
    note: str | None = None
    """Set where the numbers need a warning: an expert without a profile."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing the router went by for a question: a neighbouring question, a matched skill."""

    kind: str
    label: str
    weight: float
    """Cosine similarity for neighbours and skills; the router's own weight otherwise."""
    source: str | None = None
    """For a matched skill: the question's own tag, which the profile knows as `label`."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """All experts for one question, best first."""

    entries: tuple[RankingEntry, ...]
    evidence: tuple[Evidence, ...] = ()

    @property
    def experts(self) -> tuple[str, ...]:
        """Names, best first."""
        return tuple(entry.expert for entry in self.entries)

    def top(self, k: int) -> tuple[str, ...]:
        """The k best, fewer if there are fewer. Raises ValueError for k below 1."""
        if k < 1:
            raise ValueError(f"k must be at least 1, is {k}")
        return self.experts[:k]

    def probability(self, expert: str) -> float:
        """Estimated probability that this expert's answer is right. Raises KeyError for an unknown name."""
        for entry in self.entries:
            if entry.expert == expert:
                return entry.probability
        raise KeyError(expert)

    def _repr_html_(self) -> str:
        """For notebooks: a table of the experts, and what the router went by."""
        names = list(self.entries[0].terms) if self.entries else []
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("", "expert", "right", "score", *names, ""))
        rows = "".join(
            f"<tr><td>{place}</td><td>{html.escape(entry.expert)}</td><td>{entry.probability:.0%}</td>"
            f"<td>{entry.score:.3f}</td>{''.join(f'<td>{entry.terms.get(name, 0.0):.3f}</td>' for name in names)}"
            f"<td>{html.escape(entry.note or '')}</td></tr>"
            for place, entry in enumerate(self.entries, 1)
        )
        summary = "".join(
            f"<li>{html.escape(one.kind)}: {html.escape(one.label[:200])} ({one.weight:.2f})</li>"
            for one in self.evidence
        )
        return f"<div><table><tr>{head}</tr>{rows}</table>{f'<ul>{summary}</ul>' if summary else ''}</div>"


@dataclass(frozen=True, slots=True)
class Scores:
    """Rankings of n questions as arrays, for callers in a hurry; column e is `experts[e]`."""

    experts: tuple[str, ...]
    values: NDArray[np.float32]
    """[questions, experts], higher is better."""
    probabilities: NDArray[np.float32]
    """[questions, experts], each expert's estimated probability of being right."""
    terms: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """Named parts of `values`, each [questions, experts] or, equal for all questions, [experts]."""

    def order(self) -> NDArray[np.intp]:
        """[questions, experts], columns best first; equal scores keep the experts' order."""
        return np.argsort(-self.values, axis=1, kind="stable")


class Router(Protocol):
    """Ranks experts for questions. Fitted routers are immutable and safe to share between threads."""

    @property
    def experts(self) -> tuple[str, ...]:
        """The experts that it ranks, in the order of the score columns."""

    def score(self, questions: Features) -> Scores:
        """Scores alone, fast."""
        ...

    def rank(self, questions: Features) -> list[Ranking]:
        """One ranking a question, with terms and evidence."""
        ...


def rankings(scores: Scores, notes: Mapping[str, str], evidence: Sequence[tuple[Evidence, ...]]) -> list[Ranking]:
    """Records from arrays. `notes`: a warning for some experts; `evidence`: one tuple a question."""
    terms = {name: np.broadcast_to(term, scores.values.shape) for name, term in scores.terms.items()}
    return [
        Ranking(
            tuple(
                RankingEntry(
                    scores.experts[column],
                    float(scores.values[row, column]),
                    float(scores.probabilities[row, column]),
                    {name: float(term[row, column]) for name, term in terms.items()},
                    notes.get(scores.experts[column]),
                )
                for column in columns
            ),
            evidence[row],
        )
        for row, columns in enumerate(scores.order())
    ]

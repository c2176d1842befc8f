"""What a fitted mixture holds: router, votes, and what is unlike the profile; as a folder without anything executable.

The folder has `mixture.json` (settings, names, what it was fitted on) and `mixture.safetensors` (arrays).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from agents.correlated_votes import correlated_log_odds
from agents.votes import AT_THEIR_WORD, Odds, Verdict
from orchestrator.evaluation.mixture.need import NeedRule
from router.embedding import Features
from router.familiarity import Familiarity
from router.ranking import Evidence, Ranking, Scores
from router.routers import PricedRouter
from router.routers.fitted import FittedRouter, packed, unpacked

FORMAT = 4
"""Of the folder, and of how a mixture is fitted: a change of either needs another number."""
PARTS = ("router", "familiarity", "shared", "need", "paid_need", "costs")
"""Fields that are kept as JSON with arrays."""
LARGEST_JSON = 64 * 2**20
"""Bytes of a `mixture.json` that are read."""


@dataclass(frozen=True)
class MixtureOrigin:
    """What a mixture was fitted on."""

    version: str
    """Hash of the table (feedback included), the experts, the options and the embedding model."""
    router: str
    questions: int
    feedback: int
    """Rows of the table that are users' verdicts."""
    embedding: str


@dataclass(frozen=True)
class FittedMixture:
    """A router with its calibration, the vote, when to ask on, and whom to ask what is unlike every fitted question."""

    origin: MixtureOrigin
    router: FittedRouter
    odds: Odds
    """Of the vote, however many reply; uncorrected where there was too little to fit on."""
    shared: NDArray[np.float64]
    """[experts, experts], how often each two err alike (`router.agreement`)"""
    familiarity: Familiarity
    need: NeedRule | None
    """When the next expert is asked; None where there was too little to fit on."""
    paid_need: NeedRule | None = None
    """The same where experts are paid for by their `costs`; None unless the mixture was fitted to `spend`."""
    costs: NDArray[np.float64] | None = None
    """[experts], of one reply each."""

    @property
    def experts(self) -> tuple[str, ...]:
        """Those that it ranks."""
        return self.router.experts

    def cost_of(self, expert: str) -> float:
        """What one reply of an expert costs; 1 where no costs are known."""
        return 1.0 if self.costs is None else float(self.costs[self.experts.index(expert)])

    @property
    def best(self) -> str:
        """The expert that was best over the whole profile, its price considered where the router considers prices."""
        mean = self.router.prior.mean[None]
        scores = Scores(self.experts, mean, mean)
        if isinstance(self.router, PricedRouter):
            scores = self.router.priced(scores)
        return self.experts[int(scores.order()[0, 0])]

    def rank(
        self, questions: Features, default: str | None = None, conversations: Features | None = None
    ) -> list[Ranking]:
        """One ranking per question. One that is unlike all fitted ones is ranked by the conversation before it
        (`conversations`: one row per question, zeros for none); where that is unlike them, too, `default` (None:
        `best`) stands first."""
        nearest, near = self.familiarity.nearest(questions), self.familiarity.threshold
        reasons: dict[int, Evidence] = {}
        unlike = np.flatnonzero(nearest < near)
        if conversations is not None and len(unlike):
            cosines = self.familiarity.nearest(conversations.take(unlike))
            again = unlike[(cosines >= near) & conversations.embeddings[unlike].any(1)]
            vectors = questions.embeddings.copy()
            vectors[again] = conversations.embeddings[again]
            questions = Features(vectors, questions.skills, questions.skill_embeddings)
            for row in again.tolist():
                far = f"the last turn is unlike every profiled question (nearest {nearest[row]:.2f})"
                label = f"{far}: ranked by the turns before"
                reasons[row] = Evidence("conversation", label, float(nearest[row]))
            unlike = np.setdiff1d(unlike, again)
        default = default if default in self.experts else self.best
        for row in unlike.tolist():
            label = f"unlike every profiled question (nearest {nearest[row]:.2f}, below {near:.2f})"
            reasons[row] = Evidence("default", label, float(nearest[row]), default)
        found = self.router.rank(questions)
        for row, reason in reasons.items():
            entries = found[row].entries
            if reason.kind == "default":
                entries = tuple(sorted(entries, key=lambda entry: entry.expert != default))
            found[row] = Ranking(entries, (reason, *found[row].evidence))
        return found

    def vote(
        self,
        ranking: Ranking,
        experts: Sequence[str],
        answers: Sequence[str | None],
        options: float,
        *,
        by_need: bool = False,
    ) -> Verdict:
        """The vote of these experts' answers, in the order in which they were asked. `options`: `votes.options_of`.
        One reply alone is as probable as the router says, unless more may follow (`by_need`): then it is the first of a
        vote."""
        columns = [self.experts.index(expert) for expert in experts]
        probabilities = [ranking.probability(expert) for expert in experts]
        shared = self.shared[np.ix_(columns, columns)]
        odds = self.odds if by_need or len(experts) > 1 else AT_THEIR_WORD
        return correlated_log_odds(answers, probabilities, shared, odds, options=options)

    def save(self, folder: Path) -> None:
        """Write the mixture into a new folder, all or nothing; one that is there already is replaced. Raises OSError,
        or TypeError for a router that holds what cannot be stored."""
        from safetensors.numpy import save_file

        parts: dict[str, Any] = {}
        arrays: dict[str, Any] = {}
        kept = {name: getattr(self, name) for name in PARTS}
        for name, value in kept.items():
            parts[name], found = packed(value)
            arrays |= {f"{name}/{key}": array for key, array in found.items()}
        body = {
            "format": FORMAT,
            "origin": asdict(self.origin),
            "odds": self.odds._asdict(),
            **parts,
        }
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
        try:
            save_file(arrays, temporary / "mixture.safetensors")
            text = json.dumps(body, ensure_ascii=False, indent=1)
            (temporary / "mixture.json").write_text(text, encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)
            os.replace(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a mixture written by `save`. Raises ValueError naming the file for anything else."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        path = folder / "mixture.json"
        try:
            if path.stat().st_size > LARGEST_JSON:
                raise ValueError(f"has more than {LARGEST_JSON} bytes")
            body = json.loads(path.read_text(encoding="utf-8"))
            if body["format"] != FORMAT:
                raise ValueError(f"format {body['format']!r} is not {FORMAT}")
            arrays = load_file(path.with_suffix(".safetensors"))
            router, familiarity, shared, need, paid_need, costs = (
                unpacked(body[name], _under(f"{name}/", arrays), Familiarity, NeedRule) for name in PARTS
            )
            odds = Odds(**{key: float(value) for key, value in body["odds"].items()})
            origin = MixtureOrigin(**body["origin"])
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}: not a stored mixture: {error!s}") from error
        count = len(router.experts) if isinstance(router, FittedRouter) else -1
        rules = isinstance(need, NeedRule | None) and isinstance(paid_need, NeedRule | None)
        if not isinstance(familiarity, Familiarity) or not rules or count < 0:
            raise ValueError(f"{path}: not a stored mixture: a part is of another kind")
        if not isinstance(shared, np.ndarray) or shared.shape != (count, count):
            raise ValueError(f"{path}: not a stored mixture: shared must be [experts, experts]")
        if costs is not None and (not isinstance(costs, np.ndarray) or costs.shape != (count,)):
            raise ValueError(f"{path}: not a stored mixture: costs must be [experts]")
        return cls(origin, router, odds, shared, familiarity, need, paid_need, costs)


def _under(prefix: str, arrays: dict[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

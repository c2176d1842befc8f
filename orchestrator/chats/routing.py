"""The service's router: fitted on the newest correctness table and on feedback, fitted anew when either changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.question import Question
from agents.reply import Reply
from agents.votes import Odds
from orchestrator.chats.protocols import Zoo
from orchestrator.errors import BadInput, NotReady
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.costs import fit_router
from orchestrator.evaluation.profile import Profiled, Replies
from orchestrator.evaluation.route import FittingRequest, fitted, last_table, read_table
from orchestrator.evaluation.voting import held_out_odds
from router.embedding import Features
from router.familiarity import Familiarity
from router.feedback import Feedback, FeedbackLog
from router.ranking import Evidence, Ranking
from router.routers import FittedRouter
from router.table import Table

if TYPE_CHECKING:
    from orchestrator.database import Database

LOOK = 2.0
"""Seconds between looks for a newer table."""


class Routing:
    """Ranks experts for questions. One instance a process; safe for many coroutines of one loop."""

    def __init__(self, collegium: Zoo, database: Database | None = None) -> None:
        """`database`: where verdicts are kept if the configuration names one; else they are in the state folder."""
        self._collegium = collegium
        log = FeedbackLog(collegium.state / "feedback.jsonl")
        self._log: Feedback = _feedback_table(database, log) if database and collegium.config.database else log
        self._router: CurrentRouter | None = None
        self._profiled: Profiled | None = None
        self._stamp: tuple[str, int, int, str] | None = None
        """Table, its time, size of the feedback, router: what the router was fitted on."""
        self._looked = 0.0
        self._fitting = asyncio.Lock()

    async def rank(self, questions: list[str], before: list[str] | None = None) -> list[Ranking]:
        """One ranking per question; `before`: the conversation before each. A question that is unlike all of the
        profile goes to the default expert first. Raises `NotReady` while there is no correctness table, `BadInput` for
        empty texts."""
        fitted_router = await self._current()
        default = self._collegium.config.service.default or fitted_router.best

        def work() -> list[Ranking]:
            try:
                features = self._collegium.embedder.asked(questions, before or [""] * len(questions))
            except ValueError as error:
                raise BadInput(str(error)) from error
            return fitted_router.rank(features, default)

        return await asyncio.to_thread(work)

    async def odds(self, recruited: int) -> Odds:
        """What counts for how much in the vote of so many recruited experts: fitted once per profile."""
        current = await self._current()
        async with self._fitting:
            if recruited not in current.odds:
                current.odds[recruited] = await asyncio.to_thread(current.fit_odds, recruited)
            return current.odds[recruited]

    async def profiled(self) -> Profiled:
        """What methods are fitted on. Raises `NotReady` where the profile lacks an expert of the zoo."""
        await self._current()
        if self._profiled is None:
            raise NotReady("the profile does not know every expert of the zoo: profile it anew")
        return self._profiled

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        """Note a verdict; its version. Raises `BadInput` for an expert that the zoo does not have."""
        if expert not in self._collegium.experts:
            raise BadInput(f"expert: no expert {expert!r} in the zoo")
        async with self._fitting:
            version = await asyncio.to_thread(self._log.add, question, expert, score, skills)
        self._looked = 0.0
        return version

    async def _current(self) -> CurrentRouter:
        if self._router is not None and time.monotonic() - self._looked < LOOK:
            return self._router
        async with self._fitting:
            if self._router is None or time.monotonic() - self._looked >= LOOK:
                await asyncio.to_thread(self._refresh)
                self._looked = time.monotonic()
            assert self._router is not None
            return self._router

    def _refresh(self) -> None:
        config = self._collegium.config
        try:
            path = Path(config.service.profile).expanduser() if config.service.profile else last_table(config)
        except BadInput as error:
            raise NotReady(
                "there is no profile of the experts yet: submit a job for the pipeline profile, or run `profile`"
            ) from error
        feedback = self._log.stamp()
        stamp = (str(path), path.stat().st_mtime_ns, feedback, config.service.router)
        if stamp == self._stamp:
            return
        table = read_table(path)
        known = [name for name in self._collegium.experts if name in table.experts]
        if not known:
            raise NotReady(f"the profile knows none of the zoo's experts, it has {', '.join(table.experts)}")
        whole = len(known) == len(self._collegium.experts)
        self._profiled = Profiled(table.select_experts(known), _replies(table, known)) if whole else None
        table = self._log.apply(table) if feedback else table
        wanted = FittingRequest(router=config.service.router)
        names = list(self._collegium.experts)
        router, features = fitted(table, names, wanted, self._collegium.embedder)
        self._router = CurrentRouter(router, table.select_experts(known).add_experts(names), features, wanted)
        self._stamp = stamp


def _feedback_table(database: Database, log: FeedbackLog) -> Feedback:
    from orchestrator.chats.feedback_table import FeedbackTable

    return FeedbackTable(database, log)


class CurrentRouter:
    """A router with what it was fitted on: which questions are like those, and how experts' votes are weighed."""

    def __init__(self, router: FittedRouter, table: Table, features: Features, request: FittingRequest) -> None:
        self.odds: dict[int, Odds] = {}
        """Recruited experts -> the odds of their vote, as far as they were asked for."""
        self._router = router
        self._table = table
        self._features = features
        self._request = request
        self._familiarity = Familiarity.fit(table.questions, features)

    @property
    def best(self) -> str:
        """The expert that was best over the whole profile."""
        return self._router.experts[int(self._router.prior.mean.argmax())]

    def rank(self, questions: Features, default: str) -> list[Ranking]:
        """One ranking per question; for one that is unlike all fitted ones, `default` stands first."""
        nearest = self._familiarity.nearest(questions)
        found = []
        for ranking, cosine in zip(self._router.rank(questions), nearest.tolist(), strict=True):
            if cosine < self._familiarity.threshold:
                reason = (
                    f"unlike every profiled question (nearest {cosine:.2f}, below {self._familiarity.threshold:.2f})"
                )
                first = [entry for entry in ranking.entries if entry.expert == default]
                rest = [entry for entry in ranking.entries if entry.expert != default]
                ranking = Ranking((*first, *rest), (Evidence("default", reason, cosine, default), *ranking.evidence))
            found.append(ranking)
        return found

    def fit_odds(self, recruited: int) -> Odds:
        """As a run's mixture fits them."""
        request = self._request

        def fit(part: Table, features: Features) -> FittedRouter:
            return fit_router(request.router, part, features, request, request.seed)

        return held_out_odds(self._table, self._features, fit, recruited, request.seed)


def _replies(table: Table, names: Sequence[str]) -> Replies:
    found = {}
    for row in table.rows:
        question = Question(
            id=row.id,
            task=row.task or "open",
            question=row.question,
            kind=row.extra.get("kind", "open"),
            choices=row.extra.get("choices"),
            answer=row.answer,
            skills=row.skills,
        )
        for name in names:
            reply = Reply("", "", row.predictions.get(name), None)
            found[row.id, name] = ExpertReply(question, name, reply, row.correct.get(name, 0.0) >= 0.5, None)
    return found


def ranking_json(ranking: Ranking, limit: int = 64) -> dict[str, Any]:
    """A ranking with its reasons, for JSON."""
    return {
        "ranking": [
            {
                "expert": entry.expert,
                "score": entry.score,
                "probability": entry.probability,
                "terms": dict(entry.terms),
                "note": entry.note,
            }
            for entry in ranking.entries[:limit]
        ],
        "evidence": [
            {"kind": one.kind, "label": one.label[:200], "weight": one.weight, "source": one.source}
            for one in ranking.evidence[:16]
        ],
    }

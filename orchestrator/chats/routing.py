"""The service's mixture: fitted on the newest correctness table and on feedback, in the background, never in a request.

A mixture that is ready stays in use until the next one is, and is exchanged at once for all requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.question import Question
from agents.reply import Reply
from orchestrator.chats.conversation_experts import ConversationExperts
from orchestrator.chats.protocols import Zoo
from orchestrator.errors import BadInput, CollegiumError, NotReady, SetupError
from orchestrator.evaluation.answering import ExpertReply
from orchestrator.evaluation.discussing import DiscussionOptions, fit_panel, panel_key
from orchestrator.evaluation.mixture.default_expert import default_expert
from orchestrator.evaluation.mixture.fit import for_experts
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.store import MixtureStore
from orchestrator.evaluation.profile import Profiled, Replies
from orchestrator.evaluation.route import last_table, read_table
from router.embedding import EmbedderFailed
from router.feedback import Feedback, FeedbackLog
from router.ranking import Ranking
from router.table import Table

if TYPE_CHECKING:
    from orchestrator.database import Database

LOOK = 2.0
"""Seconds between looks for a newer table."""
FIRST = 5.0
"""Seconds that a request waits at most for a mixture where there is none yet: the profile may be of this moment."""
REST = 4.0
"""Rest after fitting, in times of what it took: however fast feedback comes, fitting takes a fifth of the time."""
NO_PROFILE = "there is no profile of the experts yet: submit a job for the pipeline profile, or run `profile`"
FITTING = "the mixture is being fitted on its profile: try again in some seconds"
LACKS = "the profile does not know every expert of the zoo: profile it anew"
_log = logging.getLogger("collegium")


@dataclass(frozen=True)
class CurrentMixture:
    """What requests are answered with until the next one is ready."""

    fitted: FittedMixture
    profiled: Profiled | None
    """The profile without feedback; None where it lacks an expert of the zoo."""
    stamp: tuple[str, int, int, str]
    """Table, its time, size of the feedback, router."""


class Routing:
    """Ranks experts for questions. One instance a process; safe for many coroutines of one loop."""

    def __init__(self, collegium: Zoo, database: Database | None = None, *, warm: bool = False) -> None:
        """`database`: where verdicts are kept if the configuration names one; else they are in the state folder.
        `warm`: fit what discussions of all experts take from a profile, too, before it is used."""
        self._collegium = collegium
        self.conversations = ConversationExperts()
        self._warm = warm
        log = FeedbackLog(collegium.state / "feedback.jsonl")
        self._log: Feedback = _feedback_table(database, log) if database and collegium.config.database else log
        self._store = MixtureStore.of_state(collegium.state)
        self._current: CurrentMixture | None = None
        self._why_not: CollegiumError = NotReady(FITTING)
        self._looking = threading.Lock()
        self._last_look: float | None = None
        self._changed = asyncio.Event()
        self._looked = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        # One thread: the encoder's own threads belong to whichever thread calls it, and are slow to start.
        self._ranking = ThreadPoolExecutor(1, thread_name_prefix="routing")

    def open(self) -> None:
        """Follow profile and feedback from now on. Needs a running loop."""
        self._following = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following them."""
        if self._following is not None:
            self._following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._following
            self._following = None
        self._ranking.shutdown(wait=False)

    async def looked(self) -> None:
        """Wait until the first look for a profile is over, so that a mixture is ready where one can be."""
        await self._looked.wait()

    def why_not(self, *, whole: bool = False) -> str | None:
        """See `ServiceRouting`."""
        if self._current is None:
            return str(self._why_not)
        return LACKS if whole and self._current.profiled is None else None

    async def mixture(self) -> FittedMixture:
        """The newest mixture that is ready; where there is none, the profile is looked for once more, for `FIRST`
        seconds at most. Where nobody follows the profile (`open`), it is looked for and fitted now. Raises `NotReady`
        while there is none, saying why."""
        if self._following is None:
            await asyncio.to_thread(self._look)
        elif self._current is None:
            self._looked.clear()
            self._changed.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIRST):
                    await self._looked.wait()
        if self._current is None:
            raise self._why_not
        return self._current.fitted

    async def rank(
        self, questions: list[str], before: list[str] | None = None, mixture: FittedMixture | None = None
    ) -> list[Ranking]:
        """One ranking per question; `before`: the conversation before each; `mixture`: that which ranks (default: the
        newest). A question that is unlike all of the profile is ranked by the conversation before it, and where that is
        unlike it, too, goes to the default expert first. Raises `NotReady` while there is no mixture, `BadInput` for
        empty texts."""
        fitted = mixture or await self.mixture()
        default = default_expert(fitted, self._collegium.experts, self._collegium.config.service.default)
        before = before or [""] * len(questions)

        def work() -> list[Ranking]:
            try:
                alone, within = self._collegium.embedder.asked_within(questions, before)
            except EmbedderFailed as error:
                raise SetupError(f"embedding: {error}") from error
            except ValueError as error:
                raise BadInput(str(error)) from error
            return fitted.rank(within, default, alone)

        return await asyncio.get_running_loop().run_in_executor(self._ranking, work)

    async def profiled(self) -> Profiled:
        """What methods are fitted on. Raises `NotReady` where the profile lacks an expert of the zoo."""
        await self.mixture()
        if self._current is None or self._current.profiled is None:
            raise NotReady(LACKS)
        return self._current.profiled

    async def learn(self, question: str, expert: str, score: float, skills: list[str]) -> int:
        """Note a verdict; its version. The mixture learns from it in the background. Raises `BadInput` for an expert
        that the zoo does not have."""
        if expert not in self._collegium.experts:
            raise BadInput(f"expert: no expert {expert!r} in the zoo")
        version = await asyncio.to_thread(self._log.add, question, expert, score, skills)
        self._last_look = None
        self._changed.set()
        return version

    async def _follow(self) -> None:
        while True:
            self._changed.clear()
            begun = time.monotonic()
            await asyncio.to_thread(self._look, 0.0)
            self._looked.set()
            await asyncio.sleep(REST * (time.monotonic() - begun))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK):
                    await self._changed.wait()

    def _look(self, every: float = LOOK) -> None:
        with self._looking:
            if self._last_look is not None and time.monotonic() - self._last_look < every:
                return
            try:
                self._current = self._newest(self._current)
            except CollegiumError as error:
                self._failed(error)
            except Exception as error:
                _log.exception("the mixture cannot be fitted")
                self._failed(NotReady(f"the mixture cannot be fitted: {type(error).__name__}; the log says more"))
            self._last_look = time.monotonic()

    def _failed(self, error: CollegiumError) -> None:
        if self._current is not None and str(error) != str(self._why_not):
            _log.error("the mixture of before stays in use: %s", error)
        self._why_not = error if isinstance(error, NotReady) else NotReady(str(error))

    def _newest(self, current: CurrentMixture | None) -> CurrentMixture:
        """The mixture of the newest profile and feedback; `current` where nothing has changed. Slow."""
        config = self._collegium.config
        try:
            path = Path(config.service.profile).expanduser() if config.service.profile else last_table(config)
            changed = path.stat().st_mtime_ns
        except (BadInput, OSError) as error:
            raise NotReady(NO_PROFILE) from error
        feedback = self._log.stamp()
        stamp = (str(path), changed, feedback, config.service.router)
        if current is not None and current.stamp == stamp:
            return current
        if current is None:
            self._why_not = NotReady(FITTING)
        table = read_table(path)
        known = [name for name in self._collegium.experts if name in table.experts]
        if not known:
            raise NotReady(f"the profile knows none of the zoo's experts, it has {', '.join(table.experts)}")
        whole = len(known) == len(self._collegium.experts)
        if current is not None and current.stamp[:2] == stamp[:2]:
            profiled = current.profiled  # with what was fitted on it
        else:
            profiled = Profiled(table.select_experts(known), _replies(table, known)) if whole else None
        if profiled is not None and self._warm:
            panel, kind = list(self._collegium.experts), DiscussionOptions().confidence
            profiled.fits.now(panel_key(panel, kind), lambda: fit_panel(profiled.replies, panel, kind))
        table = for_experts(self._log.apply(table) if feedback else table, list(self._collegium.experts))
        options = FittingOptions(router=config.service.router, spend=config.service.spend)
        return CurrentMixture(self._store.fitted(table, options, self._collegium.embedder), profiled, stamp)


def _feedback_table(database: Database, log: FeedbackLog) -> Feedback:
    from orchestrator.chats.feedback_table import FeedbackTable

    return FeedbackTable(database, log)


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
        stated = row.extra.get("confidence")
        for name in names:
            sure = stated.get(name) if isinstance(stated, dict) else None
            sure = float(sure) if isinstance(sure, int | float) and 0 <= sure <= 1 else None
            reply = Reply("", "", row.predictions.get(name), sure)
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

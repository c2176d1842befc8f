"""The best single expert: what every other method has to beat."""

from __future__ import annotations

from orchestrator.evaluation.methods.method import MethodOutcome, Setting, alone
from router.routers import BestRouter


async def best(setting: Setting) -> list[MethodOutcome]:
    """The one expert that was best on the validation split."""
    router = BestRouter.fit(setting.fitted_on, setting.context.embedder.features(setting.fitted_on.questions))
    ranking = router.rank(setting.context.embedder.features([setting.questions[0].question]))[0]
    expert = setting.experts[ranking.experts[0]]
    replies = await setting.ask([(question, expert) for question in setting.questions])
    answers = tuple(alone(replies[question.id, expert.name]) for question in setting.questions)
    return [MethodOutcome("best", answers, f"{expert.name}, the best on the validation split")]

"""The best single expert: what every other method has to beat."""

from __future__ import annotations

from orchestrator.evaluation.methods.fallback import ask_down, fallback_note
from orchestrator.evaluation.methods.method import MethodOutcome, Setting, alone
from router.routers import BestRouter


async def best(setting: Setting) -> list[MethodOutcome]:
    """The one expert that was best on the validation split; where it fails, the next best."""
    router = BestRouter.fit(setting.fitted_on, setting.context.embedder.features(setting.fitted_on.questions))
    ranking = router.rank(setting.context.embedder.features([setting.questions[0].question]))[0]
    replies = await ask_down(setting, [(question, ranking.experts) for question in setting.questions], 1)
    answers = tuple(alone(*replies[question.id]) for question in setting.questions)
    note = f"{ranking.experts[0]}, the best on the validation split{fallback_note(replies)}"
    return [MethodOutcome("best", answers, note)]

"""The mixture, fitted once per profile: those whose skills fit answer, and vote by how likely each is right."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.question import Question
from agents.votes import options_of
from orchestrator.evaluation.answering import ExpertReply, answer, judge
from orchestrator.evaluation.methods.fallback import fallback_note
from orchestrator.evaluation.methods.method import Answer, MethodOutcome, Setting
from orchestrator.evaluation.mixture.deciding import MAX_FALLBACKS, Decision, MixtureReply, RecruitTarget, decide
from orchestrator.evaluation.mixture.default_expert import default_expert
from orchestrator.evaluation.mixture.fit import for_experts
from orchestrator.evaluation.mixture.fitted import FittedMixture
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.mixture.store import MixtureStore
from orchestrator.evaluation.report.data import RankedExpert
from router.ranking import Ranking
from router.routers import DEFAULT, PricedRouter

NAMES = {"neighbour": "nearest", "skill": "skills"}
"""Of the kinds of evidence, as a reader sees them."""
LISTED = 3


async def mixture(setting: Setting) -> list[MethodOutcome]:
    """The mixture of this profile (`evaluation.mixture`), which is also the service's: the router picks `recruit`
    experts per question (default: one), or as many as each question needs (`calls`); several vote by the log-odds of
    being right. Questions go side by side."""
    options = setting.options
    fitted = await asyncio.to_thread(mixture_of, setting)
    rankings = await asyncio.to_thread(_ranked, setting, fitted)
    spend = options.spend if options.recruit is None and options.calls is None else None
    target = RecruitTarget(min(options.recruit or 1, len(setting.experts)), options.calls, spend)
    decided = await asyncio.gather(
        *(
            put_to(setting, fitted, question, ranking, target)
            for question, ranking in zip(setting.questions, rankings, strict=True)
        )
    )
    answers, replies = [], {}
    for (decision, used), question, ranking in zip(decided, setting.questions, rankings, strict=True):
        verdict = decision.verdict
        right, unscored = judge(question, verdict.answer)
        answer = Answer(question, verdict.answer, right, used, ranked(ranking), verdict.share, unscored=unscored)
        answers.append(answer)
        replies[question.id] = used
    used_experts = len({one.expert for used in replies.values() for one in used if one.error is None})
    by = "stacked routers" if options.router == DEFAULT else f"{options.router} router"
    asked = sum(len(decision.asked) for decision, _ in decided) / len(decided)
    how = f"{target.recruit} of {len(setting.experts)} experts per question"
    if target.by_need:
        wanted = f"{target.calls:g} wanted" if target.spend is None else f"a cost of {target.spend:g}"
        how = f"{asked:.2f} of {len(setting.experts)} experts per question by need (at most {wanted})"
    note = f"{by}, {how}; {used_experts} were used"
    if isinstance(fitted.router, PricedRouter):
        note += f"; quality {fitted.router.quality:.2f}"
    return [MethodOutcome("mixture", tuple(answers), note + fallback_note(replies))]


def mixture_of(setting: Setting) -> FittedMixture:
    """The mixture of this setting's profile, router and costs, stored or fitted now. Blocks."""
    options = FittingOptions(router=setting.options.router, **setting.options.cost.model_dump())
    table = for_experts(setting.fitted_on, list(setting.experts))
    return MixtureStore.of_state(setting.context.config.state).fitted(table, options, setting.context.embedder)


def _ranked(setting: Setting, fitted: FittedMixture) -> list[Ranking]:
    asked = [question.question for question in setting.questions]
    features = setting.context.embedder.asked(asked, [""] * len(asked))
    return fitted.rank(features, default_expert(fitted, setting.experts, setting.context.config.service.default))


async def put_to(
    setting: Setting,
    fitted: FittedMixture,
    question: Question,
    ranking: Ranking,
    target: RecruitTarget,
    order: Sequence[str] | None = None,
    fallbacks: int = MAX_FALLBACKS,
) -> tuple[Decision, tuple[ExpertReply, ...]]:
    """One question through the mixture: the decision, and every reply in the order of asking. `order`, `fallbacks`:
    as in `decide`."""
    used: dict[str, ExpertReply] = {}

    async def ask(name: str) -> MixtureReply:
        expert = setting.experts[name]
        reply = await answer(setting.context.pool, expert, question, setting.sampling, setting.seed)
        setting.context.done()
        used[name] = reply
        return MixtureReply(reply.reply.answer, reply.error is not None)

    decision = await decide(
        fitted, ranking, ask, target, options=options_of(question), order=order, fallbacks=fallbacks
    )
    return decision, tuple(used[name] for name in decision.asked)


def ranked(ranking: Ranking) -> tuple[RankedExpert, ...]:
    """A ranking as reports show it; the first line says what it rests on."""
    return tuple(
        RankedExpert(expert=entry.expert, score=entry.probability, reason=_reason(ranking) if place == 0 else "")
        for place, entry in enumerate(ranking.entries)
    )


def _reason(ranking: Ranking) -> str:
    kinds: dict[str, list[str]] = {}
    for one in ranking.evidence:
        kinds.setdefault(one.kind, []).append(one.label)
    return "; ".join(f"{NAMES.get(kind, kind)}: {', '.join(labels[:LISTED])}" for kind, labels in kinds.items())

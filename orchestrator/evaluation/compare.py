"""Does talking pay? Discussions beside every baseline that they must beat, on the same questions, at the same cost.

What makes such a comparison credible (see docs/discussions.md): each model alone, the votes of the same first replies,
self-consistency of the best model at as many calls, tokens and dollars, self-refine, a team of one model, accuracy by
round, several seeds, paired intervals. The cost is estimated, and kept below a budget, before anything is asked.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agents.prompts import solve
from agents.question import Question
from agents.transcript import Transcript
from orchestrator.config import Config
from orchestrator.errors import BadInput
from orchestrator.evaluation.answer import Findings, RunRequest, RunResult, answer, methods_named, report_of
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.equal_cost import MAX_SAMPLES, cost_points, samples_for
from orchestrator.evaluation.judging import TOKENS as VERDICT_TOKENS
from orchestrator.evaluation.judging import judged_methods, judging_of
from orchestrator.evaluation.methods import METHODS, Answer
from orchestrator.evaluation.profile import chosen, questions_of
from orchestrator.inference.expert import Expert

SEEDS = 3
FEWEST_QUESTIONS = 8
CHARACTERS_A_TOKEN = 4.0
REPLY_SHARE, SHORT_SHARE = 0.5, 0.1
"""Of the longest reply allowed, that a reply is taken to have at most in an estimate, and at least."""


@dataclass(frozen=True)
class TokenEstimate:
    """What a comparison is expected to cost at most, all seeds together, nothing taken from the ledger."""

    questions: int
    """A seed; fewer than asked for where the budget does not allow more."""
    seeds: int
    calls: int
    tokens: int
    min_tokens: int
    """Where all agents agree at once and write short replies."""

    def __str__(self) -> str:
        return (
            f"{_rounded(self.min_tokens)} to {_rounded(self.tokens)} tokens, at most {self.calls:,} calls: "
            f"{self.seeds} seeds, {self.questions:,} test questions each. Near the lower figure where agents agree "
            "early and write short replies; less where the ledger knows replies"
        )


def _rounded(tokens: int) -> str:
    """To two figures: it is an estimate."""
    return f"{float(f'{tokens:.2g}'):,.0f}"


def estimate(request: RunRequest, config: Config, experts: Mapping[str, Expert]) -> TokenEstimate:
    """Before any model is loaded. With a budget, for as many questions as it allows.

    Raises:
        BadInput: the budget does not suffice for `FEWEST_QUESTIONS`; unknown experts or tasks.
    """
    asked = chosen(experts, request.experts)
    seed = config.seed if request.seed is None else request.seed
    first, golds = min(request.questions, 50), not request.judge
    sample = questions_of(request.task, request.split, first, seed, request.columns, request.score, golds=golds)
    panel = len(request.panel or asked)
    named = methods_named(request.methods, config)
    calls, tokens = _of_one(request, sample, len(asked), panel, sum(method.confers for method in named))
    verdicts = 2 * len(request.judge) * (len(named) + sum(method.baseline for method in METHODS))
    calls, tokens = calls + verdicts, tokens + verdicts * (_prompt(sample) + request.max_tokens + VERDICT_TOKENS)
    # The panel and a team of one model learn what talking is worth on validation questions.
    talked = 2 * min(request.talk_questions, request.fit_questions) * panel * request.rounds * request.improved
    fit = request.fit_questions * len(asked) + talked
    reply = request.max_tokens * REPLY_SHARE
    fit_tokens = fit * (_prompt(sample) + reply) + talked * _others(request, panel)
    questions = request.questions
    if request.budget is not None:
        questions = min(questions, int((request.budget / SEEDS - fit_tokens) / tokens))
        if questions < min(FEWEST_QUESTIONS, request.questions):
            min_tokens = SEEDS * (fit_tokens + FEWEST_QUESTIONS * tokens)
            raise BadInput(
                f"--budget: {request.budget:,} tokens do not suffice: {FEWEST_QUESTIONS} test questions with "
                f"{SEEDS} seeds take about {min_tokens:,.0f}; ask for fewer --fit-questions, --rounds, a "
                f"smaller --panel"
            )
    short = _prompt(sample) + request.max_tokens * SHORT_SHARE
    return TokenEstimate(
        questions,
        SEEDS,
        SEEDS * (fit + questions * calls),
        math.ceil(SEEDS * (fit_tokens + questions * tokens)),
        math.ceil(SEEDS * short * (fit + questions * (len(asked) + panel))),
    )


async def compare(request: RunRequest, context: Context) -> RunResult:
    """Run the request's discussions and all baselines with three seeds, and report them together."""
    first = context.seed(request.seed)
    questions = estimate(request, context.config, context.experts).questions
    named = methods_named(request.methods, context.config)
    one = questions_of(request.task, request.split, 1, first, request.columns, request.score, golds=not request.judge)
    chats = one[0].answer is None  # nothing can be fitted on them
    talking = [method.name for method in named if method.confers] or ["reconcile"]
    baselines = [method.name for method in METHODS if method.baseline and not (chats and method.profile == "required")]
    others = [method.name for method in named if not method.sampled]
    (sampling,) = (method.name for method in METHODS if method.sampled)
    methods = list(dict.fromkeys([*baselines, *talking, *others]))
    context = context.only(chosen(context.experts, request.experts))
    judging = judging_of(request, methods, context.experts)
    results, samples = [], 0
    for seed in range(first, first + SEEDS):
        asking = request.model_copy(update={"methods": methods, "questions": questions, "seed": seed})
        result = await answer(asking, context, judges=False)
        # As many samples as cost what the dearest discussion costs; the first seed decides for all.
        samples = samples or samples_for(result.outcomes, context.experts)
        sampled = asking.model_copy(update={"methods": [sampling], "samples": samples})
        more = await answer(sampled, context, judges=False)
        points = cost_points(result.outcomes, more.outcomes[0], context.experts)
        results.append(dataclasses.replace(result, outcomes=(*result.outcomes, *points)))
    together = _together(request, context, first, results)
    if judging is None:
        return together
    judged = await judged_methods(context.pool, judging, together.outcomes, first)
    return dataclasses.replace(together, report=together.report.model_copy(update={"judged": judged}))


def _together(request: RunRequest, context: Context, first: int, results: Sequence[RunResult]) -> RunResult:
    """All seeds as one result. A question that two seeds drew counts once."""
    names = [outcome.name for outcome in results[0].outcomes]
    names = [name for name in names if all(any(o.name == name for o in result.outcomes) for result in results)]
    outcomes, questions = [], dict[str, Question]()
    for name in names:
        parts = [next(outcome for outcome in result.outcomes if outcome.name == name) for result in results]
        taken: set[str] = set()
        answers: list[Answer] = []
        held: list[Transcript] = []
        for part in parts:
            for place, one in enumerate(part.answers):
                if one.question.id in taken:
                    continue
                taken.add(one.question.id)
                questions.setdefault(one.question.id, one.question)
                answers.append(one)
                held += part.transcripts[place : place + 1]
        rates = ", ".join(f"{100 * sum(a.right for a in part.answers) / len(part.answers):.1f}" for part in parts)
        unknown = parts[0].role == "expert" or all(one.question.answer is None for one in answers)
        note = parts[0].note if unknown else f"{parts[0].note}; by seed {rates}"
        outcomes.append(dataclasses.replace(parts[0], answers=tuple(answers), note=note, transcripts=tuple(held)))
    replies = {key: one for result in results for key, one in result.replies.items()}
    found = results[0].profile
    if found is not None:
        validation = {key: one for r in results if r.profile for key, one in r.profile.replies.items()}
        found = dataclasses.replace(found, replies=validation)
    seeds = f"{first} to {first + len(results) - 1}"
    report = report_of(request, context, Findings(first, list(questions.values()), outcomes, replies, found))
    manifest = {**report.manifest, "seeds": seeds}
    return RunResult(report.model_copy(update={"manifest": manifest}), tuple(outcomes), replies, found)


def _prompt(questions: Sequence[Question]) -> float:
    """Tokens of a first prompt, on average."""
    characters = [len(message["content"]) for question in questions for message in solve(question)]
    return sum(characters) / len(characters) / CHARACTERS_A_TOKEN + 10


def _others(request: RunRequest, panel: int) -> float:
    """Tokens of what others said, in a later prompt."""
    limits = request.limits
    return min(panel, limits.groups * limits.per_group) * (limits.explanation / CHARACTERS_A_TOKEN + 15)


def _of_one(
    request: RunRequest, questions: Sequence[Question], experts: int, panel: int, talking: int
) -> tuple[int, float]:
    """(calls, tokens) at most for one test question: first replies once, all rounds of all discussions, samples."""
    prompt, reply = _prompt(questions), request.max_tokens * REPLY_SHARE
    later = prompt + _others(request, panel)
    rounds = (2 + talking) * panel * request.rounds
    samples = min(MAX_SAMPLES, panel * (1 + request.rounds) * 2)
    refine = 2 * request.rounds
    calls = experts + rounds + samples + refine
    return calls, experts * (prompt + reply) + (rounds + refine) * (later + reply) + samples * (prompt + reply)

"""Fusion: a panel answers an open question, a judge compares, a synthesiser writes (`agents.discussions.fusion`).

The panel is what the configuration names, else the experts that were best on the fit split; without a profile, the
first of the zoo.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial

from agents.agent import Agent
from agents.conversation import Discussion
from agents.discussions import SchemeOptions, build
from orchestrator.errors import BadInput, StreamBroken
from orchestrator.evaluation.discussing import agent_of
from orchestrator.evaluation.methods.discussion import Seating, confer, rate
from orchestrator.evaluation.methods.method import Method, MethodOutcome, Setting
from orchestrator.fusion_config import FusionConfig
from orchestrator.inference.engines.tools import parse_calls
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import Sampling

FUSION = "fusion"
PANEL: Mapping[str, int] = {"budget": 2, "quality": 5}
"""Members of the panel, by preset."""
JUDGE_TOKENS = 1024
"""Of a judge's analysis: what the schema admits at most fits into it in most languages."""


def fusion_methods(configured: Mapping[str, FusionConfig]) -> tuple[Method, ...]:
    """`fusion`, and one method for each fusion of the configuration (one of that name replaces it)."""
    plans = {FUSION: FusionConfig(), **configured}
    return tuple(
        Method(name, partial(fuse, name=name, plan=plan), "optional", confers=True, takes_tools=True, writes=True)
        for name, plan in plans.items()
    )


async def fuse(setting: Setting, *, name: str = FUSION, plan: FusionConfig) -> list[MethodOutcome]:
    """One fused answer per question. Raises `BadInput` for an expert that is not among those asked."""
    preset = setting.options.preset or plan.preset
    panel = members(setting, plan)
    judge = None if preset == "budget" and plan.judge is None else setting.options.lead or plan.judge or panel[0]
    writers = list(dict.fromkeys([*plan.synthesisers, setting.options.lead or panel[0], panel[0]]))
    for expert in [*panel, *([judge] if judge else []), *writers]:
        if expert not in setting.experts:
            raise BadInput(f"{name}: no expert {expert!r} among those asked: {', '.join(setting.experts)}")
    names = setting.tools

    def made(setting: Setting, lead: Agent) -> Discussion:
        scheme = SchemeOptions(
            judge=_judge(setting, setting.experts[judge]) if judge else None,
            synthesisers=tuple(_writer(setting, setting.experts[one]) for one in writers),
            cite=plan.cite and setting.structured is None,
            must_write=setting.structured is not None,
            improved=setting.options.improved,
            calls_tools=lambda text: bool(names) and bool(parse_calls(text, names)[1]),
        )
        return build(FUSION, scheme)

    # Whole replies are compared, so that meanings need no grouping by similarity.
    options = setting.options.model_copy(update={"panel": panel, "lead": panel[0], "confidence": "stated"})
    chosen = dataclasses.replace(setting, options=options)
    return [await confer(chosen, name, Seating(), made, groups=False)]


def _judge(setting: Setting, expert: Expert) -> Agent:
    sampling = Sampling(max_tokens=min(JUDGE_TOKENS, expert.context))
    return agent_of(setting.context.pool, expert, sampling)


def _writer(setting: Setting, expert: Expert) -> Agent:
    """Whoever writes may stream. A reply that breaks off after a part was shown cannot be followed by another's."""
    sampling = dataclasses.replace(setting.sampling, structured=setting.structured, tools=None)
    agent = agent_of(setting.context.pool, expert, sampling, streaming=setting.stream)
    return dataclasses.replace(agent, fatal=(*agent.fatal, StreamBroken)) if setting.stream else agent


def members(setting: Setting, plan: FusionConfig) -> list[str]:
    """The panel: as the request or the configuration names it; else, of all that are asked, the best on the fit split,
    for `budget` the cheapest of them first."""
    if named := setting.options.panel or plan.panel:
        return list(named)
    preset = setting.options.preset or plan.preset
    rates = {expert: rate(setting, expert) for expert in setting.experts} if setting.profile else {}
    order = list(setting.preferred) or sorted(setting.experts, key=lambda expert: -rates.get(expert, 0.0))
    if preset == "budget":
        order = sorted(order, key=lambda expert: _price(setting.experts[expert]))
    return order[: plan.size or PANEL[preset]]


def _price(expert: Expert) -> float:
    """US dollars per million tokens of prompt and reply; a local expert costs nothing, an unknown price is high."""
    if expert.prices is None:
        return float("inf") if expert.remote else 0.0
    return expert.prices.input + expert.prices.output

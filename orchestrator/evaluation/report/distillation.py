"""The report's section on a distillation: from its records to the page."""

from __future__ import annotations

from typing import Any

from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.distilled import ArmResult, GraphPicture, RoundResult
from orchestrator.evaluation.report.formats import clipped

COLUMN, LINE, LEFT, TOP = 120, 26, 130, 24

View = dict[str, Any]


def distillation(report: RunReport) -> View | None:
    """What the section's template and chart see."""
    found = report.distillation
    if found is None:
        return None
    rounds = sorted({one.round for one in found.rounds})
    by_agent: dict[str, dict[int, RoundResult]] = {}
    for one in found.rounds:
        by_agent.setdefault(one.agent, {})[one.round] = one
    return {
        "found": found,
        "rounds": rounds,
        "by_agent": by_agent,
        "persuasion": found.persuasion[:40],
        "pictures": [_drawing(picture) for picture in found.gallery],
        "chart": [_points(arm) for arm in found.arms],
    }


def _points(arm: ArmResult) -> View:
    points = [point.model_dump() for point in arm.curve]
    return {"arm": f"{arm.arm} (seed {arm.seed})", "points": points}


def _drawing(picture: GraphPicture) -> View:
    """Places for the picture: rounds are columns, agents are lines."""
    agents = {agent: line for line, agent in enumerate(dict.fromkeys(node.agent for node in picture.nodes))}
    at = [(LEFT + COLUMN * node.round, TOP + LINE * (agents[node.agent] + 1)) for node in picture.nodes]
    last = max(node.round for node in picture.nodes)
    return {
        "picture": picture,
        "question": clipped(picture.question, 600),
        "width": LEFT + COLUMN * last + 110,
        "height": TOP + LINE * (len(agents) + 1),
        "agents": [(agent, TOP + LINE * (line + 1)) for agent, line in agents.items()],
        "columns": [(number, LEFT + COLUMN * number) for number in range(last + 1)],
        "nodes": [(*place, node) for place, node in zip(at, picture.nodes, strict=True)],
        "lines": [(*at[a], *at[b]) for a, b in picture.edges],
    }

"""Ways to answer, one file a method or a family, in an explicit list: to add one, write its file and add a line."""

from __future__ import annotations

from orchestrator.evaluation.methods.best import best
from orchestrator.evaluation.methods.discussion import discussion_methods
from orchestrator.evaluation.methods.each import each
from orchestrator.evaluation.methods.fusion import fusion_methods
from orchestrator.evaluation.methods.method import (
    Answer,
    Method,
    MethodOptions,
    MethodOutcome,
    Setting,
)
from orchestrator.evaluation.methods.mixture import mixture
from orchestrator.evaluation.methods.skill_profile import skill_profile
from orchestrator.evaluation.methods.symbolic_moe import symbolic_moe

__all__ = ["METHODS", "Answer", "Method", "MethodOptions", "MethodOutcome", "Setting"]

METHODS: tuple[Method, ...] = (
    Method("each", each, "unused", answers_once=False, baseline=True),
    Method("best", best, "required", baseline=True, reference=True),
    Method("mixture", mixture, "required", headline=0, recruits=True),
    Method("symbolic-moe", symbolic_moe, "required", headline=1, recruits=True, prepare=skill_profile),
    *discussion_methods(),
    *fusion_methods({}),
)

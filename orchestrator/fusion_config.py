"""A fusion of one's own, as the configuration has it: a model id behind which a panel, a judge and a writer work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import Field, field_validator

from orchestrator.expert_config import StrictModel

Preset = Literal["budget", "quality"]


class FusionConfig(StrictModel):
    """A panel answers an open question in parallel, a judge compares the replies, a synthesiser writes one answer."""

    preset: Preset = Field(
        default="quality",
        description="quality: five members and a judge; budget: the two cheapest members and no separate judge.",
    )
    panel: list[str] = Field(
        default_factory=list, max_length=16, description="Members (default: the best on the profile, by the preset)."
    )
    size: int | None = Field(default=None, ge=1, le=16, description="Members where none are named.")
    judge: str | None = Field(default=None, description="Expert that compares (default: the first member).")
    synthesisers: list[str] = Field(
        default_factory=list,
        max_length=16,
        description="Experts that write the answer; the next one where one fails (default: the members).",
    )
    cite: bool = Field(default=True, description="Mark in the answer what comes from which member: [1].")
    tool_rounds: int = Field(
        default=4, ge=0, le=64, description="Rounds of tool calls per user turn; then the panel must answer."
    )

    @field_validator("panel")
    @classmethod
    def _distinct(cls, panel: list[str]) -> list[str]:
        if len(set(panel)) < len(panel):
            raise ValueError("an expert is named twice")
        return panel


def unknown_member(fusions: Mapping[str, FusionConfig], experts: Iterable[str]) -> str | None:
    """What is wrong, with its key, where a fusion names an expert that there is not, or has an expert's name."""
    known = set(experts)
    for name, plan in fusions.items():
        if name in known:
            return f"fusions.{name}: an expert has this name"
        named = {"panel": plan.panel, "judge": [plan.judge] if plan.judge else [], "synthesisers": plan.synthesisers}
        for key, names in named.items():
            for one in names:
                if one not in known:
                    return f"fusions.{name}.{key}: no expert {one!r} in the zoo"
    return None

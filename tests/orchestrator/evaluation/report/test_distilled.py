"""What a report shows of a distillation is written and read again as it was."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.evaluation.report.distilled import ArmResult, CurvePoint, Distillation, GraphNode, GraphPicture


def test_a_distillation_is_read_as_it_was_written() -> None:
    curve = [CurvePoint(step=1, tokens=9, next_token=2.5)]
    arm = ArmResult(arm="L1", seed=0, student="s", lessons=1, tokens=9, steps=1, epochs=1.0, seconds=0.5, curve=curve)
    nodes = [GraphNode(agent="a", round=0, answer="4", right=True, text="2 + 2 = 4")]
    picture = GraphPicture(id="q", task="t", question="2 + 2?", gold="4", nodes=nodes, edges=[])
    made = Distillation(transcripts=1, arms=[arm], gallery=[picture], left_out=[("no gold", 2, "q1, q2")])
    written = made.model_dump_json()
    assert Distillation.model_validate_json(written).model_dump_json() == written


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        CurvePoint(step=1, tokens=9, node=float("nan"))

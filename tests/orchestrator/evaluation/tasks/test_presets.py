"""Well-known data sets by short names."""

from __future__ import annotations

from orchestrator.evaluation.tasks.presets import PRESETS, SHORT


def test_presets_are_columns_and_short_names_lead_to_them() -> None:
    assert len(PRESETS) >= 30
    for name, preset in PRESETS.items():
        assert preset.columns.question, name
    assert set(SHORT.values()) <= set(PRESETS)

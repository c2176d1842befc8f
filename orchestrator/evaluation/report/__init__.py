"""What a run shows to people: one page and one terminal face over the same frozen records.

The pipelines fill a `RunReport` (data.py); `render` and `write` turn it into one self-contained HTML file
(page.py), and terminal.py into tables for rich. A new kind of chart is a further section: a view, a small
template and a small JavaScript function.
"""

from __future__ import annotations

from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.page import render, write

__all__ = ["RunReport", "render", "write"]

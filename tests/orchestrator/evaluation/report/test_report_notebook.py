"""What results look like in a notebook: a report is its page, shut off from the notebook's own."""

from __future__ import annotations

import html
import re

from orchestrator.evaluation.answer import RunResult
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.page import render


def test_a_result_shows_its_report_in_a_notebook(report: RunReport) -> None:
    shown = RunResult(report, (), {}, None)._repr_html_()
    (inside,) = re.findall(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', shown)
    assert html.unescape(inside) == render(report)

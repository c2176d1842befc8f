"""A report in a notebook is its page, shut off from the notebook's own."""

from __future__ import annotations

import html
import re

from orchestrator.report.data import RunReport
from orchestrator.report.page import render


def test_a_report_shows_itself_in_a_notebook(report: RunReport) -> None:
    shown = report._repr_html_()
    (inside,) = re.findall(r'<iframe srcdoc="([^"]*)" style="[^"]*"></iframe>', shown)
    assert html.unescape(inside) == render(report)

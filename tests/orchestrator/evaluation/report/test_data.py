"""A report's records: what cannot be shown is refused, and all survives JSON."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.page import render
from orchestrator.evaluation.report.record import Interval


def test_records_refuse_what_cannot_be_shown(report):
    body = report.model_dump()
    stay = {**body["timeline"][0], "load_start": 5.0, "load_end": 4.0, "end": 9.0}
    changes = {
        "more than one is named 'best'": {"methods": [body["methods"][0]] * 2},
        "8 experts x 7 tasks": {"matrix": {**body["matrix"], "cells": body["matrix"]["cells"][1:]}},
        "load_start <= load_end": {"timeline": [stay]},
        "Extra inputs": {"unknown": 1},
    }
    for complaint, change in changes.items():
        with pytest.raises(ValidationError, match=complaint):
            RunReport.model_validate(body | change)


@pytest.mark.parametrize("bounds", [(0.5, 0.4), (float("nan"), 0.5), (0.0, float("inf"))])
def test_intervals_refuse_disorder_and_non_numbers(bounds):
    with pytest.raises(ValidationError):
        Interval(value=0.45, low=bounds[0], high=bounds[1], n=3)


def test_a_report_survives_its_json(report):
    assert render(RunReport.model_validate_json(report.model_dump_json())) == render(report)

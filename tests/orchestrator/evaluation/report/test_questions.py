"""Every question of a run in its page's list."""

from __future__ import annotations

import base64
import gzip
import json

import pytest

from orchestrator.evaluation.report import questions as module
from orchestrator.evaluation.report.data import RunReport, SampleAnswer
from orchestrator.evaluation.report.questions import questions


def unpacked(report: RunReport) -> dict:
    view = questions(report)
    assert view
    return json.loads(gzip.decompress(base64.b64decode(view["packed"])))


def test_every_question_is_there_with_every_reply_methods_first(report: RunReport) -> None:
    found = unpacked(report)
    assert [row[0] for row in found["rows"]] == [one.id for one in report.samples]
    assert found["who"][: found["methods"]] == list(report.samples[0].answers)[:4]
    sample, answers = report.samples[3], found["rows"][3][6]
    for name, one in zip(found["who"], answers, strict=True):
        assert one[1:] == [sample.answers[name].answer, sample.answers[name].confidence, sample.answers[name].text]
        assert one[0] == ("1" if sample.answers[name].right else "0" if sample.answers[name].answer else "u")


def test_who_was_not_asked_has_no_reply_and_answers_are_as_written(report: RunReport) -> None:
    failed = SampleAnswer(text="HTTP 500", answer=None, right=False, outcome="f")
    written = SampleAnswer(text="So: The Beatles", answer="beatles", written="The Beatles", right=True)
    sample = report.samples[0].model_copy(update={"answers": {"mixture": failed, "base": written}})
    found = unpacked(report.model_copy(update={"samples": [sample, report.samples[1]]}))
    answers = dict(zip(found["who"], found["rows"][0][6], strict=True))
    assert answers["mixture"] == ["f", None, None, "HTTP 500"]
    assert answers["base"][:2] == ["1", "The Beatles"]
    assert answers["vote of five"] is None


def test_beyond_the_budget_texts_are_left_out_and_counted_answers_stay(
    report: RunReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLIES_BUDGET", 2_000)
    view = questions(report)
    assert view
    rows = unpacked(report)["rows"]
    texts = [one[3] for row in rows for one in row[6]]
    assert sum(map(len, {text for text in texts if text})) <= 2_000
    assert view["left_out"] == texts.count(None) > 0
    assert all(one[0] in "10u" for row in rows for one in row[6])

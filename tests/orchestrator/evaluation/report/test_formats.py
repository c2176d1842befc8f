"""How numbers and names are written."""

from __future__ import annotations

import pytest

from orchestrator.evaluation.report import formats
from orchestrator.evaluation.report.record import Interval


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (formats.percent(0.4567), "45.7%"),
        (formats.points(0.0321), "+3.2"),
        (formats.points(-0.004), "−0.4"),
        (formats.points(-0.0001), "0.0"),
        (formats.probability(0.0314), "0.031"),
        (formats.probability(0.0001), "< 0.001"),
        (formats.probability(None), "–"),
        (formats.count(12345.4), "12,345"),
        (formats.ratio(0.4242), "0.42"),
        (formats.ratio(216.7), "217"),
        (formats.seconds(0.317), "0.32 s"),
        (formats.seconds(8.44), "8.4 s"),
        (formats.seconds(119.4), "119 s"),
        (formats.seconds(724), "12 min 04 s"),
        (formats.seconds(11_220), "3 h 07 min"),
        (formats.short("a" * 99, 5), "aaaa…"),
    ],
)
def test_a_number_as_it_is_written(text: str, wanted: str) -> None:
    assert text == wanted


def test_what_was_not_measured_is_a_dash() -> None:
    nothing, some = Interval(value=0, low=0, high=1, n=0), Interval(value=0.5, low=0.421, high=0.493 + 0.1, n=9)
    assert (formats.value(nothing), formats.interval(nothing)) == ("–", "–")
    assert (formats.value(some), formats.interval(some)) == ("50.0%", "42.1–59.3")


def test_text_for_a_terminal_has_no_control_and_no_direction_characters() -> None:
    assert formats.plain("a\nb\x1b[31m\u202ec") == "a b[31mc"
    assert formats.clipped("abc", 3) == "abc"
    assert len(formats.clipped("a" * 1_000, 10)) < 60

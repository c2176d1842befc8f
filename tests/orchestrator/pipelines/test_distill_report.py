"""The report's section on a distillation: bounded, escaped, and showing what was taught and left out."""

from __future__ import annotations

from datetime import UTC, datetime

import networkx

from distill.corpus import CorpusSummary
from distill.statistics import CorpusStatistics, PersuasionCount, ReplyTally
from distill.train import StepMetrics
from orchestrator.evaluation.report.data import RunReport
from orchestrator.evaluation.report.distilled import ArmResult, Distillation
from orchestrator.evaluation.report.page import render
from orchestrator.pipelines.distill_report import (
    GALLERY,
    POINTS,
    curve,
    gallery,
    left_out,
    panel_rounds,
    persuasion,
)

HOSTILE = "</script><script>alert(1)</script><b>"


def metrics(steps: int) -> list[StepMetrics]:
    return [
        StepMetrics(step + 1, steps, 100 * (step + 1), 1.0, 1e-3, 1.0, float(steps - step), 0.5, None, 0.9, None)
        for step in range(steps)
    ]


def graph(number: int, rounds: int = 2, agents: int = 3) -> networkx.DiGraph:
    made = networkx.DiGraph(
        id=f"q{number}", task="sums", question={"question": HOSTILE}, gold="12", discussion="debate"
    )
    for place in range(rounds):
        for agent in range(agents):
            made.add_node(
                f"{agent}@{place}",
                agent=f"{HOSTILE}{agent}",
                round=place,
                answer="12",
                written="12",
                right=bool(agent),
                reasoning=HOSTILE,
            )
            if place:
                made.add_edges_from((f"{other}@{place - 1}", f"{agent}@{place}") for other in range(agents))
    return made


def test_curves_are_short_and_keep_their_mean() -> None:
    points = curve(metrics(1000))
    assert len(points) <= POINTS
    assert points[-1].step == 1000
    first = points[0].step
    assert points[0].next_token == sum(range(1000, 1000 - first, -1)) / first
    assert points[0].margin is None
    assert curve([]) == []


def test_the_gallery_is_bounded() -> None:
    assert len(gallery([graph(number) for number in range(50)])) == GALLERY
    assert gallery([graph(0, rounds=50)]) == []
    (picture,) = gallery([graph(0)])
    assert (len(picture.nodes), len(picture.edges)) == (6, 9)


def test_the_page_shows_arms_rounds_graphs_and_what_was_left_out_as_text() -> None:
    sifted = CorpusSummary()
    sifted.reply_dropped("an empty reply", HOSTILE)
    statistics = CorpusStatistics(
        replies={HOSTILE: {0: ReplyTally(right=3, wrong=1), 1: ReplyTally(silent=2)}},
        convinced={HOSTILE: {"b": PersuasionCount(rightly=2, wrongly=1)}},
    )
    arm = ArmResult(
        arm="L4",
        seed=0,
        student="pupil",
        lessons=7,
        tokens=5,
        steps=2,
        epochs=1.5,
        seconds=3.0,
        curve=curve(metrics(2)),
    )
    page = render(
        RunReport(
            title="distil",
            command="collegium distill",
            created=datetime.now(UTC),
            split="test",
            fitted_on="train",
            seed=0,
            methods=[],
            distillation=Distillation(
                transcripts=9,
                arms=[arm],
                rounds=panel_rounds(statistics),
                persuasion=persuasion(statistics),
                gallery=gallery([graph(0)]),
                left_out=left_out(sifted),
            ),
        )
    )
    assert "<script>alert" not in page
    assert "taught from 9 transcripts" in page
    assert "75.0%" in page
    assert "reply: an empty reply" in page
    assert page.count("<circle") == 6
    assert page.count("<line") == 9
    assert '"next_token": 2.0' in page

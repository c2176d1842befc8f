"""The evaluation of routers for people: other benchmarks' metrics stand on the terminal and in the page."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.eval_router_speed import made_up
from orchestrator.evaluation.eval_router import aggregators, contestants
from orchestrator.evaluation.report.formats import percent
from orchestrator.evaluation.report.routers import metric_rows, reference, routers_table, write_routers
from orchestrator.evaluation.voting import recorded_answer
from router.evaluate import Evaluation, evaluate
from router.trial import trial


def evaluation(costs: bool) -> Evaluation:
    table, features = made_up(80)
    return evaluate(
        trial(table, features),
        [one for one in contestants(True) if one.name in ("best", "knn")],
        aggregators(),
        default="knn",
        ks=(3,),
        seeds=1,
        costs={name: 0.001 * (place + 1) for place, name in enumerate(table.experts)} if costs else None,
        canonical=recorded_answer,
    )


@pytest.mark.parametrize("costs", [True, False])
def test_metrics_of_other_benchmarks_are_displayed_as_far_as_they_are_known(costs: bool, tmp_path: Path) -> None:
    found = evaluation(costs)
    console = Console(file=io.StringIO(), width=220)
    console.print(routers_table(found))
    assert isinstance(console.file, io.StringIO)
    terminal = console.file.getvalue()
    write_routers(found, tmp_path / "page.html", title="t", command="c")
    page = (tmp_path / "page.html").read_text("utf-8")
    heads = [head for head, _ in metric_rows(found)[0]]
    priced = {"Arena", "$/1000", "Opt. choice", "Opt. cost", "Pareto"}
    assert priced & set(heads) == (priced if costs else set())
    assert "Robust" not in heads  # nobody rephrased a question
    knn = next(one for one in found.metrics if one.router == "knn")
    gain = f"{100 * knn.gain_over_best:.1f}%"
    for text in (terminal, page):
        assert all(head in text for head in heads)
        assert gain in text


@pytest.mark.parametrize("width", [60, 70, 74, 76, 78, 80, 82, 90, 200])
def test_no_number_is_cut_on_a_narrow_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    found = evaluation(True)
    console.print(routers_table(found))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "…" not in text
    for quality in found.qualities:
        assert f"{quality.calibration_error:.3f}" in text
        assert f"{quality.cost_area:.3g}" in text
    assert max(map(len, text.splitlines())) <= width
    assert {"outvoted", "recruited"} <= set(text.split())
    lost = [percent(share) for one in found.results if one.router == reference(found) for share in one.lost.values()]
    assert all(text.split().count(share) >= lost.count(share) for share in lost)


def test_equal_costs_draw_no_curve_and_large_ones_are_written_out(tmp_path: Path) -> None:
    table, features = made_up(80)
    found = evaluate(
        trial(table, features),
        [one for one in contestants(True) if one.name in ("best", "knn")],
        aggregators(),
        default="knn",
        ks=(3,),
        seeds=1,
        costs=dict.fromkeys(table.experts, 59.75),
        canonical=recorded_answer,
    )
    write_routers(found, tmp_path / "page.html", title="t", command="c")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "Quality against cost" not in page
    assert "59,750" in page
    assert "e+04" not in page
    write_routers(evaluation(True), tmp_path / "page.html", title="t", command="c")
    assert "Quality against cost" in (tmp_path / "page.html").read_text("utf-8")

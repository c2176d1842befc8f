from __future__ import annotations

import io
import re

from rich.console import Console

from orchestrator.evaluation.report.data import Comparison, OutcomeCounts, ReportResidency
from orchestrator.evaluation.report.intervals import mcnemar, paired_difference, wilson
from orchestrator.evaluation.report.terminal import comparisons_table, matrix_table, methods_table, timeline


def printed(item: object, width: int = 100, colour: bool = False) -> str:
    system = "standard" if colour else None
    console = Console(width=width, file=io.StringIO(), force_terminal=colour, color_system=system)
    console.print(item)
    return console.file.getvalue()


def stay(
    worker: str, expert: str, load_start: float, load_end: float, end: float, way: str = "in_place"
) -> ReportResidency:
    times = {"load_start": load_start, "load_end": load_end, "end": end}
    return ReportResidency(worker=worker, expert=expert, way=way, **times, requests=4, tokens=100)


def test_methods_stand_best_first_with_interval_and_cost_in_eighty_columns(report):
    lines = printed(methods_table(report.methods), width=80).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("Method"))
    assert lines[start].split()[:2] == ["Method", "Right"]
    assert [line.split()[0] for line in lines[start + 1 :]] == ["mixture", "self-consistency", "vote", "best"]
    assert lines[start + 1].split() == ["mixture", "71.4%", "66.9–75.5", "498", "1,260", "420", "43", "s"]


def test_a_bound_is_not_displayed_as_the_winner(report):
    oracle = report.methods[0].model_copy(update={"method": "oracle", "role": "bound", "overall": wilson(419, 420)})
    lines = printed(methods_table([*report.methods, oracle]), colour=True).splitlines()
    start = next(place for place, line in enumerate(lines) if "Method" in line)
    assert lines[start + 1].startswith("oracle")  # best first, but not in bold
    assert "\x1b[1m" in next(line for line in lines if "mixture" in line)


def test_long_names_give_way_to_numbers_in_eighty_columns(report):
    methods = [one.model_copy(update={"method": f"self-consistency, calls of {one.method}"}) for one in report.methods]
    text = printed(methods_table(methods), width=80)
    assert "71.4% 66.9–75.5" in text
    assert "…" not in text


def test_a_narrow_terminal_has_fewer_columns_and_breaks_no_word(report):
    counts = OutcomeCounts(right=10, wrong=3, abstained=2, unreadable=11, failed=1)
    methods = [
        one.model_copy(update={"counts": counts, "cost": one.cost.model_copy(update={"dollars": 0.3})})
        for one in report.methods
    ]
    for width in (60, 80, 100, 120):
        text = printed(methods_table(methods, width=width), width)
        head = text[: text.index("mixture")].split()
        assert {"Abstained,", "unreadable,", "failed", "USD", "questions"} <= set(head)
        assert text.count("2, 11, 1") == len(methods)
        named = re.search("In a wider terminal and in the report: (.*)", " ".join(text.split()))
        for word in ("Calls", "Time"):
            assert (word in head) != (word in named[1] if named else False)


def test_a_time_that_no_load_has_shown_is_no_zero(report):
    cost = report.methods[0].cost.model_copy(update={"seconds": 0.0})
    unseen = report.methods[0].model_copy(update={"cost": cost})
    assert printed(methods_table([unseen, *report.methods[1:]])).count("–\n") == 1
    assert "Time" not in printed(methods_table([unseen]))


def test_only_the_best_method_is_bold(report):
    text = printed(methods_table(report.methods), colour=True)
    assert "\x1b[1mmixture" in text
    assert "\x1b[1m71.4%" in text
    assert "\x1b[1m43.1%" not in text
    assert "\x1b[2m 66.9–75.5" in text


def test_comparisons_show_interval_and_test_and_set_off_what_differs():
    one, other = [1.0] * 30 + [0.0] * 30, [1.0] * 10 + [0.0] * 50
    pairs = [("vote", one, other), ("debate", one, [*one[1:], 0.0])]
    rows = [
        Comparison(method=name, baseline="best", difference=paired_difference(a, b), p=mcnemar(a, b))
        for name, a, b in pairs
    ]
    rows.append(rows[1].model_copy(update={"p": None}))
    _, first, second, third = printed(comparisons_table(rows)).splitlines()
    assert first.split()[:3] == ["vote", "best", "+33.3"]
    assert first.endswith("< 0.001")
    assert second.split()[2] == "+1.7"
    assert second.endswith("1.000")
    assert third.endswith("–")
    coloured = printed(comparisons_table(rows), colour=True)
    assert re.search(r"\x1b\[1m *\+33\.3", coloured)
    assert not re.search(r"\x1b\[1m *\+1\.7", coloured)


def test_the_matrix_marks_the_best_of_each_column_and_ends_with_the_oracle(report):
    text = printed(matrix_table(report.matrix), width=120, colour=True)
    best = max(row[0].value for row in report.matrix.cells)
    assert re.search(rf"\x1b\[1m *{100 * best:.0f}\x1b", text)
    last = printed(matrix_table(report.matrix), width=120).splitlines()[-1].split()
    tops = [f"{100 * max(cell.value for cell in column):.0f}" for column in zip(*report.matrix.cells, strict=True)]
    assert last[:-1] == ["best", "of", "each", "task", *tops]


def test_a_narrow_matrix_numbers_its_columns_and_names_them_below(report):
    long = [f"{task}_of_considerable_length" for task in report.matrix.tasks]
    matrix = report.matrix.model_copy(update={"tasks": long})
    lines = printed(matrix_table(matrix, width=80), width=80).splitlines()
    assert lines[1].split() == ["Expert", *(str(place + 1) for place in range(len(long))), "All", "tasks"]
    named = " ".join(" ".join(lines[2 + len(matrix.experts) :]).split())
    assert all(f"{place} {task.replace('_', ' ')}" in named for place, task in enumerate(long, 1))


def test_the_matrix_shows_intervals_when_asked_and_dashes_where_nothing_was_measured(report):
    cells = [list(row) for row in report.matrix.cells]
    cells[0][0] = wilson(0, 0)
    matrix = report.matrix.model_copy(update={"cells": cells})
    lines = printed(matrix_table(matrix, intervals=True), width=220).splitlines()
    first = next(line for line in lines if line.startswith("arithmetic"))
    assert first.split()[1] == "–"
    known = cells[0][1]
    assert f"{100 * known.value:.0f} {100 * known.low:.1f}–{100 * known.high:.1f}" in first


def test_the_timeline_is_one_line_a_worker_to_scale():
    stays = [stay("w0", "ab", 0, 10, 30, "start"), stay("w0", "c", 40, 40, 50, "resident"), stay("w1", "d", 0, 25, 50)]
    first, second, total = printed(timeline(stays, width=54), width=80).splitlines()
    assert first == "w0  " + "░" * 10 + "ab" + "█" * 18 + " " * 10 + "c" + "█" * 9
    assert second == "w1  " + "░" * 25 + "d" + "█" * 24
    assert total == "50 s · 2 loads · generating 55.0% · loading 35.0% · 6 tokens/s"


def test_every_width_keeps_its_promise(report):
    for width in (30, 80, 200):
        *lines, _ = timeline(report.timeline, width=width).plain.splitlines()
        assert len(lines) == 2
        assert max(map(len, lines)) <= width


def test_no_timeline_is_said():
    assert "no expert was loaded" in printed(timeline([]))


def test_names_neither_style_nor_steer_the_terminal(report):
    name = "[red]x[/red]\x1b[2J\u202e\nnext"
    methods = [report.methods[0].model_copy(update={"method": name})]
    matrix = report.matrix.model_copy(update={"experts": [name, *report.matrix.experts[1:]]})
    for item in (methods_table(methods), matrix_table(matrix), timeline([stay(name, name, 0, 1, 9)], 90)):
        text = printed(item, width=160)
        assert "[red]x[/red][2J next" in text or "[red]x[/red][2J nex" in text
        assert "\x1b" not in text
        assert "\u202e" not in text

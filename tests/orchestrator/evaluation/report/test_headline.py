from __future__ import annotations

from orchestrator.evaluation.report.data import Comparison, Cost, MethodResult
from orchestrator.evaluation.report.headline import headline
from orchestrator.evaluation.report.intervals import wilson
from orchestrator.evaluation.report.record import Interval


def method(name: str, right: int, n: int = 400, tokens: int = 1000, role: str = "method") -> MethodResult:
    cost = Cost(calls=n, prompt_tokens=tokens * n)
    return MethodResult(method=name, accuracies={}, overall=wilson(right, n), cost=cost, role=role)


def with_methods(report, *methods, **changes):
    return report.model_copy(update={"methods": methods, "comparisons": (), "matrix": None} | changes)


def test_says_what_beat_what_by_how_much_how_surely_and_at_which_cost(report):
    assert str(headline(report)) == (
        "mixture answers 71.4% right, 28.3 points more than best (43.1%). Difference +28.3 points, 95% interval "
        "+22.1 to +34.5, paired over 420 test questions. It costs 3.7 times the tokens: 498 per question against 135."
    )


def test_without_a_comparison_the_best_method_meets_the_reference_whatever_it_is_called(report):
    methods = method("alone", 160, role="reference"), method("best", 250), method("mixture", 300)
    text = str(headline(with_methods(report, *methods)))
    assert text.startswith("mixture answers 75.0% right, 35.0 points more than alone (40.0%).")
    assert "from the two intervals, over 400 test questions" in text


def test_bounds_and_points_of_a_cost_curve_win_nothing(report):
    others = method("oracle", 390, role="bound"), method("sampled x4", 380, role="point")
    text = str(headline(with_methods(report, *others, method("vote", 100), method("mixture", 300))))
    assert text.startswith("mixture answers 75.0% right, 50.0 points more than vote")
    assert str(headline(with_methods(report, *others))).startswith(report.title)


def test_a_difference_that_the_test_leaves_open_is_no_win(report):
    gap = Interval(value=0.03, low=0.001, high=0.06, n=400)
    open_gap = Comparison(method="mixture", baseline="vote", difference=gap, p=0.062)
    methods = method("vote", 288), method("mixture", 300)
    text = str(headline(with_methods(report, *methods, comparisons=[open_gap])))
    assert "cannot be told apart" in text
    assert "(p = 0.062)" in text
    assert not open_gap.sure
    assert open_gap.model_copy(update={"p": 0.01}).sure
    assert open_gap.model_copy(update={"p": None}).sure


def test_when_the_reference_leads_it_meets_the_runner_up(report):
    text = str(headline(with_methods(report, method("vote", 100), method("best", 300, role="reference"))))
    assert text.startswith("best answers 75.0% right, 50.0 points more than vote (25.0%).")


def test_a_difference_that_may_be_zero_is_not_called_a_win(report):
    text = str(headline(with_methods(report, method("best", 200), method("mixture", 206))))
    assert text.startswith("mixture (51.5%) and best (50.0%) cannot be told apart.")


def test_a_loss_is_told_as_one(report):
    lost = Comparison(method="mixture", baseline="best", difference=Interval(value=-0.5, low=-0.6, high=-0.4, n=400))
    methods = (method("best", 300), method("mixture", 100))
    text = str(headline(with_methods(report, *methods, comparisons=[lost])))
    assert text.startswith("mixture answers 25.0% right, 50.0 points fewer than best (75.0%).")
    assert "−50.0 points, 95% interval −60.0 to −40.0, paired" in text


def test_a_comparison_of_absent_methods_is_passed_over(report):
    absent = Comparison(method="debate", baseline="best", difference=Interval(value=0.5, low=0.4, high=0.6, n=400))
    text = str(headline(with_methods(report, method("best", 160), method("vote", 250), comparisons=[absent])))
    assert text.startswith("vote answers")


def test_one_method_alone_stands_beside_the_best_expert(report):
    text = str(headline(with_methods(report, method("mixture", 300), matrix=report.matrix)))
    assert text.startswith("mixture answers 75.0% right. 95% interval")
    assert "The best single expert, last-letters, reaches" in text


def test_a_matrix_from_another_split_is_no_yardstick(report):
    elsewhere = report.matrix.model_copy(update={"split": "validation"})
    text = str(headline(with_methods(report, method("mixture", 300), matrix=elsewhere)))
    assert "best single expert" not in text


def test_a_profile_names_the_best_expert_and_what_choosing_would_gain(report):
    text = str(headline(with_methods(report, matrix=report.matrix)))
    assert text.startswith("last-letters is the best single expert, with")
    assert "Choosing the best expert of each task would reach" in text


def test_an_empty_run_says_so(report):
    assert "No method and no expert was measured" in str(headline(with_methods(report)))


def test_the_price_is_told_in_plain_figures(report):
    for tokens, said in ((1010, "as many tokens"), (420, "0.42 times"), (217_000, "217 times")):
        methods = (method("best", 160), method("vote", 250, tokens=tokens))
        assert f"It costs {said}" in str(headline(with_methods(report, *methods)))


def test_no_price_without_tokens(report):
    text = str(headline(with_methods(report, method("best", 160, tokens=0), method("vote", 250))))
    assert "costs" not in text


def test_where_every_price_is_known_the_cost_is_money(report):
    def priced(name: str, right: int, dollars: float | None) -> MethodResult:
        one = method(name, right)
        return one.model_copy(update={"cost": one.cost.model_copy(update={"dollars": dollars})})

    text = str(headline(with_methods(report, priced("best", 160, 0.5), priced("mixture", 300, 2.0))))
    assert "It costs 4 times as much: $5 per 1,000 questions against $1.25." in text
    text = str(headline(with_methods(report, priced("best", 160, None), priced("mixture", 300, 2.0))))
    assert "tokens" in text
    assert "$" not in text

"""A vote that subtracts what weak experts share, on recorded answers: fitted on `val`, reported on `dev`.

    python -m benchmarks.contrast
    python -m benchmarks.contrast --zoo demo2 --task mixed2 --state FOLDER --name contrast_demo2

For each question the k experts that the mixture's router ranks first vote by log-odds, as in the product. Contrast asks
the m that it ranks last, too: each takes `strength` times the weight of a vote at even odds from the answer that it
gives. The strength is chosen on the fitted questions, by routers that had not seen them; 0 is among the choices, and
the rows say what the best one above 0 does, too. Equal calls: the vote of the k + m first experts.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.votes import Odds, fit_log_odds, log_odds_weights
from benchmarks.eval_router import SMALL, TABLE
from benchmarks.fitting_questions import tables
from benchmarks.machine import conditions, write_result
from orchestrator.evaluation.mixture.fit import fit_and_hold_out
from orchestrator.evaluation.mixture.options import FittingOptions
from orchestrator.evaluation.voting import options_in, recorded_answer
from router import Embedder, Features, Table
from router.estimate import Difference, Resamples
from router.ranking import Scores

SIZES = ((3, 2), (3, 4), (5, 4), (7, 4))
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
Floats = NDArray[np.float64]


def votes(table: Table, scores: Scores, odds: Odds, k: int, m: int, strength: float) -> Floats:
    """1 where the vote's answer is right, [questions]."""
    found = np.zeros(len(table.rows))
    order = scores.order()
    for number, row in enumerate(table.rows):
        strong, weak = order[number, :k], order[number, len(table.experts) - m :] if m else []
        options = options_in(row)
        weights = log_odds_weights([float(scores.probabilities[number, one]) for one in strong], odds, options)
        total: dict[str, float] = {}
        for place, weight in zip(strong, weights, strict=True):
            answer = answer_of(table, number, int(place))
            if answer is not None:
                total[answer] = total.get(answer, 0.0) + weight
        for place in weak:
            answer = answer_of(table, number, int(place))
            if answer in total and answer is not None:
                total[answer] -= strength * math.log(max(options - 1, 2))
        if total:
            found[number] = float(
                max(total, key=lambda answer: total[answer]) == recorded_answer(row, row.answer or "")
            )
    return found


def answer_of(table: Table, number: int, place: int) -> str | None:
    """What an expert answered, in canonical form."""
    row = table.rows[number]
    given = row.predictions.get(table.experts[place])
    return None if given is None else recorded_answer(row, given)


def fitted_odds(table: Table, scores: Scores, k: int) -> Odds:
    """Those of a vote of the k first experts."""
    order = scores.order()[:, :k]
    answers = [[answer_of(table, number, int(one)) for one in row] for number, row in enumerate(order)]
    chances = np.take_along_axis(scores.probabilities, order, 1).astype(float).tolist()
    golds = [recorded_answer(row, row.answer) if row.answer is not None else None for row in table.rows]
    return fit_log_odds(answers, chances, golds, [options_in(row) for row in table.rows])


def compared(fit: Table, seen: Features, test: Table, asked: Features) -> list[dict[str, Any]]:
    """One record per number of strong and weak experts."""
    made = fit_and_hold_out(fit, seen, FittingOptions(), "")
    assert made.held_out is not None
    unseen, scores = made.held_out, made.mixture.router.score(asked)
    found = []
    for k, m in SIZES:
        if k + m > len(fit.experts):
            continue
        odds = fitted_odds(made.seen, unseen, k)
        chosen_on = {one: float(votes(made.seen, unseen, odds, k, m, one).mean()) for one in STRENGTHS}
        best = max(STRENGTHS, key=lambda one: (chosen_on[one], -one))
        above = max(STRENGTHS[1:], key=lambda one: (chosen_on[one], -one))
        plain = votes(test, scores, odds, k, 0, 0.0)
        more = votes(test, scores, fitted_odds(made.seen, unseen, k + m), k + m, 0, 0.0)
        with_it = {one: votes(test, scores, odds, k, m, one) for one in (best, above)}
        found.append(
            {"k": k, "m": m, "fitted": chosen_on, "best": best, "above": above}
            | {"plain": plain, "more": more, "contrast": with_it[best], "contrast above 0": with_it[above]}
        )
    return found


def told(one: Difference) -> str:
    """A difference with its interval."""
    return f"{100 * one.value:+.1f} ({100 * one.low:.1f} to {100 * one.high:.1f}) points"


def rows_of(title: str, found: Sequence[dict[str, Any]], questions: Sequence[str]) -> list[tuple[str, str, str]]:
    """Two rows per number of strong and weak experts."""
    drawn = Resamples(questions)
    rows = []
    for one in found:
        differences = drawn.differences(
            [
                (one["contrast"], one["plain"]),
                (one["contrast above 0"], one["plain"]),
                (one["contrast"], one["more"]),
            ]
        )
        name = f"{title}, {one['k']} experts vote, {one['m']} weakest subtracted"
        rows.append(
            (
                f"{name}: strength {one['best']:g} chosen on the fitted questions",
                f"{100 * one['contrast'].mean():.1f} %, minus the same vote without them "
                f"({100 * one['plain'].mean():.1f} % at {one['k']} calls) {told(differences[0])}",
                f"minus {one['k'] + one['m']} voting at equal calls ({100 * one['more'].mean():.1f} %) "
                f"{told(differences[2])}",
            )
        )
        line = f"{100 * one['contrast above 0'].mean():.1f} %, minus the same vote {told(differences[1])}"
        rows.append((f"{name}: best strength above 0 ({one['above']:g})", line, ""))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--zoo", help="ask its experts, validation and test questions of three seeds (default: MMLU-Pro)"
    )
    parser.add_argument("--task", default="mixed2")
    parser.add_argument("--questions", type=int, default=96, help="of each split and seed")
    parser.add_argument("--state", type=Path)
    parser.add_argument("--name", default="contrast", help="of the result's file")
    given = parser.parse_args()
    noted = conditions()
    if given.zoo:
        with tempfile.TemporaryDirectory() as folder:
            state = given.state or Path(folder)
            fit, test, _ = tables(given.zoo, given.task, (0, 1, 2), given.questions, state)
    else:
        whole = Table.read(TABLE)
        fit, test = whole.split("val"), whole.split("dev")
    embedder = Embedder()
    seen, asked = embedder.features(fit.questions), embedder.features(test.questions)
    panels: dict[str, Sequence[str]] = {f"all {len(test.experts)} experts": test.experts}
    if set(SMALL) <= set(test.experts):
        panels = {f"{len(SMALL)} small models": SMALL, **panels}
    rows, raw = [], {}
    for title, names in panels.items():
        found = compared(fit.select_experts(names), seen, test.select_experts(names), asked)
        rows += rows_of(title, found, test.questions)
        raw[title] = [
            {
                key: "".join(str(int(x)) for x in value) if isinstance(value, np.ndarray) else value
                for key, value in one.items()
            }
            for one in found
        ]
    note = (
        f"{len(test.rows)} test questions, fitted on {len(fit.rows)}; intervals are 95% bootstrap intervals of paired "
    )
    note += "differences. Calls of the weak experts count: that is why equal calls are compared, too."
    write_result(
        given.name, "Contrast: a vote less what weak experts share", rows, {"conditions": noted, "found": raw}, note
    )


if __name__ == "__main__":
    main()

"""A ranking with its reasons."""

from __future__ import annotations

import numpy as np
import pytest

from router.ranking import Evidence, Ranking, RankingEntry, Scores, rankings


def test_a_ranking_shows_itself_with_its_reasons() -> None:
    entries = (
        RankingEntry("<b>solver</b>", 0.9, 0.75, {"similarity": 0.5}),
        RankingEntry("writer", 0.1, 0.25, {"similarity": 0.1}, "no profile"),
    )
    shown = Ranking(entries, (Evidence("neighbour", "Is 7 < 9?", 0.83),))._repr_html_()
    assert "&lt;b&gt;solver&lt;/b&gt;" in shown
    assert shown.index("75%") < shown.index("25%")
    assert "similarity" in shown
    assert "no profile" in shown
    assert "Is 7 &lt; 9? (0.83)" in shown
    assert "<table>" in Ranking(())._repr_html_()


def test_equal_scores_keep_the_experts_order_and_notes_stand_beside_them() -> None:
    values = np.array([[0.2, 0.9, 0.2]], np.float32)
    scores = Scores(("a", "b", "c"), values, values, {"mean": values[0]})
    assert scores.order().tolist() == [[1, 0, 2]]
    (ranking,) = rankings(scores, {"c": "new"}, [()])
    assert (ranking.experts, ranking.top(2), ranking.top(9)) == (("b", "a", "c"), ("b", "a"), ("b", "a", "c"))
    assert [entry.note for entry in ranking.entries] == [None, None, "new"]
    assert ranking.entries[0].terms == {"mean": pytest.approx(0.9)}
    assert ranking.probability("b") == pytest.approx(0.9)
    with pytest.raises(KeyError, match="nobody"):
        ranking.probability("nobody")

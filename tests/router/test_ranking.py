"""A ranking with its reasons."""

from __future__ import annotations

from router.ranking import Evidence, Ranking, RankingEntry


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

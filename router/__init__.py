"""Texts and scores in, rankings of experts out. Knows no engine and no prompt.

`Table` holds who answered what how well; an `Embedder` turns questions into `Features`; a router from
`router.routers` is fitted on both and gives a `Ranking` for each question.
"""

from router.embedding import Embedder, EmbeddingError, Features
from router.ranking import Evidence, Ranking, RankingEntry, Router, Scores
from router.row import Row, TableError
from router.table import Table

__all__ = [
    "Embedder",
    "EmbeddingError",
    "Evidence",
    "Features",
    "Ranking",
    "RankingEntry",
    "Router",
    "Row",
    "Scores",
    "Table",
    "TableError",
]

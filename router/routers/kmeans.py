"""Clusters of questions, and in each cluster the experts by their accuracy there (Avengers, arXiv 2505.19797)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from router.embedding import Features
from router.ranking import Evidence, Scores
from router.routers.fitted import Array, FittedRouter, Prior, fitting_rows, known_scores
from router.table import Table


@dataclass(frozen=True)
class KmeansRouter(FittedRouter):
    """A question goes by the accuracies in its nearest clusters, each shrunk towards the expert's mean."""

    centres: Array
    """[clusters, dimensions]"""
    accuracy: Array
    """[clusters, experts]"""
    sizes: Array
    """[clusters], fitted questions in each"""
    nearest: int

    @classmethod
    def fit(
        cls,
        table: Table,
        questions: Features,
        *,
        clusters: int = 64,
        shrinkage: float = 10.0,
        nearest: int = 3,
        seed: int = 0,
    ) -> Self:
        """`clusters` (the paper's 64) is cut so that at least forty questions fall to each on average.

        `shrinkage` is in questions; `nearest` clusters are averaged. Raises ValueError for parameters out of range."""
        from sklearn.cluster import KMeans

        if clusters < 1 or nearest < 1 or shrinkage < 0:
            raise ValueError("k-means needs clusters >= 1, nearest >= 1 and shrinkage >= 0")
        table, questions = fitting_rows(table, questions)
        different = len({row.tobytes() for row in questions.embeddings})
        clusters = min(clusters, max(1, len(table.rows) // 40), different)
        model = KMeans(clusters, n_init=2, random_state=seed).fit(questions.embeddings)
        prior = Prior.of(table.correct)
        score, known = known_scores(table.correct)
        member = np.eye(clusters, dtype=np.float32)[model.labels_]
        total, count = member.T @ score, member.T @ known
        mass = count + shrinkage
        accuracy = np.where(mass > 0, (total + shrinkage * prior.mean) / np.maximum(mass, 1e-9), prior.mean)
        centres = np.asarray(model.cluster_centers_, np.float32)
        sizes = member.sum(0)
        return cls(table.experts, prior, centres, accuracy.astype(np.float32), sizes, min(nearest, clusters))

    def score(self, questions: Features) -> Scores:
        """Terms: the clusters' accuracy and the mean."""
        values = self.accuracy[self._nearest(questions)].mean(1)
        return Scores(self.experts, values, self.prior.humble(values), {"cluster": values, "mean": self.prior.mean})

    def evidence(self, questions: Features) -> list[tuple[Evidence, ...]]:
        """The clusters by number, with the share of all fitted questions that each holds."""
        shares = self.sizes / self.sizes.sum()
        return [
            tuple(Evidence("cluster", str(cluster), float(shares[cluster])) for cluster in row)
            for row in self._nearest(questions)
        ]

    def _nearest(self, questions: Features) -> np.ndarray[tuple[int, int], np.dtype[np.intp]]:
        distance = (self.centres**2).sum(1) - 2 * questions.embeddings @ self.centres.T
        return np.argsort(distance, axis=1, kind="stable")[:, : self.nearest]

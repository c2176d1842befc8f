"""One router a file, all with the same face: `fit(table, features, ...)`, `score`, `rank`, `save`, `load`."""

from router.routers.baselines import BestRouter, RandomRouter
from router.routers.fitted import FittedRouter
from router.routers.knn import KnnRouter

__all__ = ["BestRouter", "FittedRouter", "KnnRouter", "RandomRouter"]

"""Every merge method in float64, a few lines each, and how its parameters are drawn.

A reference takes the base, the sources (both of the tensor's shape), one value per source of each parameter that has
such, the merge's own parameters, and what the library found: of methods that draw at random it says which entries were
kept, and is asked nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, Any]
Each = Mapping[str, list[Any]]
Shared = Mapping[str, Any]
Formula = Callable[[Array, Array, Each, Shared, Array], Array]
SHARE = st.floats(0.1, 1).map(lambda value: round(value, 3))
BOTH = st.booleans()


@dataclass(frozen=True)
class Reference:
    """`each` and `shared`: how the parameters are drawn. `based`: with a base, without one, or None: either."""

    formula: Formula
    each: Mapping[str, Any] = field(default_factory=dict)
    shared: Mapping[str, Any] = field(default_factory=dict)
    based: bool | None = True
    sources: tuple[int, int] = (1, 3)
    error: float = 2e-6


def summed(weights: list[float], rows: Array) -> Array:
    return np.tensordot(weights, rows, 1)


def unit(array: Array) -> Array:
    return array / np.linalg.norm(array)


def linear(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return summed(each["weight"], rows) / (sum(each["weight"]) if shared["normalize"] else 1)


def lm_cocktail(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    powers = np.exp(-np.array(each["loss"]) / shared["temperature"])
    return summed((powers / powers.sum()).tolist(), rows)


def passthrough(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return each["scale"][0] * rows[0]


def arc(first: Array, second: Array, t: float) -> Array:
    angle = math.acos(np.vdot(unit(first), unit(second)))
    return (math.sin((1 - t) * angle) * first + math.sin(t * angle) * second) / math.sin(angle)


def slerp(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return arc(base, rows[0], shared["t"])


def nuslerp(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    (first, second), t = rows - base, each["weight"][1] / sum(each["weight"])
    if shared["nuslerp_flatten"] or base.ndim < 2:
        return base + arc(first, second, t)
    if shared["nuslerp_row_wise"]:
        return base + np.stack([arc(a, b, t) for a, b in zip(first.T, second.T, strict=True)]).T
    return base + np.stack([arc(a, b, t) for a, b in zip(first, second, strict=True)])


def multislerp(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    taus, weights = (rows - base).reshape(len(rows), -1), np.array(each["weight"])
    if len(rows) == 1:
        return rows[0]
    weights = weights / (weights.sum() if shared["normalize_weights"] else 1)
    units = np.stack([unit(tau) for tau in taus])
    mean = unit(weights @ units)
    tangent = weights @ units - (weights @ units @ mean) * mean
    size = np.linalg.norm(tangent)
    found = mean * math.cos(size) + tangent * (math.sin(size) / size if size else 1)
    return base + (found * (np.linalg.norm(taus, axis=1) @ weights)).reshape(base.shape)


def karcher(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    flat = rows.reshape(len(rows), -1)
    units = np.stack([unit(row) for row in flat])
    mean = unit(units.mean(0))
    for _step in range(shared["max_iter"]):
        cosines = np.clip(units @ mean, -1, 1)
        factors = np.array([math.acos(c) / math.sqrt(1 - c * c) if 1 - c > 1e-12 else 1.0 for c in cosines])
        tangent = (factors[:, None] * (units - cosines[:, None] * mean)).mean(0)
        size = np.linalg.norm(tangent)
        if size < 1e-13:
            break
        mean = unit(math.cos(size) * mean + math.sin(size) * tangent / size)
    return (np.linalg.norm(flat, axis=1).mean() * mean).reshape(rows[0].shape)


def task_arithmetic(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return base + total(rows - base, each, shared)


def total(taus: Array, each: Each, shared: Shared) -> Array:
    return shared["lambda"] * summed(each["weight"], taus) / (sum(each["weight"]) if shared["normalize"] else 1)


def model_stock(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    if not shared["filter_wise"] or base.ndim < 2:
        return base + stock_share(rows - base) * (rows.mean(0) - base)
    by_row = [stock_share(rows[:, n] - base[n]) * (rows[:, n].mean(0) - base[n]) for n in range(len(base))]
    return base + np.stack(by_row)


def stock_share(taus: Array) -> float:
    count, units = len(taus), np.stack([unit(tau.ravel()) for tau in taus])
    cosine = ((units @ units.T).sum() - count) / (count * (count - 1))
    return count * cosine / (1 + (count - 1) * cosine)


def voted(taus: Array, each: Each, shared: Shared) -> Array:
    weights = np.reshape(each["weight"], (-1, *[1] * (taus.ndim - 1)))
    agree = (weights * taus) * np.where((weights * taus).sum(0) >= 0, 1, -1) > 0
    share = (agree * weights).sum(0)
    divisor = np.where(share == 0, 1, share) if shared["normalize"] else 1
    return shared["lambda"] * (weights * taus * agree).sum(0) / divisor


def band(tau: Array, top: int, last: int) -> Array:
    """The entries whose magnitude has rank top + 1 to last."""
    ranks = np.empty(tau.size, int)
    ranks[np.argsort(-np.abs(tau), axis=None)] = np.arange(tau.size)
    ranks = ranks.reshape(tau.shape)
    return np.where((ranks >= top) & (ranks < last), tau, 0)


def ties(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    kept = [band(row - base, 0, max(1, int(d * base.size))) for row, d in zip(rows, each["density"], strict=True)]
    return base + voted(rescaled(rows - base, np.stack(kept), shared), each, shared)


def crumbs(base: Array, rows: Array, each: Each, shared: Shared) -> Array:
    kept = []
    for row, density, gamma in zip(rows, each["density"], each["gamma"], strict=True):
        count = int(density * base.size)
        top = min(int(gamma * base.size), base.size - count)
        kept.append(band(row - base, top, top + count))
    return rescaled(rows - base, np.stack(kept), shared)


def rescaled(taus: Array, kept: Array, shared: Shared) -> Array:
    """Each source's sum of magnitudes is what it was, where that is wanted and anything was kept."""
    for tau, row in zip(taus, kept, strict=True):
        if shared["rescale"] and np.abs(row).sum() > 0:
            row *= np.abs(tau).sum() / np.abs(row).sum()
    return kept


def breadcrumbs(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return base + total(crumbs(base, rows, each, shared), each, shared)


def breadcrumbs_ties(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return base + voted(crumbs(base, rows, each, shared), each, shared)


def dropped(chances: Callable[[Array, Each], Array], vote: bool) -> Formula:
    """One source, each entry kept with a probability; `chances` in the tensor's shape."""

    def formula(base: Array, rows: Array, each: Each, shared: Shared, found: Array) -> Array:
        tau, kept = rows - base, np.abs(found - base) > 1e-6
        chance = chances(tau[0], each)
        scale = (1 / chance if shared["rescale_norm"] == "expected" else l1(tau[0], kept)) if shared["rescale"] else 1
        return base + (voted if vote else total)(tau * kept * scale, each, shared)

    return formula


def l1(tau: Array, kept: Array) -> float:
    return float(np.abs(tau).sum() / np.abs(tau * kept).sum()) if kept.any() else 1.0


def same_chance(tau: Array, each: Each) -> Array:
    return np.full(tau.shape, each["density"][0])


def chance_by_rank(tau: Array, each: Each) -> Array:
    density, epsilon = each["density"][0], each["epsilon"][0]
    matrix = np.abs(tau).reshape(-1, tau.shape[-1])
    share = matrix.argsort(1).argsort(1) / (matrix.shape[1] - 1)
    return (density - epsilon + 2 * epsilon * share).reshape(tau.shape) if density < 1 else np.ones(tau.shape)


def sce(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    taus, share = rows - base, shared["select_topk"]
    varied = taus.var(0)
    if share < 1:
        taus = taus * (band(varied, 0, int(np.count_nonzero(varied > 1e-12) * share)) != 0)
    weights = (taus**2).sum(axis=tuple(range(1, taus.ndim)), keepdims=True)
    agree = taus * np.where(taus.sum(0) >= 0, 1, -1) > 0
    return base + (weights * taus * agree).sum(0) / np.maximum((weights * agree).sum(0), 1e-30)


def nearswap(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return base + np.clip(rows[0] - base, -shared["t"], shared["t"])


def arcee_fusion(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    matrix, held = (array.reshape(-1, base.shape[-1]) for array in (rows[0], base))
    ours, theirs = (np.exp(a) / np.exp(a).sum(1, keepdims=True) + 1e-8 for a in (matrix, held))
    importance = np.abs(matrix - held) * (ours * np.log(ours / theirs)).sum(1, keepdims=True)
    first, median, third = (np.sort(importance, None)[int(s * max(1, base.size - 1))] for s in (0.25, 0.5, 0.75))
    return np.where(importance >= median + 1.5 * (third - first), matrix, held).reshape(base.shape)


def ram(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    return ramplus_tl(base, rows, each, {**shared, "r": 0, "alpha": 0}, _)


def ramplus_tl(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    taus = rows - base
    changed = np.abs(taus) > shared["epsilon"]
    together, result = changed.sum(0), base.copy()
    for tau, mine in zip(taus, changed, strict=True):
        own, common = (mine & (together == 1)).sum(), (mine & (together > 1)).sum()
        scale = 1 + shared["r"] * min(shared["alpha"], common / max(own, shared["epsilon"], 1e-30))
        result = result + np.where(mine, np.where(together == 1, scale * tau, tau / np.maximum(together, 1)), 0)
    return result


def iso_c(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    if base.ndim < 2:
        return base + shared["lambda"] * (rows.mean(0) - base)
    u, s, v = np.linalg.svd((rows - base).sum(0), full_matrices=False)
    return base + shared["lambda"] * s.mean() * u @ v


def tsv_m(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    if base.ndim < 2:
        return base + shared["lambda"] * (rows.mean(0) - base)
    rank, parts = max(1, min(base.shape) // len(rows)), [np.linalg.svd(row - base, full_matrices=False) for row in rows]
    left, right = np.hstack([u[:, :rank] for u, _, _ in parts]), np.vstack([v[:rank] for _, _, v in parts])
    return base + shared["lambda"] * (polar(left) * np.concatenate([s[:rank] for _, s, _ in parts])) @ polar(right)


def polar(matrix: Array) -> Array:
    u, _, v = np.linalg.svd(matrix, full_matrices=False)
    return u @ v


def fisher(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    weights = np.reshape(each["weight"], (-1, *[1] * base.ndim)) * (np.stack(each["statistics"]) + shared["floor"])
    return (weights * rows).sum(0) / weights.sum(0)


def regmean(base: Array, rows: Array, each: Each, shared: Shared, _: Array) -> Array:
    if base.ndim < 2:
        return rows.mean(0)
    grams = [g * shared["shrink"] + np.diag(np.diag(g)) * (1 - shared["shrink"]) for g in each["statistics"]]
    return sum(row @ gram for row, gram in zip(rows, grams, strict=True)) @ np.linalg.inv(sum(grams))


WEIGHT, LAMBDA = {"weight": SHARE}, {"lambda": SHARE}
SUM = {**LAMBDA, "normalize": BOTH}
THIN = {"weight": SHARE, "density": SHARE}
# The first value of each is what tells most: the simplest case is always tried.
RANKED = {**WEIGHT, "density": st.sampled_from([0.6, 0.5, 1.0]), "epsilon": st.sampled_from([0.3, 0.1, 0.0])}
RANDOM = {**SUM, "rescale": st.sampled_from([True, False]), "rescale_norm": st.sampled_from(["expected", "l1"])}
EPSILON = {"epsilon": st.sampled_from([1e-5, 0.5, 1.5])}
REFERENCES: Mapping[str, Reference] = {
    "linear": Reference(linear, WEIGHT, {"normalize": BOTH}, False),
    "lm_cocktail": Reference(lm_cocktail, {"loss": SHARE}, {"temperature": SHARE}, False),
    "passthrough": Reference(passthrough, {"scale": SHARE}, {}, False, (1, 1)),
    "slerp": Reference(slerp, {}, {"t": SHARE}, sources=(1, 1)),
    "nuslerp": Reference(nuslerp, WEIGHT, {"nuslerp_flatten": BOTH, "nuslerp_row_wise": BOTH}, None, (2, 2)),
    "multislerp": Reference(multislerp, WEIGHT, {"normalize_weights": BOTH}, None),
    "karcher": Reference(karcher, {}, {"max_iter": st.just(60), "tol": st.just(1e-9)}, False),
    "task_arithmetic": Reference(task_arithmetic, WEIGHT, SUM),
    "model_stock": Reference(model_stock, {}, {"filter_wise": BOTH}, sources=(2, 3), error=2e-5),
    "ties": Reference(ties, THIN, {**SUM, "rescale": BOTH}),
    "breadcrumbs": Reference(breadcrumbs, {**THIN, "gamma": SHARE}, {**SUM, "rescale": BOTH}),
    "breadcrumbs_ties": Reference(breadcrumbs_ties, {**THIN, "gamma": SHARE}, {**SUM, "rescale": BOTH}),
    "dare_linear": Reference(dropped(same_chance, False), THIN, RANDOM, sources=(1, 1)),
    "dare_ties": Reference(dropped(same_chance, True), THIN, RANDOM, sources=(1, 1)),
    "della": Reference(dropped(chance_by_rank, True), RANKED, RANDOM, sources=(1, 1)),
    "della_linear": Reference(dropped(chance_by_rank, False), RANKED, RANDOM, sources=(1, 1)),
    "sce": Reference(sce, {}, {"select_topk": SHARE}),
    "nearswap": Reference(nearswap, {}, {"t": SHARE}, sources=(1, 1)),
    "arcee_fusion": Reference(arcee_fusion, {}, {}, sources=(1, 1)),
    "ram": Reference(ram, {}, EPSILON),
    "ramplus_tl": Reference(ramplus_tl, {}, {**EPSILON, "r": SHARE, "alpha": SHARE}),
    "tsv_m": Reference(tsv_m, {}, LAMBDA, error=1e-4),
    "iso_c": Reference(iso_c, {}, LAMBDA, error=1e-4),
    "fisher": Reference(fisher, {**WEIGHT, "statistics": None}, {"floor": st.sampled_from([1e-10, 0.1])}, False),
    "regmean": Reference(regmean, {"statistics": None}, {"shrink": SHARE}, False, error=1e-4),
}

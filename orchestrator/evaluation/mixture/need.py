"""Recruiting by need: the next expert is asked where the expected gain of the vote is worth its price.

The expected gain after s replies is how much greater the posterior of the final answer will be than that of the answer
leading now, if one goes on as well as possible from there: fitted backwards from the last reply (regression on
(1, share, share squared, runner-up's share), Longstaff and Schwartz 2001), on votes of held-out questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from agents.correlated_votes import Prefixes

Floats = NDArray[np.float64]

MAX_ASKED = 7
"""Experts that one question is put to at most, failures not counted."""
PRICES = (*(0.2 * 0.88**step for step in range(48)), 0.0)
"""Probability of being right that one more call must bring, highest first."""
FEW = 150
"""Held-out questions below which nothing is regressed: asking goes on by the vote's share alone."""
FIRST, LAST = 2, 5
"""Experts that are always asked by that plain rule, and at most."""
THRESHOLDS = tuple(0.05 * step for step in range(1, 20))
"""Shares of the vote below which it goes on."""
SURE = 1.64
"""Standard errors by which going on must have been right more often than asking one expert (one-sided 5%)."""
RIDGE = 1.0
PARTS = 5


@dataclass(frozen=True)
class NeedRule:
    """When to ask on, for each of several prices. Arrays: float64."""

    prices: Floats
    """[prices], of a call of mean cost, highest first"""
    gains: Floats
    """[prices, replies so far, 4], coefficients of the expected gain of going on"""
    spent: Floats
    """[prices], mean cost per question on held-out ones; in calls, where every call costs 1"""
    accuracy: Floats
    """[prices], share of held-out questions answered right; of fitted ones, not of new ones"""
    worth: Floats
    """[prices], 1 where going on was right more often than asking one expert, by more than `SURE` standard errors"""
    unit: float = 1.0
    """Mean cost of a call, in the unit of the costs."""
    plain: bool = False
    """Fitted on too few questions: two experts are asked, and up to five while the vote's share is below a threshold.
    A gain is then how far the share is below it, and all prices are 0."""

    @classmethod
    def fit(cls, votes: Prefixes, costs: Floats | None = None, seed: int = 0, unit: float = 1.0) -> Self:
        """`votes`: of held-out questions, by votes that were not fitted on them. `costs` [n, k]: of each reply in turn
        (default: 1); `unit`: cost of a mean call, above 0."""
        n, k = votes.share.shape
        costs = np.ones((n, k)) if costs is None else costs / unit
        if n < FEW:
            return cls._by_share(votes, costs, unit)
        part = np.random.default_rng(seed).permutation(n) % max(2, min(PARTS, n))
        gains = np.zeros((len(PRICES), max(k - 1, 0), 4))
        spent, accuracy, worth = np.ones(len(PRICES)), np.zeros(len(PRICES)), np.zeros(len(PRICES))
        paid = costs.cumsum(1)
        for place, price in enumerate(PRICES):
            gains[place] = _backwards(votes.share, votes.second, costs, price)
            asked = np.zeros(n, np.intp)
            for number in np.unique(part):
                inside, outside = part == number, part != number
                own = _backwards(votes.share[outside], votes.second[outside], costs[outside], price)
                asked[inside] = _asked(own, votes.share[inside], votes.second[inside], costs[inside], price)
            right = votes.right[np.arange(n), asked - 1]
            spent[place], accuracy[place] = unit * paid[np.arange(n), asked - 1].mean(), right.mean()
            gap = right - votes.right[:, 0]
            worth[place] = float(gap.mean() > SURE * gap.std() / np.sqrt(n))
        return cls(np.array(PRICES), gains, spent, accuracy, worth, unit)

    @classmethod
    def _by_share(cls, votes: Prefixes, costs: Floats, unit: float) -> Self:
        n, k = votes.share.shape
        count = len(THRESHOLDS)
        gains = np.zeros((count, max(k - 1, 0), 4))
        spent, accuracy = np.ones(count), np.zeros(count)
        for place, threshold in enumerate(THRESHOLDS):
            gains[place, :, 0] = [1.0] * min(FIRST - 1, k - 1) + [threshold] * max(k - FIRST, 0)
            gains[place, FIRST - 1 :, 1] = -1.0
            gains[place, LAST - 1 :] = (-1.0, 0.0, 0.0, 0.0)
            asked = _asked(gains[place], votes.share, votes.second, costs, 0.0)
            spent[place] = unit * costs.cumsum(1)[np.arange(n), asked - 1].mean()
            accuracy[place] = votes.right[np.arange(n), asked - 1].mean()
        worth = (accuracy > votes.right[:, 0].mean()).astype(np.float64)
        return cls(np.zeros(count), gains, spent, accuracy, worth, unit, plain=True)

    def price_for(self, spend: float) -> int | None:
        """Place of the lowest price (of a plain rule: the highest threshold) at which held-out questions cost at most
        so much on average (calls, where a call costs 1), and were right more often than with one expert. None: one
        expert is asked."""
        fitting = [place for place in range(len(self.prices)) if self.spent[place] <= spend and self.worth[place]]
        return max(fitting, default=None)

    def gain(self, place: int, replies: int, share: float, second: float) -> float:
        """Expected gain of going on after so many replies, at the price of this place; 0 after the last."""
        if replies > self.gains.shape[1]:
            return 0.0
        return float(self.gains[place, replies - 1] @ np.array([1.0, share, share * share, second]))

    def enough(
        self,
        place: int,
        replies: int,
        share: float,
        second: float,
        cost: float | None = None,
        call: str = "a call",
    ) -> str | None:
        """Why nobody else is asked after so many replies, whose vote's leader has this `share`; None: the next expert
        is, whose reply costs `cost` (None: a mean call's) and is named `call`."""
        most = self.gains.shape[1] + 1
        if replies >= most:
            return f"{most} experts, the most that one question is put to"
        gain = self.gain(place, replies, share, second)
        price = float(self.prices[place]) * (1.0 if cost is None else cost / self.unit)
        if gain > price:
            return None
        if self.plain:
            return f"the vote's share is {share:.2f}, high enough by a plain rule (few questions)"
        return f"going on would gain {max(gain, 0.0):.3f}, {call} is worth {price:.3f}"


def _features(share: Floats, second: Floats) -> Floats:
    return np.stack([np.ones_like(share), share, share**2, second], 1)


def _backwards(share: Floats, second: Floats, costs: Floats, price: float) -> Floats:
    """[replies so far, 4]."""
    k = share.shape[1]
    found = np.zeros((max(k - 1, 0), 4))
    value = share[:, k - 1].copy()
    for size in range(k - 1, 0, -1):
        x = _features(share[:, size - 1], second[:, size - 1])
        gained = value - share[:, size - 1]
        found[size - 1] = np.linalg.solve(x.T @ x + RIDGE * np.diag([1e-6, 1, 1, 1]), x.T @ gained)
        paid = price * costs[:, size]
        value = np.where(x @ found[size - 1] > paid, value - paid, share[:, size - 1])
    return found


def _asked(gains: Floats, share: Floats, second: Floats, costs: Floats, price: float) -> NDArray[np.intp]:
    """How many each question takes, [n]."""
    n, k = share.shape
    asked = np.full(n, k, np.intp)
    going = np.ones(n, bool)
    for size in range(1, k):
        on = _features(share[:, size - 1], second[:, size - 1]) @ gains[size - 1] > price * costs[:, size]
        asked[going & ~on] = size
        going &= on
    return asked

"""How sure an agent is of its answer: four kinds of confidence, each 0..1, and the paper's table of weights.

`stated`: what the reply says. `tokens`: how probable the model found the answer that it wrote. `consistency`: how
many of several samples agree. `static`: what is known of the agent beforehand. None of them is a probability of
being right until it has been calibrated on questions whose answers are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

from agents import answers

ConfidenceKind = Literal["stated", "tokens", "consistency", "static"]

Calibrate = Callable[[str, float | None], float]
"""(agent's model, confidence of one kind; None: it gave none) -> probability that its answer is right, 0..1."""


def paper_weight(confidence: float | None) -> float:
    """The weight of a vote by its stated confidence (ReConcile, https://arxiv.org/abs/2309.13007, section 3.3)."""
    if confidence is None:
        return 0.1
    if confidence >= 1.0:
        return 1.0
    if confidence >= 0.9:
        return 0.8
    if confidence >= 0.8:
        return 0.5
    return 0.3 if confidence > 0.6 else 0.1


def uncalibrated(agent: str, confidence: float | None) -> float:
    """A confidence taken at its word; where there is none, as likely right as wrong."""
    return 0.5 if confidence is None else confidence


def from_tokens(tokens: Sequence[tuple[str, float]], text: str) -> float | None:
    """Geometric mean of the probabilities of the tokens in the reply's answer line; None without any.

    tokens: (token, log-probability) in order. Where no answer line is found all tokens count. The mean, unlike the
    product, does not fall with the answer's length.
    """
    if not tokens:
        return None
    start, end = answers.answer_span(text) or (0, len(text))
    # A thought that stands in front of the text has tokens, too.
    inside, place = [], -max(0, "".join(token for token, _ in tokens).rfind(text))
    for token, logprob in tokens:
        after = place + len(token)
        # White space belongs to the line's layout, not to the answer.
        if place < end and after > start and token.strip():
            inside.append(logprob)
        place = after
    found = inside or [logprob for _, logprob in tokens]
    return min(1.0, math.exp(math.fsum(found) / len(found)))


def consistency(given: Sequence[str | None]) -> tuple[str | None, float | None]:
    """(the most frequent answer of several samples, the first one of equals; its share of all samples)."""
    answers = [answer for answer in given if answer is not None]
    if not answers:
        return None, None
    winner = max(dict.fromkeys(answers), key=answers.count)
    return winner, answers.count(winner) / len(given)

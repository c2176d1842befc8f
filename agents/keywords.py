"""Which skills a question needs, as an expert names them (Symbolic-MoE, https://arxiv.org/abs/2503.05641, section 3.1).

The expert is asked several times, and only what it says more than once is believed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

RUNS = 5
TEMPERATURE = 0.7
AGREEING = 2
"""Runs that must name a keyword."""
LONGEST = 20
"""Characters of a keyword; longer ones are sentences."""

STRUCTURE = json.dumps({"regex": rf"Keywords: [^\n,]{{2,{LONGEST}}}(, [^\n,]{{2,{LONGEST}}}){{0,4}}"})
"""What an engine that can be held to an expression is held to: the line that `agents.prompts.keywords` asks for."""


def agreed(runs: Sequence[Sequence[str]], min_runs: int = AGREEING) -> tuple[str, ...]:
    """The keywords of at least `least` runs, most often named first; may be none.

    `runs`: what `agents.reply.parse_keywords` read from each reply.
    """
    counts = Counter(word for run in runs for word in dict.fromkeys(run) if len(word) <= LONGEST)
    return tuple(word for word, count in counts.most_common() if count >= min_runs)

"""Boolean expressions of three to five literals, in the manner of BIG-Bench Hard."""

from __future__ import annotations

from random import Random

from orchestrator.evaluation.tasks.task import Draft, Task


def _literal(rng: Random) -> tuple[str, bool, str]:
    """A literal, perhaps negated: its text, its value, and the step that finds it."""
    value = rng.random() < 0.5
    if rng.random() < 0.5:
        return str(value), value, ""
    return f"not {value}", not value, f"not {value} = {not value}. "


def _pair(rng: Random) -> tuple[str, bool, str]:
    """Two literals joined by `and` or `or`, in parentheses, perhaps negated."""
    left, left_value, left_step = _literal(rng)
    right, right_value, right_step = _literal(rng)
    operator, value = _join(rng, left_value, right_value)
    steps = f"{left_step}{right_step}{left_value} {operator} {right_value} = {value}. "
    if rng.random() < 0.7:
        return f"( {left} {operator} {right} )", value, steps
    return f"not ( {left} {operator} {right} )", not value, f"{steps}not {value} = {not value}. "


def _join(rng: Random, left: bool, right: bool) -> tuple[str, bool]:
    return ("and", left and right) if rng.random() < 0.5 else ("or", left or right)


def _draft(rng: Random) -> Draft:
    parts = [_pair(rng), rng.choice((_pair, _literal))(rng)]
    rng.shuffle(parts)
    (left, left_value, left_steps), (right, right_value, right_steps) = parts
    operator, value = _join(rng, left_value, right_value)
    solution = f"{left_steps}{right_steps}{left_value} {operator} {right_value} = {value}."
    expression = f"{left} {operator} {right}"
    if rng.random() < 0.3:
        last, last_value, last_step = _literal(rng)
        operator, whole = _join(rng, value, last_value)
        expression = f"( {expression} ) {operator} {last}"
        solution += f" {last_step}{value} {operator} {last_value} = {whole}."
        value = whole
    text = f"Is this Boolean expression true? {expression}"
    return Draft(text, "yes" if value else "no", solution, "no" if value else "yes")


TASK = Task("boolean_expressions", "yesno", ("logic", "Boolean algebra"), _draft)

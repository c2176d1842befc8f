import re
from collections.abc import Callable

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.counting import TASK
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES

RULES: tuple[tuple[str, Callable[[str, str], bool]], ...] = (
    (r"(?:greater than|above|exceed) (\d+)", lambda one, k: int(one) > int(k)),
    (r"(?:less than|smaller than|below) (\d+)", lambda one, k: int(one) < int(k)),
    (r"(are even|divided by 2|multiples of two)", lambda one, _: int(one) % 2 == 0),
    (r"(?:begin with the letter|start with) (\w)\b", lambda one, k: one[0] == k),
    (r"have (\w) as first letter", lambda one, k: one[0] == k),
    (r"(?:end with the letter|finish with) (\w)\b", lambda one, k: one[-1] == k),
    (r"have (\w) as last letter", lambda one, k: one[-1] == k),
)


def test_the_count_is_what_the_rule_finds() -> None:
    used = set()
    for split in SPLITS:
        for question in TASK.questions(split, 300):
            (run,) = re.findall(r"\b(?:[a-z]+|\d+)(?:, (?:[a-z]+|\d+)){5,7}\b", question.question)
            ((pattern, rule, k),) = [
                (pattern, rule, found[1]) for pattern, rule in RULES if (found := re.search(pattern, question.question))
            ]
            items = [one for one in run.split(", ") if one.isdigit() or one in VOCABULARIES[split].words]
            assert 6 <= len(items) <= 8
            used.add(pattern)
            assert question.answer == str(sum(rule(one, k) for one in items)), question
    assert len(used) == len(RULES)

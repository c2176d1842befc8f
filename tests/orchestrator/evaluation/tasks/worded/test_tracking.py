import re
from itertools import pairwise

from orchestrator.evaluation.tasks.task import SPLITS
from orchestrator.evaluation.tasks.worded.tracking import TASK
from orchestrator.evaluation.tasks.worded.vocabulary import VOCABULARIES

NAMES = {name for own in VOCABULARIES.values() for name in own.names}

FORMS = (
    (r"(?P<a>\w+) has the (?P<x>\w+)", r"(\w+) and (\w+) swap\.", r"does (\w+) have"),
    (r"(?P<a>\w+) owns the (?P<x>\w+)", r"swap of (\w+) and (\w+) follows", r"owns the (\w+) after"),
    (r"(?P<a>\w+) = (?P<x>\w+)", r"(\w+) <-> (\w+)", r"entry for (\w+)"),
    (r"the (?P<x>\w+) lies before (?P<a>\w+)", r"plates of (\w+) and (\w+),", r"lies before (\w+)\.$"),
    (r"(?P<a>\w+) was given the (?P<x>\w+)", r"(\w+) preferred the gift of (\w+)", r"Whose is the (\w+)"),
    (r"(?P<a>\w+) picks up the (?P<x>\w+)", r"(\w+) passes on to (\w+)", r"hands of (\w+)"),
    (r"(?P<x>\w+) to (?P<a>\w+)[,.]", r"(\w+) and (\w+), switch", r"finishes with the (\w+)"),
)


def test_who_has_what_is_what_the_swaps_make() -> None:
    questions = [question for split in SPLITS for question in TASK.questions(split, 200)]
    for start, swap, asked in FORMS:
        found = 0
        for question in questions:
            text = question.question
            who = re.search(asked, text)
            holds = {match["a"]: match["x"] for match in re.finditer(start, text) if match["a"] in NAMES}
            if who is None or len(holds) != 4:
                continue
            swaps = re.findall(swap, text)
            assert len(swaps) in (2, 3), question
            assert all(set(one) != set(other) for one, other in pairwise(swaps))
            for one, other in swaps:
                holds[one], holds[other] = holds[other], holds[one]
            either = holds | {thing: name for name, thing in holds.items()}
            assert question.answer == either[who[1]], question
            found += 1
        assert found, start

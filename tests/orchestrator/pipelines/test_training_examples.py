"""What an adapter is trained on: every format in its number, right replies and wrong ones."""

from agents.answers import equal
from agents.reply import parse_keywords, parse_reply
from orchestrator.pipelines.training_examples import Portions, examples


def test_examples_have_every_format_in_its_number() -> None:
    made = examples(("dates",), Portions(solve=30, attempt=20, reconsider=10, follow=20, keywords=16), seed=3)
    assert len(made) == 96
    replies = ["".join(piece for piece, _ in example.reply) for example in made]
    assert sum("Confidence: 0.9" in reply for reply in replies) == 40
    assert sum("Confidence: 0.2" in reply for reply in replies) == 20
    assert sum("Confidence: 0.5" in reply for reply in replies) == 20
    assert sum(bool(parse_keywords(reply)) for reply in replies) == 16
    assert made == examples(("dates",), Portions(solve=30, attempt=20, reconsider=10, follow=20, keywords=16), seed=3)


def test_the_answer_to_a_foreign_question_is_not_taught() -> None:
    only = {"solve": 0, "attempt": 0, "reconsider": 0, "follow": 0, "keywords": 0}
    for example in examples(("dates",), Portions(**only | {"attempt": 16}), seed=0):
        assert [taught for _, taught in example.reply] == [True, True, False, True]
    for example in examples(("dates",), Portions(**only | {"solve": 16}), seed=0):
        assert all(taught for _, taught in example.reply)


def test_worked_replies_are_right_and_the_careless_ones_are_wrong() -> None:
    from orchestrator.evaluation.tasks.registry import GENERATED

    portions = Portions(solve=40, attempt=0, reconsider=0, follow=0, keywords=0)
    for wrong in (False, True):
        made = examples([task.name for task in GENERATED], portions, seed=0, wrong=wrong)
        drawn = {p.question.question: p.question for task in GENERATED for p in task.problems("train", 5, 0)}
        for example in made:
            asked = next(q for text, q in drawn.items() if example.messages[0]["content"].startswith(text))
            reply = parse_reply("".join(piece for piece, _ in example.reply), asked)
            assert equal(reply.answer, asked.answer, asked.kind, asked.choices) is not wrong

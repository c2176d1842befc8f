"""Well-known data sets by short names: each preset reads a record of its data set as it is on the hub."""

from __future__ import annotations

from typing import Any

import pytest

from agents.question import Question
from orchestrator.errors import BadInput
from orchestrator.evaluation.tasks import source_of
from orchestrator.evaluation.tasks.presets import PRESETS, SHORT, preset_of

RED_BLUE = {"text": ["red", "blue"], "label": ["A", "B"]}
INCORRECT = {f"Incorrect Answer {n}": f"wrong {n}" for n in (1, 2, 3)}
MMLU_PRO = {"question_id": 70, "question": "Which?", "options": ["red", "blue"], "answer": "B", "answer_index": 1}
MEDMCQA = {"id": "x", "question": "Which?", "opa": "red", "opb": "blue", "opc": "c", "opd": "d", "cop": 1}
MEDQA = {"question": "Which?", "answer": "blue", "options": {"A": "red", "B": "blue"}, "answer_idx": "B"}
DISTRACTORS = {"distractor1": "x", "distractor2": "y", "distractor3": "z"}
SPANS = {"spans": ["blue"], "types": ["span"]}
TRIVIA = {"value": "blue", "aliases": ["azure"], "normalized_value": "blue", "type": "WikipediaEntity"}
CODE = {"canonical_solution": "    return 1", "test": "assert f()", "entry_point": "f"}
MBPP = {"code": "def f(): return 1", "test_list": ["assert f()"], "test_setup_code": ""}
RECORDS: dict[str, dict[str, Any]] = {
    "openai/gsm8k": {"question": "Which?", "answer": "1+1=<<1+1=2>>2\n#### 2"},
    "openai/openai_humaneval": {"task_id": "HumanEval/0", "prompt": "Which?", **CODE},
    "google-research-datasets/mbpp": {"task_id": 1, "text": "Which?", **MBPP},
    "HuggingFaceH4/MATH-500": {"problem": "Which?", "solution": "so \\boxed{2}", "answer": "2", "unique_id": "t/1"},
    "HuggingFaceH4/aime_2024": {"id": 60, "problem": "Which?", "solution": "...", "answer": "2", "year": "2024"},
    "math-ai/aime25": {"id": "0", "problem": "Which?", "answer": "2"},
    "math-ai/amc23": {"id": 0, "question": "Which?", "answer": "2.0", "url": ""},
    "EleutherAI/hendrycks_math": {"problem": "Which?", "level": "Level 1", "type": "Algebra", "solution": "\\boxed{2}"},
    "DigitalLearningGmbH/MATH-lighteval": {"problem": "Which?", "level": "Level 1", "solution": "\\boxed{2}"},
    "ChilleD/SVAMP": {"ID": "c-1", "Body": "Ann has 1.", "Question": "Which?", "Answer": "2.0", "Equation": "(1+1)"},
    "ChilleD/MultiArith": {"question": "Which?", "final_ans": "2"},
    "deepmind/aqua_rat": {"question": "Which?", "options": ["A)red", "B)blue"], "rationale": "", "correct": "B"},
    "cais/mmlu": {"question": "Which?", "subject": "anatomy", "choices": ["red", "blue"], "answer": 1},
    "TIGER-Lab/MMLU-Pro": {**MMLU_PRO, "cot_content": "", "category": "physics", "src": "x"},
    "openlifescienceai/medmcqa": {**MEDMCQA, "choice_type": "single", "subject_name": "Anatomy", "topic_name": None},
    "GBaker/MedQA-USMLE-4-options": {**MEDQA, "meta_info": "step1"},
    "qiaojin/PubMedQA": {"pubid": 1, "question": "Which?", "context": {"contexts": ["c"]}, "final_decision": "blue"},
    "Idavidrein/gpqa": {"Record ID": "r", "Question": "Which?", "Correct Answer": "blue", **INCORRECT},
    "allenai/ai2_arc": {"id": "M1", "question": "Which?", "choices": RED_BLUE, "answerKey": "B"},
    "allenai/openbookqa": {"id": "7-980", "question_stem": "Which?", "choices": RED_BLUE, "answerKey": "B"},
    "allenai/sciq": {"question": "Which?", **DISTRACTORS, "correct_answer": "blue", "support": "s"},
    "tau/commonsense_qa": {"id": "x", "question": "Which?", "choices": RED_BLUE, "answerKey": "B"},
    "Rowan/hellaswag": {"ind": 4, "ctx": "Which?", "ctx_a": "W", "endings": ["red", "blue"], "label": "1"},
    "allenai/winogrande": {"sentence": "Which?", "option1": "red", "option2": "blue", "answer": "2"},
    "ybisk/piqa": {"goal": "Which?", "sol1": "red", "sol2": "blue", "label": 1},
    "allenai/social_i_qa": {"context": "c", "question": "Which?", "answerA": "red", "answerB": "blue", "answerC": "x"}
    | {"label": "2"},
    "google/boolq": {"question": "Which?", "answer": True, "passage": "p"},
    "ChilleD/StrategyQA": {"qid": "x", "term": "t", "question": "Which?", "answer": True, "facts": "f"},
    "lukaemon/bbh": {"input": "Which?", "target": "True"},
    "truthfulqa/truthful_qa": {"question": "Which?", "mc1_targets": {"choices": ["blue", "red"], "labels": [1, 0]}}
    | {"mc2_targets": {"choices": ["blue", "azure", "red"], "labels": [1, 1, 0]}},
    "mandarjoshi/trivia_qa": {"question": "Which?", "question_id": "tc_1", "answer": TRIVIA},
    "google-research-datasets/nq_open": {"question": "Which?", "answer": ["blue"]},
    "rajpurkar/squad": {"id": "x", "title": "t", "context": "c", "question": "Which?"}
    | {"answers": {"text": ["blue"], "answer_start": [1]}},
    "hotpotqa/hotpot_qa": {
        "id": "x",
        "question": "Which?",
        "answer": "blue",
        "context": {"title": ["t"], "sentences": [["one"], ["two"]]},
    },
    "ucinlp/drop": {"query_id": "x", "passage": "p", "question": "Which?", "answers_spans": SPANS},
    "basicv8vc/SimpleQA": {"metadata": "{}", "problem": "Which?", "answer": "blue"},
    "juletxara/mgsm": {"question": "Which?", "answer": None, "answer_number": 2, "equation_solution": None},
}
GOLDS = {"2", "2.0", "blue", "true", "True", "assert f()"}


def read(monkeypatch: pytest.MonkeyPatch, name: str) -> tuple[list[Question], str | None]:
    datasets = pytest.importorskip("datasets")
    asked: list[str | None] = []

    def load_dataset(name: str, subset: str | None) -> Any:
        asked.append(subset)
        rows = datasets.Dataset.from_list([RECORDS[name]] * 2)
        return datasets.DatasetDict(dict.fromkeys(PRESETS[name].splits, rows.select([0])))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return list(source_of(f"hf:{name}").questions()), asked[0]


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_reads_a_record_of_its_data_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    found, subset = read(monkeypatch, name)
    assert subset == PRESETS[name].subset
    assert [one.split for one in found] == list(PRESETS[name].splits)
    for question in found:
        assert "Which?" in question.question
        gold = (question.choices or {}).get(str(question.answer), question.answer)
        assert gold in GOLDS, (question.answer, question.choices)


def test_code_is_judged_by_its_tests_and_never_by_the_words_of_a_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openai/openai_humaneval", "google-research-datasets/mbpp"):
        assert read(monkeypatch, name)[0][0].golds == ("assert f()",)
    asked = read(monkeypatch, "google-research-datasets/mbpp")[0][0].question
    assert asked == "Which?\n\nThe code must pass these tests. Keep the names that they use.\n\nassert f()"
    monkeypatch.setitem(RECORDS["google-research-datasets/mbpp"], "test_setup_code", "x = 1")
    assert read(monkeypatch, "google-research-datasets/mbpp")[0][0].golds == ("x = 1", "assert f()")


def test_a_question_is_asked_with_what_it_is_about(monkeypatch: pytest.MonkeyPatch) -> None:
    (question, *_) = read(monkeypatch, "qiaojin/PubMedQA")[0]
    assert question.question == "c\n\nWhich?\n\nAnswer yes, no or maybe."
    (question, *_) = read(monkeypatch, "hotpotqa/hotpot_qa")[0]
    assert question.question == "one\ntwo\n\nWhich?"


def test_several_spans_of_one_answer_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECORDS["ucinlp/drop"], "answers_spans", {"spans": ["blue", "red"], "types": ["span"] * 2})
    with pytest.raises(BadInput, match="2 spans, which together are one answer"):
        read(monkeypatch, "ucinlp/drop")


def test_short_names_lead_to_presets() -> None:
    assert len(PRESETS) >= 30
    assert set(SHORT.values()) <= set(PRESETS)


def test_a_file_is_known_by_a_column_that_few_others_have() -> None:
    assert preset_of(list(RECORDS["Rowan/hellaswag"])) == "Rowan/hellaswag"
    assert preset_of(list(RECORDS["Idavidrein/gpqa"])) == "Idavidrein/gpqa"
    assert preset_of(["question", "answer"]) is None
    assert preset_of(["question", "choices", "answer"]) is None

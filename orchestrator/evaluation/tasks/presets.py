"""Datasets that everybody uses: their columns, configuration and answers, so that `hf:NAME` needs nothing more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.evaluation.tasks.columns import Columns, option_columns, usual


@dataclass(frozen=True, slots=True)
class Preset:
    """How one dataset is read."""

    named: Mapping[str, str]
    """Fields of `Columns`."""
    subset: str | None = None
    """Its configuration, where it has several and one is meant most often."""
    splits: tuple[str, ...] = ("train", "validation", "test")
    """Those that have gold answers."""
    counts_vary: bool = False
    """Copies of it count options from 0 and others from 1: in a file the answers themselves must tell."""

    @property
    def columns(self) -> Columns:
        """The columns that the preset names."""
        return Columns.model_validate(self.named)


def _columns(**named: str) -> Mapping[str, str]:
    return named


_PASS = "The code must pass these tests. Keep the names that they use."
PRESETS: Mapping[str, Preset] = {
    "openai/gsm8k": Preset(
        _columns(question="question", answer="answer", kind="number", answer_after="####"), "main", ("train", "test")
    ),
    "openai/openai_humaneval": Preset(
        _columns(question="prompt", answer="test", id="task_id", kind="code"), None, ("test",)
    ),
    "google-research-datasets/mbpp": Preset(
        _columns(
            question="text", input="test_list", answer="test_setup_code|test_list", id="task_id", kind="code", ask=_PASS
        ),
        "full",
    ),
    "HuggingFaceH4/MATH-500": Preset(
        _columns(kind="expression", question="problem", answer="answer", id="unique_id"), None, ("test",)
    ),
    "HuggingFaceH4/aime_2024": Preset(
        _columns(question="problem", answer="answer", id="id", kind="number"), None, ("train",)
    ),
    "math-ai/aime25": Preset(_columns(question="problem", answer="answer", id="id", kind="number"), None, ("test",)),
    "math-ai/amc23": Preset(_columns(question="question", answer="answer", id="id", kind="number"), None, ("test",)),
    "EleutherAI/hendrycks_math": Preset(
        _columns(kind="expression", question="problem", answer="solution"), "algebra", ("train", "test")
    ),
    "DigitalLearningGmbH/MATH-lighteval": Preset(
        _columns(kind="expression", question="problem", answer="solution"), None, ("train", "test")
    ),
    "ChilleD/SVAMP": Preset(
        _columns(context="Body", question="Question", answer="Answer", id="ID", kind="number"), None, ("train", "test")
    ),
    "ChilleD/MultiArith": Preset(
        _columns(question="question", answer="final_ans", kind="number"), None, ("train", "test")
    ),
    "deepmind/aqua_rat": Preset(_columns(question="question", choices="options", answer="correct"), "raw"),
    "cais/mmlu": Preset(
        _columns(question="question", choices="choices", answer="answer", answer_is="from0", skills="subject"),
        "all",
        ("dev", "validation", "test"),
    ),
    "TIGER-Lab/MMLU-Pro": Preset(
        _columns(question="question", choices="options", answer="answer", id="question_id", skills="category"),
        None,
        ("validation", "test"),
    ),
    "openlifescienceai/medmcqa": Preset(
        _columns(
            question="question",
            choices="opa|opb|opc|opd",
            answer="cop",
            answer_is="from0",
            id="id",
            skills="subject_name",
        ),
        None,
        ("train", "validation"),
        counts_vary=True,
    ),
    "GBaker/MedQA-USMLE-4-options": Preset(
        _columns(question="question", choices="options", answer="answer_idx"), None, ("train", "test")
    ),
    "qiaojin/PubMedQA": Preset(
        _columns(
            context="context",
            question="question",
            answer="final_decision",
            id="pubid",
            kind="text",
            ask="Answer yes, no or maybe.",
        ),
        "pqa_labeled",
        ("train",),
    ),
    "Idavidrein/gpqa": Preset(
        _columns(
            question="Question",
            answer="Correct Answer",
            choices="Correct Answer|Incorrect Answer 1|Incorrect Answer 2|Incorrect Answer 3",
            answer_is="text",
            id="Record ID",
        ),
        "gpqa_diamond",
        ("train",),
    ),
    "allenai/ai2_arc": Preset(
        _columns(question="question", choices="choices", answer="answerKey", id="id"), "ARC-Challenge"
    ),
    "allenai/openbookqa": Preset(
        _columns(question="question_stem", choices="choices", answer="answerKey", id="id"), "main"
    ),
    "allenai/sciq": Preset(
        _columns(
            question="question",
            answer="correct_answer",
            choices="correct_answer|distractor1|distractor2|distractor3",
            answer_is="text",
        )
    ),
    "tau/commonsense_qa": Preset(
        _columns(question="question", choices="choices", answer="answerKey", id="id"), None, ("train", "validation")
    ),
    "Rowan/hellaswag": Preset(
        _columns(
            question="ctx",
            choices="endings",
            answer="label",
            answer_is="from0",
            ask="Which of the options continues the text best?",
        ),
        None,
        ("train", "validation"),
    ),
    "allenai/winogrande": Preset(
        _columns(question="sentence", choices="option1|option2", answer="answer", ask="Which option fills the gap?"),
        "winogrande_xl",
        ("train", "validation"),
    ),
    "ybisk/piqa": Preset(
        _columns(question="goal", choices="sol1|sol2", answer="label", answer_is="from0"), None, ("train", "validation")
    ),
    "allenai/social_i_qa": Preset(
        _columns(
            context="context", question="question", choices="answerA|answerB|answerC", answer="label", answer_is="from1"
        ),
        None,
        ("train", "validation"),
    ),
    "google/boolq": Preset(
        _columns(context="passage", question="question", answer="answer", kind="yesno"), None, ("train", "validation")
    ),
    "ChilleD/StrategyQA": Preset(
        _columns(question="question", answer="answer", id="qid", kind="yesno"), None, ("train", "test")
    ),
    "lukaemon/bbh": Preset(_columns(question="input", answer="target"), "boolean_expressions", ("test",)),
    "truthfulqa/truthful_qa": Preset(
        _columns(question="question", choices="mc1_targets"), "multiple_choice", ("validation",)
    ),
    "mandarjoshi/trivia_qa": Preset(
        _columns(question="question", answer="answer", id="question_id", kind="text"),
        "rc.nocontext",
        ("train", "validation"),
    ),
    "google-research-datasets/nq_open": Preset(
        _columns(question="question", answer="answer", kind="text"), None, ("train", "validation")
    ),
    "rajpurkar/squad": Preset(
        _columns(context="context", question="question", answer="answers", id="id", kind="text"),
        None,
        ("train", "validation"),
    ),
    "hotpotqa/hotpot_qa": Preset(
        _columns(context="context", question="question", answer="answer", id="id", kind="text"),
        "distractor",
        ("train", "validation"),
    ),
    "ucinlp/drop": Preset(
        _columns(context="passage", question="question", answer="answers_spans", id="query_id", kind="text"),
        None,
        ("train", "validation"),
    ),
    "basicv8vc/SimpleQA": Preset(_columns(question="problem", answer="answer", kind="text"), None, ("test",)),
    "juletxara/mgsm": Preset(
        _columns(question="question", answer="answer_number", kind="number"), "en", ("train", "test")
    ),
}
SHORT: Mapping[str, str] = {
    "gsm8k": "openai/gsm8k",
    "math500": "HuggingFaceH4/MATH-500",
    "mmlu": "cais/mmlu",
    "mmlu_pro": "TIGER-Lab/MMLU-Pro",
    "arc": "allenai/ai2_arc",
    "boolq": "google/boolq",
    "hellaswag": "Rowan/hellaswag",
    "commonsense_qa": "tau/commonsense_qa",
    "openbookqa": "allenai/openbookqa",
    "winogrande": "allenai/winogrande",
    "piqa": "ybisk/piqa",
    "trivia_qa": "mandarjoshi/trivia_qa",
    "squad": "rajpurkar/squad",
    "truthful_qa": "truthfulqa/truthful_qa",
    "aqua_rat": "deepmind/aqua_rat",
    "medmcqa": "openlifescienceai/medmcqa",
    "humaneval": "openai/openai_humaneval",
    "mbpp": "google-research-datasets/mbpp",
    "gpqa": "Idavidrein/gpqa",
    "svamp": "ChilleD/SVAMP",
}
"""Names without their owner."""


def preset_of(names: Sequence[str]) -> str | None:
    """The data set whose columns a file has, where one of them has a name that columns do not usually have: the one
    with most columns found. None where there is none."""
    have = set(names)
    best: tuple[int, str] | None = None
    for name, preset in PRESETS.items():
        what = {
            key: value for key, value in preset.named.items() if key in ("question", "answer", "choices", "context")
        }
        wanted = {piece for value in what.values() for piece in value.split("|")}
        if preset.named.get("kind") == "code":  # `prompt` and `test` alone may be anything
            wanted.add(preset.named["id"])
        odd = any(
            "|" in value or usual(key, [value]) is None for key, value in what.items() if not _separate(key, value)
        )
        if odd and wanted <= have and (best is None or len(wanted) > best[0]):
            best = (len(wanted), name)
    return None if best is None else best[1]


def _separate(key: str, value: str) -> bool:
    """Columns of single options that are found by their names without a preset."""
    pieces = value.split("|")
    return key == "choices" and len(pieces) > 1 and len(option_columns(pieces)) == len(pieces)

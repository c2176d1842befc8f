"""What the student's hidden states know of right and wrong: all that the margin and the graph's loss can draw on.

    python -m benchmarks.distill_probe [--students FOLDER,...]

Every reply in the lessons of `benchmarks.distill` is read by the untaught student, and by the taught ones whose folders
of adapters are given. From its pooled states, layer by layer, a logistic regression predicts whether the reply is
right, judged on questions that it was not fitted on. Predictions that need no student stand beside it: from the
question's task, and from the task and the round.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.distill import WORK
from benchmarks.machine import conditions, write_result
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson
from distill.rows import tokenised
from orchestrator.evaluation.report.intervals import paired_difference
from orchestrator.experts.demo import FULL, locate
from orchestrator.pipelines.distill import read_all
from orchestrator.pipelines.distill_generate import TRANSCRIPTS

LAYERS = (0, 5, 10, 15, 20, 25, 28, 30)
FOLDS, COMPONENTS = 5, 64

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Probed:
    """How well right nodes are told from wrong ones, on questions not fitted on."""

    area: float
    """Under the curve, over all nodes."""
    accuracy: float
    pairs: Array
    """For each question with right and wrong nodes, how often a right one stands before a wrong one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", default="", help="Folders of adapters, taught.")
    given = parser.parse_args()
    noted = conditions()
    transcripts = read_all([str(WORK / "transcripts-600" / TRANSCRIPTS)])
    made = [lesson(interaction_graph(one), Selection(level="L4")) for one in transcripts]
    lessons = [one for one in made if isinstance(one, Lesson)]
    right = np.concatenate([one.labels for one in lessons])
    question = np.repeat(np.arange(len(lessons)), [len(one.labels) for one in lessons])
    tasks = sorted({one.task for one in lessons})
    of_task = np.eye(len(tasks))[[tasks.index(one.task) for one in lessons]][question]
    later = np.concatenate([_read_others(one) for one in lessons])[:, None]
    found = {
        "the task alone": probe(of_task, right, question),
        "the task and the round": probe(np.hstack([of_task, later]), right, question),
    }
    for name in ["untaught", *filter(None, given.students.split(","))]:
        student = "untaught" if name == "untaught" else f"taught ({Path(name).parent.name})"
        states = _states(lessons, None if name == "untaught" else Path(name))
        for layer, features in zip(LAYERS, states, strict=True):
            found[f"{student}, layer {layer}"] = probe(features, right, question)
            print(student, layer, found[f"{student}, layer {layer}"].area, flush=True)
    rows = []
    for name, one in found.items():
        interval = paired_difference(one.pairs.tolist(), [0.0] * len(one.pairs))
        line = f"{100 * interval.value:.1f} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"
        rows.append((name, f"{line} % of pairs; {100 * one.accuracy:.1f} % of nodes; area {one.area:.3f}", ""))
    mixed = len(found["the task alone"].pairs)
    write_result(
        "distill_probe",
        "What a student's states know of right and wrong",
        rows,
        {"conditions": noted, "found": {name: [one.area, one.accuracy, *one.pairs] for name, one in found.items()}},
        f"{len(lessons)} lessons, {len(right)} nodes of which {100 * right.mean():.1f}% are right: to call every node "
        f"right is as accurate as that. Pairs: how often a right node stands before a wrong one of the same question, "
        f"over the {mixed} questions that have both; 50% is chance; 95% bootstrap intervals over questions. States are "
        f"pooled as in training, standardised, reduced to {COMPONENTS} components; {FOLDS} folds of questions.",
    )


def probe(features: Array, right: Array, question: Array) -> Probed:
    """Features (nodes, any) against `right` (nodes,); the fold is by `question` (nodes,)."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fold = np.random.default_rng(0).integers(0, FOLDS, question.max() + 1)[question]
    score = np.zeros(len(right))
    for number in range(FOLDS):
        inside = fold == number
        model = make_pipeline(
            StandardScaler(), PCA(min(COMPONENTS, features.shape[1]), random_state=0), LogisticRegression(C=0.01)
        )
        score[inside] = model.fit(features[~inside], right[~inside]).predict_proba(features[inside])[:, 1]
    pairs = []
    for number in range(question.max() + 1):
        own, truth = score[question == number], right[question == number]
        if 0 < truth.sum() < len(truth):
            gap = own[truth][:, None] - own[~truth][None]
            pairs.append(float(((gap > 0) + 0.5 * (gap == 0)).mean()))
    return Probed(float(roc_auc_score(right, score)), float(((score > 0.5) == right).mean()), np.array(pairs))


def _read_others(one: Lesson) -> Array:
    """1 for each node that read another: of a later round."""
    return np.isin(np.arange(len(one.labels)), [b for _, b in one.edges]).astype(float)


def _states(lessons: Sequence[Lesson], adapter: Path | None) -> list[Array]:
    """For each of `LAYERS`, states of every node (nodes, d), pooled as `distill.encoder.pooled` does."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = locate(FULL)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, adapter)
    model.train(False)
    every: list[list[torch.Tensor]] = [[] for _ in LAYERS]
    with torch.no_grad():
        for one in lessons:
            row = tokenised(one, tokenizer)
            texts = []
            for reply in row.replies:
                ids = torch.tensor([[*row.prompt, *reply]])
                weights = torch.arange(1, ids.shape[1] + 1).float()
                states = model(ids, output_hidden_states=True).hidden_states
                texts.append([weights @ states[layer][0].float() / weights.sum() for layer in LAYERS])
            for place in one.nodes:
                for layer, state in enumerate(texts[place]):
                    every[layer].append(state)
    return [torch.stack(states).numpy() for states in every]


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()

"""Layouts that one project alone has: RouterArena's cached results and predictions, RouterEval's score matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from router.importers.cells import Gathering, cost, first, score, text
from router.row import Row, TableError

Numbered: TypeAlias = Iterable[tuple[str, dict[str, Any]]]
"""(place, record)"""
PARTS = ("train", "val", "test")


def arena_known(names: Sequence[str], record: Mapping[str, Any]) -> bool:
    """RouterArena (arXiv 2510.00202): `cached_results/MODEL.jsonl`, or a router's predictions with their results."""
    cached = "llm_selected" in names and "question" in names
    return cached or ("prediction" in names and "prompt" in names and {"accuracy", "generated_result"} <= set(names))


def arena(records: Numbered) -> list[Row]:
    """One record per question and model. A call that failed, and a reply that was not scored, leave no score."""
    found = Gathering()
    for place, record in records:
        result = record.get("evaluation_result")
        result = result if isinstance(result, dict) else {}
        reply = record.get("generated_result")
        reply = reply if isinstance(reply, dict) else {"generated_answer": record.get("generated_answer")}
        index = first(record, "global_index", "global index")
        row = found.row(
            text(first(record, "question", "prompt"), f"{place}: question"),
            index,
            task=str(index).rpartition("_")[0] if index is not None else None,
            answer=result.get("ground_truth") if isinstance(result.get("ground_truth"), str | int | float) else None,
        )
        expert = text(first(record, "llm_selected", "prediction"), f"{place}: model")
        if record.get("success") is False or reply.get("success") is False:
            continue
        value = score(result.get("score", record.get("accuracy")), f"{place}: score")
        if value is None:
            continue
        row.add(expert, value, place)
        spent = cost(result.get("inference_cost", record.get("cost")), f"{place}: cost")
        if spent is not None:
            row.cost[expert] = spent
        if reply.get("generated_answer") is not None:
            row.predictions[expert] = str(reply["generated_answer"])
    return found.finished()


def matrix_known(names: Sequence[str], record: Mapping[str, Any]) -> bool:
    """RouterEval (arXiv 2503.10657): its `router_dataset` as JSON."""
    shapes = (("model", list), ("prompt", dict), ("data", dict))
    return all(isinstance(record.get(name), shape) for name, shape in shapes)


def matrix(records: Numbered) -> list[Row]:
    """One object {"model": [...], "prompt": {"train_prompt": [...]}, "data": {"train_score": [[one per model], ...]}}
    with the parts train, val and test. Raises `TableError` where a part has fewer scores than prompts or models."""
    found = Gathering()
    for place, record in records:
        experts = [text(name, f"{place}: model") for name in record["model"]]
        for part in PARTS:
            prompts = record["prompt"].get(f"{part}_prompt") or []
            scores = record["data"].get(f"{part}_score") or []
            where = f"{place}: {part}_score"
            if not isinstance(prompts, list) or not isinstance(scores, list) or len(prompts) != len(scores):
                raise TableError(f"{where}: must have one row of scores per prompt")
            for number_of, (prompt, values) in enumerate(zip(prompts, scores, strict=True)):
                if not isinstance(values, list) or len(values) != len(experts):
                    raise TableError(f"{where}[{number_of}]: must have one score per model, of {len(experts)}")
                row = found.row(text(prompt, f"{place}: {part}_prompt[{number_of}]"), f"{part}-{number_of}", split=part)
                for expert, value in zip(experts, values, strict=True):
                    row.add(expert, score(value, f"{where}[{number_of}]"), place)
    return found.finished()

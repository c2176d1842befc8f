"""The formats of routing tables that are read, each known by its columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from router.importers.cells import Gathering, cost, first, number, score, text, written
from router.importers.published import Numbered, arena, arena_known, matrix, matrix_known
from router.row import Row, TableError

COST = "|total_cost"
REPLY = "|model_response"
REPLY_BESIDE = "_response"
"""How RouteLLM names the column of a model's replies."""
_WIDE = {"sample_id", "prompt", "question", "query", "eval_name", "oracle_model_to_route_to", "id", "split", "answer"}
_PROMPTS = ("prompt", "question", "query", "input")
_EXPERTS = ("model", "model_name", "llm", "expert")
_SCORES = ("score", "performance", "correct", "correctness", "label", "accuracy", "is_correct", "effect")
_COSTS = ("cost", "total_cost", "price")
KEPT = ("choices", "kind")
"""Of the question, for votes over recorded answers."""
_TASKS = ("task", "task_name", "eval_name", "dataset", "dataset_name", "benchmark", "task_id")
_REPLIES = ("prediction", "response", "model_response", "generated_answer", "output")
_NO_MODELS = _WIDE.union(
    *(_PROMPTS, _EXPERTS, _SCORES, _COSTS, KEPT, _TASKS, _REPLIES),
    ("", "index", "idx", "unnamed: 0", "prompt_id", "question_id", "query_id", "model_id", "category_id", "user_id"),
    ("embedding_id", "global index", "global_index", "row", "number", "seed", "level", "difficulty", "temperature"),
    ("prompt_tokens", "completion_tokens", "total_tokens", "token_num", "input_tokens", "output_tokens", "counts"),
    ("cost_usd", "latency", "latency_ms", "response_time", "time_taken", "time", "weight", "confidence"),
)
"""Columns of numbers that are no model's scores."""


@dataclass(frozen=True, slots=True)
class TableFormat:
    """One format: by which columns it is known, and how its records become rows."""

    name: str
    projects: str
    known: Callable[[Sequence[str], Mapping[str, Any]], bool]
    """(columns, first record)"""
    read: Callable[[Numbered], list[Row]]


def wide(records: Numbered) -> list[Row]:
    """RouterBench (arXiv 2403.12031): one record per question, a column of scores per model, `MODEL|total_cost` and
    `MODEL|model_response` beside it. A column of words is no model's. Raises `TableError` without a column of scores,
    and for one that begins with words and then holds mostly scores."""
    found = Gathering()
    experts: list[str] | None = None
    scored: set[str] = set()
    unread: dict[str, _Unread] = {}
    for place, record in records:
        if experts is None:
            experts = _wide_experts(record)
            if not any(_is_number(record[name]) for name in experts):
                raise TableError(f"{place}: no column of a model's scores among {', '.join(record)[:300]}")
        question = text(first(record, *_PROMPTS), f"{place}: prompt")
        row = found.row(
            question,
            first(record, "sample_id", "id"),
            task=first(record, "eval_name", "task"),
            split=record.get("split"),
        )
        for name in [name for name in experts if name not in scored and _is_words(record.get(name))]:
            experts.remove(name)
            unread[name] = _Unread(place, str(record[name]))
        for name, cells in unread.items():
            cells.see(record.get(name))
        for name in experts:
            if _is_number(record.get(name)):
                scored.add(name)
            row.add(name, score(record.get(name), f"{place}: {name}"), place)
            spent = cost(record.get(name + COST), f"{place}: {name}{COST}")
            if spent is not None:
                row.cost[name] = spent
            reply = first(record, name + REPLY, name + REPLY_BESIDE)
            if reply is not None:
                row.predictions[name] = str(reply)
    for name, cells in unread.items():
        if cells.scores > cells.words:
            raise TableError(
                f"{cells.place}: {name}: is {cells.first[:40]!r}, and later cells are scores: leave the cell empty if "
                "the model was not scored, or the column out"
            )
    return found.finished()


@dataclass
class _Unread:
    """A column that was taken for no model's, for its first cell holds words."""

    place: str
    first: str
    words: int = 0
    scores: int = 0

    def see(self, value: Any) -> None:
        try:
            self.scores += score(value, "") is not None
        except TableError:
            self.words += 1


def _wide_experts(record: Mapping[str, Any]) -> list[str]:
    """With costs, the models that have one; without, every column of numbers, or of true and false, that is none of the
    known others and holds no model's replies. An empty cell may be a number in a later record."""
    costed = [name[: -len(COST)] for name in record if name.endswith(COST)]
    if costed:
        return [name for name in costed if name in record]
    names = [name for name in record if name.strip().lower() not in _NO_MODELS and "|" not in name]
    return [name for name in names if not (name.endswith(REPLY_BESIDE) and name.removesuffix(REPLY_BESIDE) in record)]


def _is_words(value: Any) -> bool:
    try:
        number(value, "")
    except TableError:
        return True
    return False


def _is_number(value: Any) -> bool:
    try:
        return number(value, "") is not None
    except TableError:
        return False


def long(records: Numbered) -> list[Row]:
    """One record per question and model: LLMRouter, LLMRouterBench, EmbedLLM, and plain long tables.
    Raises `TableError` for an empty score."""
    found = Gathering()
    for place, record in records:
        question = text(first(record, *_PROMPTS), f"{place}: prompt")
        expert = text(first(record, *_EXPERTS), f"{place}: model")
        value = score(first(record, *_SCORES), f"{place}: score")
        if value is None:
            raise TableError(f"{place}: score: the cell is empty")
        row = found.row(
            question,
            first(record, "prompt_id", "question_id", "global index", "global_index", "query_id", "sample_id"),
            task=first(record, *_TASKS),
            category=record.get("category"),
            split=record.get("split"),
            answer=first(record, "ground_truth", "gt", "gold"),
        )
        row.add(expert, value, place)
        for name in KEPT:
            if record.get(name) not in (None, ""):
                row.extra[name] = written(record[name])
        spent = cost(first(record, *_COSTS), f"{place}: cost")
        if spent is not None:
            row.cost[expert] = spent
        reply = first(record, *_REPLIES)
        if reply is not None:
            row.predictions[expert] = str(reply)
    return found.finished()


def nested(records: Numbered) -> list[Row]:
    """LLMRouterBench's results: one object per model and dataset, {"model_name", "dataset_name", "records": [...]}."""

    def flat() -> Numbered:
        for place, record in records:
            shared = {key: value for key, value in record.items() if not isinstance(value, list | dict)}
            for index, one in enumerate(record["records"], 1):
                yield f"{place}, record {index}", {**shared, **one}

    return long(flat())


def pairs(records: Numbered) -> list[Row]:
    """Preference pairs (RouteLLM, arXiv 2406.18665; Chatbot Arena): winner 1, loser 0, in a tie both 1/2. Raises
    `TableError` for a model compared with itself."""
    found = Gathering()
    for place, record in records:
        question = _asked(record, place)
        a, b = (text(record.get(f"model_{side}"), f"{place}: model_{side}") for side in "ab")
        if a == b:
            raise TableError(f"{place}: model_b: {b!r} is compared with itself")
        scores = _verdict(record, place)
        row = found.row(question, None, task=first(record, *_TASKS), split=record.get("split"))
        for expert, value in zip((a, b), scores, strict=True):
            counts = row.extra.setdefault("comparisons", {})
            seen = counts.get(expert, 0)
            # One question may be compared several times: the mean.
            row.correct[expert] = (row.correct.get(expert, 0.0) * seen + value) / (seen + 1)
            counts[expert] = seen + 1
    return found.finished()


def _asked(record: Mapping[str, Any], place: str) -> str:
    chat = first(record, "conversation_a", "conversation")
    if first(record, *_PROMPTS) is None and isinstance(chat, list) and chat:
        return text(chat[0].get("content") if isinstance(chat[0], dict) else chat[0], f"{place}: conversation_a")
    return text(first(record, *_PROMPTS), f"{place}: prompt")


def _verdict(record: Mapping[str, Any], place: str) -> tuple[float, float]:
    if "winner" in record:
        verdict = str(record["winner"]).strip().lower()
        outcomes = {"model_a": (1.0, 0.0), "a": (1.0, 0.0), "model_b": (0.0, 1.0), "b": (0.0, 1.0)}
        if verdict in outcomes:
            return outcomes[verdict]
        if verdict in ("tie", "tie (bothbad)", "tie(bothbad)", "both_bad", "both", "draw"):
            return 0.5, 0.5
        if verdict == str(record.get("model_a")).lower():
            return 1.0, 0.0
        if verdict == str(record.get("model_b")).lower():
            return 0.0, 1.0
        raise TableError(f"{place}: winner: must be model_a, model_b or tie, is {verdict[:40]!r}")
    flags = [
        number(record.get(name), f"{place}: {name}") for name in ("winner_model_a", "winner_model_b", "winner_tie")
    ]
    if sum(flag or 0 for flag in flags) != 1:
        raise TableError(f"{place}: winner_model_a, winner_model_b, winner_tie: one of them must be 1")
    return ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))[[flag or 0 for flag in flags].index(1)]


def ratings(records: Numbered) -> list[Row]:
    """RouteLLM's `mixtral_score`: how well the weak model's reply did, 1 to 5; the strong model is taken to score 1.
    Raises `TableError` for another rating."""
    found = Gathering()
    for place, record in records:
        row = found.row(text(first(record, *_PROMPTS), f"{place}: prompt"), None, split=record.get("split"))
        rating = number(record.get("mixtral_score"), f"{place}: mixtral_score")
        if rating is None or not 1 <= rating <= 5:
            raise TableError(f"{place}: mixtral_score: must be from 1 to 5, is {record.get('mixtral_score')!r}")
        row.add("mixtral-8x7b-instruct", (rating - 1) / 4, place)
        row.add("gpt-4", 1.0, place)
    return found.finished()


def mapped(records: Numbered) -> list[Row]:
    """One record per question with an object of scores by model: RouterEval's and LLMRouter's JSON, our own tables."""
    found = Gathering()
    for place, record in records:
        row = found.row(
            text(first(record, *_PROMPTS), f"{place}: prompt"),
            first(record, "id", "prompt_id", "question_id", "query_id"),
            task=first(record, *_TASKS),
            split=record.get("split"),
            answer=first(record, "ground_truth", "answer", "gold"),
        )
        for name, value in _scores_in(record).items():
            inner = first(value, *_SCORES) if isinstance(value, dict) else value
            row.add(str(name), score(inner, f"{place}: {name}"), place)
            paid = first(value, *_COSTS) if isinstance(value, dict) else (record.get("costs") or {}).get(name)
            spent = cost(paid, f"{place}: cost of {name}")
            if spent is not None:
                row.cost[str(name)] = spent
    return found.finished()


_MAPS = ("scores", "correct", "performance", "performances", "results", "models", "model_scores", "llm_scores")


def _scores_in(record: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((record[name] for name in _MAPS if isinstance(record.get(name), dict) and record[name]), {})


def _long_known(names: Sequence[str], record: Mapping[str, Any]) -> bool:
    return any(n in names for n in _PROMPTS) and any(n in names for n in _EXPERTS) and any(n in names for n in _SCORES)


FORMATS: tuple[TableFormat, ...] = (
    TableFormat("arena", "RouterArena's results and predictions", arena_known, arena),
    TableFormat("matrix", "RouterEval's score matrices", matrix_known, matrix),
    TableFormat(
        "pairs", "RouteLLM's and Chatbot Arena's preference pairs", lambda n, r: {"model_a", "model_b"} <= set(n), pairs
    ),
    TableFormat("ratings", "RouteLLM's rated replies", lambda n, r: "mixtral_score" in n, ratings),
    TableFormat("nested", "LLMRouterBench's result files", lambda n, r: isinstance(r.get("records"), list), nested),
    TableFormat("long", "LLMRouter, EmbedLLM, long tables", _long_known, long),
    TableFormat("mapped", "RouterEval, scores by model", lambda n, r: bool(_scores_in(r)), mapped),
    TableFormat(
        "wide",
        "RouterBench, one column per model",
        lambda n, r: any(name in n for name in _PROMPTS) and any(_is_number(r[name]) for name in _wide_experts(r)),
        wide,
    ),
)
"""In the order in which they are tried."""


def format_of(record: Mapping[str, Any], where: str) -> TableFormat:
    """The format of a file with this first record. Raises TableError naming the formats where it is none."""
    names = list(record)
    if isinstance(record.get("correct"), dict) and {"id", "question"} <= record.keys():
        raise TableError(f"{where}: is a correctness table already: use it as it is")
    found = next((one for one in FORMATS if one.known(names, record)), None)
    if found is None:
        outcomes = "; ".join(f"{one.name} ({one.projects})" for one in FORMATS)
        raise TableError(
            f"{where}: no format of routing tables has the columns {', '.join(names)[:300]}; there are {outcomes}"
        )
    return found

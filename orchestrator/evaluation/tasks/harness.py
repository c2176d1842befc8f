"""Questions of lm-evaluation-harness (`lm-eval:NAME`), where it is installed: its documents, prompts and golds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from orchestrator.errors import BadInput, SetupError
from orchestrator.evaluation.tasks.columns import Columns
from orchestrator.evaluation.tasks.source import QuestionSource
from orchestrator.evaluation.tasks.written_options import lettered_within

HARNESS = "lm-eval:"
_SPLITS = (("train", "training_docs"), ("validation", "validation_docs"), ("test", "test_docs"))


@dataclass(frozen=True)
class HarnessPart:
    """One split of one harness task, as records with question, choices, answer."""

    task: str
    split: str
    documents: Sequence[Any]
    read: Callable[[Any], dict[str, Any]]

    def records(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The documents as records, with their row numbers. Raises `BadInput` if the task cannot make a prompt."""
        for number, document in enumerate(self.documents):
            try:
                record = self.read(document)
            except Exception as error:  # a task's own functions may raise anything
                reason = f"{type(error).__name__}: {error}"
                raise BadInput(f"{self.place(number)}: the task cannot make its prompt: {reason}") from error
            yield number, {**record, "task": self.task}

    def place(self, number: int) -> str:
        """Where a record is, for an error."""
        return f"{HARNESS}{self.task}, split {self.split}, row {number}"


def source(name: str, columns: Columns) -> QuestionSource:
    """The tasks of this name, a group's all. Raises SetupError without the package, BadInput for an unknown name."""
    bare = name.removeprefix(HARNESS)
    try:
        from lm_eval.tasks import TaskManager, get_task_dict
    except ImportError as error:
        raise SetupError(f"{name}: needs one more package: pip install lm-eval") from error
    except Exception as error:  # an older harness beside newer libraries may raise anything
        reason = " ".join(str(error).split())[:300]
        raise SetupError(
            f"{name}: lm-eval cannot be imported: {reason}; a newer one may fit: pip install -U lm-eval"
        ) from error
    try:
        found = list(_tasks(get_task_dict([bare], _manager(TaskManager))))
    except Exception as error:
        raise BadInput(f"{name}: cannot be loaded: {' '.join(str(error).split())[:400]}") from error
    parts = []
    for label, task in found:
        if getattr(task, "OUTPUT_TYPE", "") in ("loglikelihood", "loglikelihood_rolling"):
            raise BadInput(f"{name}: task {label} scores the probability of a text, and asks for no answer")
        for split, documents in _SPLITS:
            if getattr(task, f"has_{documents}")():
                parts.append(HarnessPart(label, split, list(getattr(task, documents)()), reader(task)))
    if not parts:
        raise BadInput(f"{name}: no split with documents")
    columns = Columns(answer_is="label").model_copy(update=columns.model_dump(exclude_none=True))
    return QuestionSource(name, bare, parts, columns)


def _tasks(tree: Any) -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _tasks(value)
        else:
            yield str(getattr(value, "task_name", None) or key), value


@lru_cache(maxsize=1)
def _manager(make: Callable[[], Any]) -> Any:
    """The harness's list of its tasks; reading it takes half a minute."""
    return make()


def reader(task: Any) -> Callable[[Any], dict[str, Any]]:
    """How a document of this task becomes a record: the prompt that it makes, its choices, its target. Options that
    stand in the prompt itself, where a letter is asked for, become choices."""

    def read(document: Any) -> dict[str, Any]:
        prompt, target = task.doc_to_text(document), task.doc_to_target(document)
        options = task.doc_to_choice(document) if task.config.doc_to_choice is not None else None
        if not options:
            return _lettered(prompt, target)
        texts = [str(option).strip() for option in options]
        if isinstance(prompt, int):  # WinoGrande: the options begin a text that the target ends
            whole = [f"{one} {str(target).strip()}" for one in texts]
            return {"question": "Which of these texts is right?", "choices": whole, "answer": chr(65 + prompt)}
        letters = [chr(65 + place) for place in range(len(texts))]
        place = target if isinstance(target, int) else texts.index(str(target).strip())
        if texts == letters:  # the options stand in the prompt, and a letter is asked for
            return _lettered(prompt, letters[place])
        return {"question": prompt, "choices": texts, "answer": letters[place]}

    return read


def _lettered(prompt: Any, target: Any) -> dict[str, Any]:
    found = None
    if isinstance(prompt, str) and isinstance(target, str) and len(target.strip("() .")) == 1:
        found = lettered_within(prompt)
    if found is None or target.strip("() .") not in found[1]:
        return {"question": prompt, "answer": target}
    return {"question": found[0].removesuffix("Answer:").rstrip(), "choices": found[1], "answer": target.strip("() .")}

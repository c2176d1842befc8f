"""What others add is found by its name: an entry point of an installed package, or module:attribute. The examples of
docs/extending run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.question import Question
from agents.reply import Reply
from agents.votes import AT_THEIR_WORD
from merging.recipe_file import parse
from merging.settings import RecipeError
from orchestrator import Collegium, extensions
from orchestrator.config import validate
from orchestrator.errors import BadInput, ConfigError, SetupError
from orchestrator.evaluation.answering import ExpertReply, is_right
from orchestrator.evaluation.methods import Answer
from orchestrator.evaluation.methods.aggregators import aggregator
from orchestrator.evaluation.metrics import figures, metrics_named
from orchestrator.evaluation.scoring import scored
from orchestrator.evaluation.tasks import load
from router import Features, Table
from router.routers import fit
from router.row import Row

EXAMPLES = Path(__file__).parent.parent / "examples" / "extending"
PAGES = Path(__file__).parent.parent / "docs" / "extending"


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    yield
    for name in ("own_router", "own_task", "own_merge", "own_engine", "own_scorer", "own_metric", "own_aggregator"):
        sys.modules.pop(name, None)


@pytest.fixture
def family(tmp_path: Path) -> Callable[[int], list[Path]]:
    """family(n): a base and n fine-tunes of it."""
    from small_llamas import random_tensors, write_model

    return lambda count: [write_model(tmp_path / f"m{seed}", random_tensors(seed)) for seed in range(count + 1)]


def installed(monkeypatch: pytest.MonkeyPatch, module: str, **values: str) -> None:
    """Entry points as if a package with them were installed: group -> value, all named `mine`."""

    def entry_points(*, group: str, name: str) -> tuple[EntryPoint, ...]:
        key = group.removeprefix("collegium.")
        return (EntryPoint("mine", values[key], group),) if name == "mine" and key in values else ()

    monkeypatch.setattr(f"{module}.entry_points", entry_points)


def profiled() -> tuple[Table, Features]:
    vectors = np.eye(4, dtype=np.float32)
    rows = (Row(f"q{n}", f"question {n}", {"a": float(n % 2), "b": float(1 - n % 2)}) for n in range(4))
    return Table.from_rows(rows, ("a", "b")), Features(vectors)


def test_a_router_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    table, questions = profiled()
    rankings = fit("own_router:fit", table, questions).rank(questions)
    assert [one.experts[0] for one in rankings] == ["b", "a", "b", "a"]
    installed(monkeypatch, "router.extensions", routers="own_router:fit")
    assert fit("mine", table, questions).rank(questions) == rankings
    with pytest.raises(ValueError, match="no router 'yours'; there are best"):
        fit("yours", table, questions)
    with pytest.raises(ValueError, match="No module named 'nowhere'"):
        fit("nowhere:fit", table, questions)


def test_a_task_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = load("own_task:SUMS", "test", 5)
    assert len(asked) == 5
    numbers = [[int(word) for word in one.question[:-1].split() if word.isdigit()] for one in asked]
    assert [str(sum(both)) for both in numbers] == [one.answer for one in asked]
    installed(monkeypatch, "orchestrator.extensions", tasks="own_task:SUMS")
    assert load("mine", "test", 5) == asked
    with pytest.raises(BadInput, match="is no Task but function"):
        load("own_task:draft", "test", 5)


def test_a_scorer_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(id="q", question="Which colours?", kind="open", answer="red blue")
    (by_words,) = scored([question], "own_scorer:names_all")
    assert [is_right(by_words, text) for text in ("Blue and red", "red", None)] == [True, False, False]
    assert [is_right(question, text) for text in ("Blue and red", "Red  blue")] == [False, True]
    installed(monkeypatch, "orchestrator.extensions", scorers="own_scorer:names_all")
    (by_name,) = scored([question], "mine")
    assert is_right(by_name, "blue red")
    with pytest.raises(BadInput, match="no scorer 'yours'"):
        scored([question], "yours")


def test_a_metric_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(id="q", question="Which?", kind="text", answer="x")
    answers = [Answer(question, "x", right, (), confidence=sure) for right, sure in ((True, 0.9), (False, 0.8))]
    answers.append(Answer(question, "x", False, (), confidence=0.7))
    (metric,) = metrics_named(["own_metric:SURE_AND_WRONG"], {})
    (figure,) = figures([metric], "best", answers * 20, 0)
    assert (figure.name, figure.value, figure.higher_is_better) == ("Sure and wrong", 0.5, False)
    assert figure.low is not None
    assert figure.high is not None
    assert 0.3 < figure.low < 0.5 < figure.high < 0.7
    installed(monkeypatch, "orchestrator.extensions", metrics="own_metric:SURE_AND_WRONG")
    assert metrics_named(["mine"], {}) == metrics_named(["sure"], {"sure": "own_metric:SURE_AND_WRONG"}) == [metric]


def test_an_aggregator_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(id="q", question="Which?", kind="text", answer="x")
    replies = [ExpertReply(question, "e", Reply("", "", answer, None), False, None) for answer in "xyy"]
    vote = aggregator("own_aggregator:squared", ["a"]).vote(question, replies, [0.9, 0.6, 0.6], AT_THEIR_WORD)
    assert (vote.answer, round(vote.groups[0].weight, 6)) == ("x", 0.81)
    assert aggregator("majority", []).vote(question, replies, [0.9, 0.6, 0.6], AT_THEIR_WORD).answer == "y"
    installed(monkeypatch, "orchestrator.extensions", aggregators="own_aggregator:squared")
    assert aggregator("mine", []).vote(question, replies, [0.9, 0.6, 0.6], AT_THEIR_WORD) == vote


def test_a_merge_method_of_ones_own(family: Callable[[int], list[Path]], tmp_path: Path) -> None:
    from small_llamas import bf16, random_tensors

    from merging.checkpoint import Checkpoint
    from merging.merge import merge

    def rounded(array: Any) -> Any:
        """To bfloat16 and back."""
        return (bf16(array).astype(np.uint32) << 16).view(np.float32)

    base, tuned = family(1)
    recipe: dict[str, Any] = {
        "merge_method": "own_merge:TOWARDS",
        "base_model": str(base),
        "models": [{"model": str(tuned)}],
        "parameters": {"step": 0.25},
        "dtype": "float32",
    }
    merge(parse(recipe), tmp_path / "out")
    name = next(iter(Checkpoint(base).tensors))
    drawn = {seed: rounded(random_tensors(seed)[name]) for seed in (0, 1)}
    made = Checkpoint(tmp_path / "out").array(name)
    np.testing.assert_allclose(made, 0.75 * drawn[0] + 0.25 * drawn[1], rtol=1e-5, atol=1e-7)
    with pytest.raises(RecipeError, match="is none of linear"):
        parse({**recipe, "merge_method": "own_merge:towards"})


def test_an_engine_of_ones_own(tmp_path: Path) -> None:
    config = {
        "experts": {"one": {"script": "unused:unused"}},
        "workers": {"engine": "own_engine:make", "in_process": True},
        "state": str(tmp_path / "state"),
    }
    with Collegium(config) as collegium:
        assert collegium.chat("one").invoke("Say the last word").content == "word"
    with pytest.raises(ConfigError, match=r"workers\.engine: no engine 'fastest'; there are auto, vllm"):
        validate({**config, "workers": {"engine": "fastest"}}, tmp_path / "c.yaml")
    broken = {**config, "workers": {"engine": "own_engine:nothing", "in_process": True}}
    with Collegium(broken) as collegium, pytest.raises(BadInput, match=r"workers\.engine: 'own_engine:nothing'"):
        collegium.chat("one")


@pytest.mark.parametrize("missing", ["transformers", "torch"])
def test_what_is_not_installed_is_said_before_ray_starts(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from orchestrator.inference.schedule import placement

    def find_spec(name: str) -> object | None:
        return None if name in ("vllm", missing) else object()

    monkeypatch.setattr(placement.importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(placement, "join_cluster", lambda *_: pytest.fail("Ray was started"))
    config = {"experts": {"one": {"script": "unused:unused"}}, "state": str(tmp_path / "state")}
    said = pytest.raises(SetupError, match=rf"not installed \({missing}\): run `collegium setup`, or pip install")
    with Collegium(config) as collegium, said:
        collegium.chat("one")


def test_names_with_a_colon_are_code() -> None:
    assert [extensions.is_code(name) for name in ("a.b:c", "mixture", "https://x", "hf:x/y", ":x", "a:")] == [
        True, False, False, False, False, False,
    ]  # fmt: skip


def test_every_page_names_its_group_and_its_example() -> None:
    pages = {
        "engines": "collegium.engines",
        "routers": "collegium.routers",
        "merge-methods": "collegium.merge_methods",
        "tasks": "collegium.tasks",
        "scorers": "collegium.scorers",
        "metrics": "collegium.metrics",
        "aggregators": "collegium.aggregators",
    }
    for page, group in pages.items():
        text = (PAGES / f"{page}.md").read_text()
        assert group in text
        assert "examples/extending/own_" in text
    assert sorted(page.name for page in PAGES.glob("*.md")) == sorted(f"{page}.md" for page in pages)

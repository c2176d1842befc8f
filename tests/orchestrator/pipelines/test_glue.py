"""The glue pipeline on a zoo of small checkpoints whose merges answer as their weights say."""

from __future__ import annotations

import functools
import io
import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from orchestrator.cli.glue import show
from orchestrator.config import Config, read, validate
from orchestrator.errors import BadInput
from orchestrator.evaluation.context import Context
from orchestrator.evaluation.report import render
from orchestrator.experts.zoo import resolve
from orchestrator.inference.engines.engine import LoadReport
from orchestrator.inference.engines.scripted import ScriptedEngine
from orchestrator.inference.expert import Expert
from orchestrator.inference.request import PromptMessage, Sampling
from orchestrator.inference.schedule.host import InProcess
from orchestrator.inference.schedule.ledger import Ledger
from orchestrator.inference.schedule.pool import LocalPool
from orchestrator.inference.schedule.supervisor import WorkerSpec
from orchestrator.pipelines.glue import GlueRequest, GlueResult, glue
from orchestrator.pipelines.glue_report import glue_report
from orchestrator.pipelines.merges import Merges
from orchestrator.pipelines.results import GLUE
from router.embedding import Features

TOPICS = ("colours", "rivers", "metals")
TALENTS = {"painter": "colours", "boatman": "rivers", "smith": "metals", "liar": None}
SEEDS = {"painter": 1, "boatman": 2, "smith": 3, "liar": 4}
"""painter, boatman and liar are fine-tunes of one base, and alike; smith is another model of the same shape."""
PER_TOPIC = 16


class Talented(ScriptedEngine):
    """Right on a topic if its merge has at least 0.4 of who knows it, and less than a quarter of the liar."""

    def load(self, expert: Expert) -> LoadReport:
        load = super().load(expert)
        self._scripts[expert.fingerprint] = functools.partial(reply, expert)
        return load


def reply(expert: Expert, messages: Sequence[PromptMessage], seed: int) -> str:
    weights = shares(expert)
    number, topic = re.findall(r"number (\d+) of the (\w+)", messages[-1][1])[-1]
    knows = sum(weight for name, weight in weights.items() if TALENTS[name] == topic) >= 0.4
    right = knows and weights.get("liar", 0) < 0.25
    return f"Answer: {number if right else 'unknown'}\nConfidence: 0.9"


def shares(expert: Expert) -> dict[str, float]:
    if expert.weights:
        return {expert.weights.model.name: 1.0}
    assert expert.recipe
    total = sum(expert.recipe.coefficients)
    pairs = zip(expert.recipe.sources, expert.recipe.coefficients, strict=True)
    return {source.model.name: weight / total for source, weight in pairs}


class TopicEmbedder:
    """A vector a topic."""

    identity = "topics"

    def asked(self, texts: Sequence[str], before: Sequence[str]) -> Features:
        return self.features(texts)

    def features(self, texts: Sequence[str]) -> Features:
        return Features(np.array([[float(topic in text) for topic in TOPICS] for text in texts], np.float32))


@pytest.fixture
def config(tmp_path: Path) -> Config:
    base = np.random.default_rng(0).standard_normal((16, 12)).astype(np.float32)
    for name, seed in SEEDS.items():
        folder = tmp_path / name
        folder.mkdir()
        own = np.random.default_rng(seed).standard_normal(base.shape).astype(np.float32)
        tensor = own if name == "smith" else base + np.float32(0.05) * own
        save_file({"model.layers.0.mlp.up_proj.weight": tensor}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"]}))
        (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
        (folder / "vocab.txt").write_text("a\nb\n")
    lines = [
        {"id": f"{split}-{topic}-{n}", "task": topic, "question": f"What is number {n} of the {topic}?"}
        | {"answer": str(n), "kind": "text", "split": split}
        for split, start in (("validation", 0), ("test", 100))
        for n in range(start, start + PER_TOPIC)
        for topic in TOPICS
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = {
        "experts": {
            name: {"model": str(tmp_path / name), "skills": [talent or ""]} for name, talent in TALENTS.items()
        },
        "state": str(tmp_path / "state"),
        "runs": str(tmp_path / "runs"),
    }
    return validate(data, tmp_path / "collegium.yaml")


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[LocalPool]:
    spec = WorkerSpec("w", "local", lambda: InProcess("w", Talented))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    with LocalPool([spec], ledger, kind_of=lambda _: "local") as made:
        yield made
    ledger.close()


async def glued(
    config: Config, pool: LocalPool, tmp_path: Path, engine: str = "scripted", **options: Any
) -> GlueResult:
    asked = {"task": str(tmp_path / "questions.jsonl"), "select_questions": 48, "questions": 48, "trials": 0}
    request = GlueRequest(**{**asked, "max_tokens": 12, **options})
    embedder: Any = TopicEmbedder()
    config = config.model_copy(update={"workers": config.workers.model_copy(update={"engine": engine})})
    zoo = resolve(config)
    return await glue(request, Context(config, lambda: zoo, lambda: pool, lambda: embedder))


async def test_it_merges_who_is_alike_drops_who_harms_and_routes_the_rest(
    config: Config, pool: LocalPool, tmp_path: Path
) -> None:
    result = await glued(config, pool, tmp_path)
    report = result.report
    assert report.clustering is not None
    assert report.clustering.clusters == (("boatman", "liar", "painter"), ("smith",))
    assert report.glue is not None
    fates = {fate.expert: fate.fate for fate in report.glue.fates}
    assert fates == {"painter": "merged", "boatman": "merged", "smith": "kept", "liar": "dropped"}
    assert "got worse with it" in next(fate.why for fate in report.glue.fates if fate.expert == "liar")
    first = report.glue.searches[0]
    assert first.weights == {"boatman": 0.5, "painter": 0.5}
    assert first.score == pytest.approx(2 / 3)

    methods = {method.method: method.overall.value for method in report.methods}
    assert methods["Model-GLUE"] == 1.0
    assert methods["mixture of all, unmerged"] >= methods["best single expert"]
    assert methods["best single expert"] == pytest.approx(1 / 3)
    # All of one shape merged: no weights give three times 0.4.
    assert methods["full merging"] == pytest.approx(2 / 3)
    baselines = {"best single expert", "full merging", "mixture of all, unmerged"}
    assert {one.baseline for one in report.comparisons} == baselines
    better = [one for one in report.comparisons if one.baseline != "mixture of all, unmerged"]
    assert all(one.difference.low > 0 for one in better)
    assert (report.split, report.fitted_on) == ("test", "validation")


@pytest.mark.parametrize(
    ("form", "note"), [("F-L-T", ""), ("B-M-S-hybrid-15", ", the lowest 15 layers merged instead of")]
)
async def test_a_mixture_in_one_checkpoint_is_a_row_hybrid_or_not(
    config: Config, pool: LocalPool, tmp_path: Path, form: str, note: str
) -> None:
    found = await glued(config, pool, tmp_path)
    results = {**found.results, f"{form} mixture": found.results["Model-GLUE"]}
    assert found.report.clustering is not None
    assert found.report.glue is not None
    report = glue_report(results, found.report.clustering, found.report.glue, ["painter", "boatman"], 0)
    row = next(method for method in report.methods if method.method == f"{form} mixture")
    assert note in row.note
    assert ("trained gates" in row.note) == ("M" in form)


async def test_the_new_zoo_is_a_configuration(config: Config, pool: LocalPool, tmp_path: Path) -> None:
    result = await glued(config, pool, tmp_path, full_merging=False)
    path = tmp_path / "new" / "zoo.yaml"
    GLUE.deliver(GlueRequest(out=str(path)), result)
    zoo = resolve(read(path))
    recipes = [expert for expert in zoo.values() if expert.recipe]
    assert len(zoo) == 2
    assert "smith" in zoo
    assert [source.model.name for source in recipes[0].recipe.sources] == ["boatman", "painter"]  # type: ignore[union-attr]
    assert yaml.safe_load(path.read_text())["experts"]["smith"]["skills"] == ["metals"]


async def test_the_same_command_generates_nothing_twice(config: Config, pool: LocalPool, tmp_path: Path) -> None:
    first = await glued(config, pool, tmp_path, trials=12)
    generated = pool.timeline.progress().submitted
    second = await glued(config, pool, tmp_path, trials=12)
    assert pool.timeline.progress().submitted == generated
    assert second.report.glue == first.report.glue
    assert first.report.glue is not None
    assert {trial.stage for trial in first.report.glue.searches[0].trials} == {"average", "equal", "cma"}


async def test_nothing_that_is_reported_was_decided_on(config: Config, pool: LocalPool, tmp_path: Path) -> None:
    await glued(config, pool, tmp_path, trials=10)
    # The test split's questions have numbers of 100 and more. Only who is compared was asked them, once each: the best
    # single expert, the best merge of everything, and one member a question.
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        texts = [row[0] for row in ledger.execute("SELECT text FROM completions")]
    right = sum(int(number) >= 100 for text in texts for number in re.findall(r"Answer: (\d+)", text))
    assert 48 <= right <= 3 * 48


async def test_a_report_shows_it_all(config: Config, pool: LocalPool, tmp_path: Path) -> None:
    from rich.console import Console

    from orchestrator.run_folder import RunFolder

    result = await glued(config, pool, tmp_path)
    page = render(result.report)
    assert "Merges and members" in page
    assert "Dendrogram" in page
    assert "got worse with it" in page
    folder = RunFolder.open(config, "glue", GlueRequest())
    GLUE.save(folder, result)
    assert (folder.path / "report.html").exists()
    assert GLUE.load(folder.path).zoo == result.zoo
    console = Console(record=True, width=120, file=io.StringIO())
    show(console, result)
    shown = console.export_text()
    assert "dropped" in shown
    assert "Model-GLUE" in shown


async def test_bad_requests_are_refused_before_anything_is_asked(
    config: Config, pool: LocalPool, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="cannot decide and report on the same split"):
        GlueRequest(select_split="test")
    with pytest.raises(BadInput, match="of what base is it a fine-tune"):
        await glued(config, pool, tmp_path, by="task_vectors")
    with pytest.raises(BadInput, match="split 'dev'"):
        await glued(config, pool, tmp_path, split="dev")
    with pytest.raises(BadInput, match="method ties: of what base are boatman, liar, painter fine-tunes"):
        await glued(config, pool, tmp_path, method="ties")
    with pytest.raises(BadInput, match="groups: 3 groups of 0 layers"):
        await glued(config, pool, tmp_path, groups=3)
    with pytest.raises(BadInput, match="B-L-S runs on the transformers engine only"):
        await glued(config, pool, tmp_path, engine="vllm", ffn_questions=4, mixture_form="B-L-S")
    assert pool.timeline.progress().submitted == 0


def test_a_candidate_with_layer_groups_is_a_recipe_layer_by_layer(config: Config, tmp_path: Path) -> None:
    from merging.recipe_file import parse
    from merging.search import Candidate
    from merging.settings import value

    nowhere: Any = None
    sources = ["boatman", "painter"]
    base = str(tmp_path / "liar")
    context = Context(config, nowhere, nowhere, nowhere)
    merges = Merges("m", sources, "ties", base, 4, context, [], Sampling(), 0)
    rows = ((0.1, 0.9), (0.2, 0.8), (0.3, 0.7))
    densities = ((1.0, 0.5), (0.9, 0.4), (0.8, 0.3))
    expert = merges.expert(Candidate(rows, densities))
    assert expert.recipe is not None
    recipe = parse(expert.recipe.raw())
    assert recipe.method == "ties"
    for place in (0, 1):
        parameters = recipe.slices[0].sources[place].parameters
        for name, table in (("weight", rows), ("density", densities)):
            found = [
                value(parameters[name], f"model.layers.{layer}.mlp.up_proj.weight", layer / 3) for layer in range(4)
            ]
            assert found == [table[1][place], table[1][place], table[2][place], table[2][place]]
            assert value(parameters[name], "model.embed_tokens.weight", 0.0) == table[0][place]

"""How each pipeline's result lies in its run folder: written there, and read back, here or from a service's job."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import yaml
from pydantic import TypeAdapter

from agents.transcript import Transcript, line, read
from orchestrator.errors import CollegiumError, StorageError
from orchestrator.evaluation.answer import ANSWERS, RunRequest, RunResult
from orchestrator.evaluation.answer_rows import answer_rows
from orchestrator.evaluation.discussion_report import chosen_transcripts
from orchestrator.evaluation.profile import Profile, ProfileRequest
from orchestrator.evaluation.report import RunReport, write
from orchestrator.evaluation.report.data import Clustering, Matrix, SampleQuestion
from orchestrator.run_folder import RunFolder, machine, manifest
from router.table import Table

if TYPE_CHECKING:
    from orchestrator.evaluation.convincing import ConvincingRequest, ConvincingResult
    from orchestrator.evaluation.eval_router import EvalRouterRequest
    from orchestrator.evaluation.prune import PruneRequest, Pruning
    from orchestrator.pipelines.distill_compare import DistillResult
    from orchestrator.pipelines.distill_generate import Generated
    from orchestrator.pipelines.glue import GlueRequest, GlueResult
    from router.evaluate import Evaluation

Q = TypeVar("Q")
R = TypeVar("R")
REPORT, RESULTS, TABLE = "report.html", "results.json", "table.jsonl"
TRANSCRIPTS = "transcripts.jsonl.gz"
QUESTIONS = "questions.jsonl.gz"
"""In a run folder: one `SampleQuestion` per line."""


@dataclass(frozen=True)
class Stored(Generic[Q, R]):
    """One kind of result on disk. `save` fills a run folder; `load` reads the result from a copy of it, as far as
    files hold it; `deliver` writes what the request names for its caller."""

    save: Callable[[RunFolder, R], None]
    load: Callable[[Path], R]
    deliver: Callable[[Q, R], None] = lambda request, result: None


def typed(model: str, file: str = RESULTS, report: Callable[[Any], RunReport] | None = None) -> Stored[Any, Any]:
    """A result that is one JSON document, `file`; `model`: its type as `module:name`. `report`: the page that it has,
    which lies beside it."""

    def kind() -> TypeAdapter[Any]:
        from orchestrator.extensions import load

        return TypeAdapter(load(model, "result"))

    def save(folder: RunFolder, result: Any) -> None:
        folder.write(file, json.dumps(kind().dump_python(result, mode="json"), indent=2))
        if report is not None:
            _save_report(folder, report(result))

    def read(folder: Path) -> Any:
        try:
            return kind().validate_python(json.loads((folder / file).read_bytes()))
        except (OSError, ValueError) as error:
            raise _unreadable(folder / file, error) from error

    return Stored(save, read)


def _unreadable(path: Path, error: Exception) -> CollegiumError:
    return StorageError(f"{path}: not a result that this version reads: {' '.join(str(error).split())[:300]}")


def _report(folder: Path) -> RunReport:
    file = folder / RESULTS
    try:
        found = RunReport.model_validate_json(file.read_bytes())
        if (file := folder / TRANSCRIPTS).is_file():
            held: dict[str, list[Transcript]] = {}
            for one in read(file):
                held.setdefault(one.discussion, []).append(one)
            found = found.model_copy(update={"transcripts": chosen_transcripts(held.values())})
        file = folder / QUESTIONS
        if not file.is_file():  # folders of version 0.1 have some of them in results.json
            return found
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            return found.model_copy(update={"samples": [SampleQuestion.model_validate_json(line) for line in lines]})
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unreadable(file, error) from error


def _save_report(folder: RunFolder, report: RunReport) -> None:
    folder.write("manifest.json", json.dumps(report.manifest, indent=2))
    if report.samples:
        lines = "".join(f"{one.model_dump_json(exclude_defaults=True)}\n" for one in report.samples)
        folder.write(QUESTIONS, gzip.compress(lines.encode("utf-8", "replace"), 6, mtime=0))
    folder.write(RESULTS, report.model_dump_json(indent=2, exclude={"transcripts", "samples"}))
    write(report, folder.path / REPORT)


# Profile -----------------------------------------------------------------------------------------------------


def _save_profile(folder: RunFolder, found: Profile) -> None:
    found.table.write(folder.path / TABLE)
    folder.write(RESULTS, found.matrix.model_dump_json(indent=2))


def _load_profile(folder: Path) -> Profile:
    return _profile(folder, RESULTS)


def _profile(folder: Path, matrix: str) -> Profile:
    try:
        found = Matrix.model_validate_json((folder / matrix).read_bytes())
        return Profile(Table.read(folder / TABLE), {}, found)
    except (OSError, ValueError) as error:
        raise _unreadable(folder, error) from error


def _deliver_profile(request: ProfileRequest, found: Profile) -> None:
    if request.out:
        found.table.write(request.out)


# Run ---------------------------------------------------------------------------------------------------------


def _save_run(folder: RunFolder, result: RunResult) -> None:
    rows = [
        {
            "question": one.question.id,
            "task": one.question.task,
            "expert": one.expert,
            "text": one.reply.text,
            "answer": one.reply.displayed,
            "compared": one.reply.answer,
            "gold": one.question.answer,
            "right": one.right,
            "confidence": one.reply.confidence,
            "prompt_tokens": one.completion.prompt_tokens if one.completion else 0,
            "completion_tokens": one.completion.completion_tokens if one.completion else 0,
            "key": one.completion.key if one.completion else None,
            "error": one.error or one.unscored,
        }
        for one in result.replies.values()
    ]
    folder.write_rows("replies.parquet", rows)
    folder.write_rows(ANSWERS, answer_rows(result.outcomes))
    if result.profile:
        result.profile.table.write(folder.path / TABLE)
    held = [transcript for outcome in result.outcomes for transcript in outcome.transcripts]
    if held:
        folder.write(TRANSCRIPTS, gzip.compress(b"".join(line(one) for one in held), 6, mtime=0))
    _save_report(folder, result.report)


def _load_run(folder: Path) -> RunResult:
    return RunResult(_report(folder), (), {}, None, folder)


# Convincing, cluster, routers --------------------------------------------------------------------------------


def _save_convincing(folder: RunFolder, found: ConvincingResult) -> None:
    from orchestrator.evaluation.convincing import write_samples

    folder.write(RESULTS, found.model_dump_json(indent=2))
    write_samples(folder.path / "convincing.jsonl", found.samples)


def _deliver_convincing(request: ConvincingRequest, found: ConvincingResult) -> None:
    from orchestrator.evaluation.convincing import write_samples

    if request.out:
        write_samples(Path(request.out).expanduser(), found.samples)


def _save_cluster(folder: RunFolder, found: Clustering) -> None:
    folder.write(RESULTS, found.model_dump_json(indent=2))
    report = RunReport(
        title=f"Clusters of {len(found.experts)} experts",
        command=" ".join(["collegium", *sys.argv[1:]]),
        created=datetime.now(UTC),
        split="",
        fitted_on="",
        seed=0,
        methods=[],
        machine=machine(),
        clustering=found,
        manifest=manifest({}, {}, ()),
    )
    write(report, folder.path / REPORT)


def _deliver_evaluation(request: EvalRouterRequest, found: Evaluation) -> None:
    from orchestrator.evaluation.report.routers import write_routers

    if request.html:
        command = " ".join(["collegium", *sys.argv[1:]])
        write_routers(found, Path(request.html).expanduser(), title=Path(request.table).name, command=command)


# Glue --------------------------------------------------------------------------------------------------------

HEAD = "# Made by `collegium glue`: {title}.\n# Why each expert is here, or is not: the run's report.html\n"


def _save_glue(folder: RunFolder, result: GlueResult) -> None:
    result.profile.table.write(folder.path / TABLE)
    folder.write("matrix.json", result.profile.matrix.model_dump_json())
    folder.write("zoo.yaml", zoo_text(result))
    _save_report(folder, result.report)


def _load_glue(folder: Path) -> GlueResult:
    from orchestrator.pipelines.glue import GlueResult

    try:
        zoo = yaml.safe_load((folder / "zoo.yaml").read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise _unreadable(folder / "zoo.yaml", error) from error
    return GlueResult(_report(folder), zoo, _profile(folder, "matrix.json"))


def zoo_text(result: GlueResult) -> str:
    """The new zoo as a YAML file has it."""
    body: str = yaml.safe_dump(result.zoo, sort_keys=False)
    return HEAD.format(title=result.report.title) + body


def _deliver_glue(request: GlueRequest, result: GlueResult) -> None:
    if request.out:
        _write(Path(request.out).expanduser(), zoo_text(result))


def _deliver_pruning(request: PruneRequest, result: Pruning) -> None:
    if request.out:
        head = f"# Made by `collegium prune`: {result.why}.\n"
        _write(Path(request.out).expanduser(), head + yaml.safe_dump(dict(result.zoo), sort_keys=False))


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror or error}") from error


# Distillation ------------------------------------------------------------------------------------------------

_GENERATED = typed("orchestrator.pipelines.distill_generate:Generated")


def _save_generated(folder: RunFolder, found: Generated) -> None:
    _GENERATED.save(folder, replace(found, path=Path(found.path.name)))


def _load_generated(folder: Path) -> Generated:
    found: Generated = _GENERATED.load(folder)
    return replace(found, path=folder / found.path.name)


def _save_distill(folder: RunFolder, result: DistillResult) -> None:
    _save_report(folder, result.report)


def _load_distill(folder: Path) -> DistillResult:
    from orchestrator.pipelines.distill_compare import DistillResult

    return DistillResult(_report(folder), (), ())


PROFILE = Stored(_save_profile, _load_profile, _deliver_profile)
RUN: Stored[RunRequest, RunResult] = Stored(_save_run, _load_run)
ROUTE = typed("orchestrator.evaluation.route:RoutingResult")
EVAL_ROUTER = replace(typed("router.evaluate:Evaluation"), deliver=_deliver_evaluation)
PRUNE = replace(typed("orchestrator.evaluation.prune:Pruning"), deliver=_deliver_pruning)
CONVINCING = replace(
    typed("orchestrator.evaluation.convincing:ConvincingResult"), save=_save_convincing, deliver=_deliver_convincing
)
CLUSTER = replace(typed("orchestrator.evaluation.report.data:Clustering"), save=_save_cluster)
GLUE = Stored(_save_glue, _load_glue, _deliver_glue)
MERGE = typed("merging.merge:MergeSummary")
GATHER = typed("orchestrator.pipelines.gather:GatheredStatistics")
CHECK = typed("orchestrator.pipelines.check:CheckResult")
TRAIN = typed("orchestrator.pipelines.train:TrainedExpert")
GROW = typed("orchestrator.pipelines.grow:GrowResult", "growth.json", lambda result: result.report)
GENERATE: Stored[Any, Generated] = Stored(_save_generated, _load_generated)
TEACH = typed("orchestrator.pipelines.distill:Taught")
DISTILL: Stored[Any, DistillResult] = Stored(_save_distill, _load_distill)

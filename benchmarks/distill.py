"""Distillation on the demo zoo: what each level of structure adds, against single teachers and gold answers.

    python -m benchmarks.distill [--arms untaught,L2,L4,on-policy,dpo,...] [--seeds 1] [--trl PYTHON]
        [--transcripts recorded|FILE --tokens 60000 --name distill]

Transcripts are made once, by ReConcile among the demo zoo's experts on generated training questions (`recorded`: the
200 that the demo has). Every arm then
starts from SmolLM2-135M-Instruct, with the same number of tokens and steps, and answers the same test questions
alone. Rows that benchmarks/results/NAME.json has are kept, each with the revision that made it: kill it at any time,
the same command goes on. All else (transcripts, checkpoints, students, ledger) lies in runs/distill-benchmark.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.distill_dpo import teach_dpo
from benchmarks.machine import RESULTS, conditions, revision, write_result
from distill.graph import interaction_graph
from distill.pairs import Lesson, Selection, lesson
from orchestrator import Collegium
from orchestrator.cli.distill_chapter import recorded
from orchestrator.config import ExpertConfig
from orchestrator.evaluation.answering import answer_all
from orchestrator.evaluation.profile import questions_of
from orchestrator.evaluation.report.intervals import paired_difference
from orchestrator.inference.request import Sampling
from orchestrator.pipelines.distill import TEACHER, DistillRequest, Taught, arms, inspect, read_all, teach
from orchestrator.pipelines.distill_generate import TRANSCRIPTS, GenerateRequest, discuss, generate

WORK = Path("runs/distill-benchmark")
PANEL = ["arithmetic", "letters", "calendar", "tracker", "logic", "converter", "sorter"]
CORE = ["untaught", "panel", "best-teacher", "L2", "L4", "gold", "L1", "L3", "L4-detached"]
TOKENS, STEP_TOKENS, TEST_QUESTIONS, REPLY = 60_000, 1_000, 296, 120

Row = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--arms", default=",".join(CORE), help="untaught, panel, best-teacher, teacher:NAME, levels, dpo"
    )
    parser.add_argument("--trl", default=sys.executable, help="For dpo: an interpreter that has trl.")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--train-questions", type=int, default=600)
    parser.add_argument("--panel-questions", type=int, default=96)
    parser.add_argument("--transcripts", help="a file, or `recorded`: the demo's (default: made for --train-questions)")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="training tokens of each arm")
    parser.add_argument("--name", default="distill", help="of the result's file")
    given = parser.parse_args()
    path = RESULTS / f"{given.name}.json"
    kept = json.loads(path.read_text()) if path.exists() else {"rows": {}, "conditions": conditions()}
    kept |= {"name": given.name, "tokens": given.tokens}
    rows: dict[str, Row] = kept["rows"]
    if given.transcripts:
        transcripts = recorded() if given.transcripts == "recorded" else Path(given.transcripts)
    else:
        transcripts = _transcripts(given.train_questions)
    statistics, agents = inspect([str(transcripts)])
    best = _most_taught(transcripts, agents)
    kept["transcripts"] = {
        "questions": statistics.questions,
        "right in round 0 and 1": {
            name: [statistics.accuracy(name, number)[0] for number in (0, 1)] for name in agents
        },
    }
    for arm in given.arms.split(","):
        wanted = f"{TEACHER}{best}" if arm == "best-teacher" else arm
        if arm == "untaught" and arm not in rows:
            rows[arm] = _tested(ExpertConfig(model="demo/SmolLM2-135M-Instruct"), "untaught")
        elif arm == "panel" and arm not in rows:
            rows[arm] = _panel(given.panel_questions)
        elif arm == "dpo":
            for seed in range(given.seeds):
                if f"dpo/{seed}" not in rows:
                    print(f"== dpo/{seed}", flush=True)
                    expert, trained = teach_dpo(transcripts, WORK / f"dpo-{seed}", given.trl, seed, given.tokens)
                    rows[f"dpo/{seed}"] = _tested(expert, f"dpo-{seed}") | trained
        elif arm not in ("untaught", "panel"):
            _arm(wanted, given.seeds, transcripts, agents, kept)
        _write(kept)


def _arm(arm: str, seeds: int, transcripts: Path, agents: Sequence[str], kept: dict[str, Any]) -> None:
    request = DistillRequest(
        transcripts=[str(transcripts)], arms=[arm], seeds=seeds, tokens=kept["tokens"], step_tokens=STEP_TOKENS
    )
    for _, one in arms(request, agents):
        key = f"{arm}/{one.seed}"
        if key in kept["rows"]:
            continue
        print(f"== {key}", flush=True)
        taught = teach(one, WORK / kept["name"] / one.name, experts=_zoo({}).experts, arm=arm, report=_print_metrics)
        kept["rows"][key] = _tested(taught.expert, one.name) | _training(taught)
        _write(kept)


def _most_taught(transcripts: Path, agents: Sequence[str]) -> str:
    """The agent whose right replies with a reasoning make the most lessons."""
    lessons = dict.fromkeys(agents, 0)
    for transcript in read_all([str(transcripts)]):
        graph = interaction_graph(transcript)
        for name in agents:
            lessons[name] += isinstance(lesson(graph, Selection(level="L2", teacher=name)), Lesson)
    return max(lessons, key=lambda name: lessons[name])


def _print_metrics(metrics: Any) -> None:
    if metrics.step % 5 == 0:
        print(
            f"step {metrics.step}: {metrics.next_token:.3f}, {metrics.tokens / metrics.seconds:.0f} tokens/s",
            flush=True,
        )


def _training(taught: Taught) -> Row:
    tail = taught.metrics[-10:]

    def late(name: str) -> float | None:
        values = [value for one in tail if (value := getattr(one, name)) is not None]
        return round(sum(values) / len(values), 4) if values else None

    last = taught.metrics[-1]
    return {
        "lessons": taught.sifted.lessons,
        "texts": taught.sifted.texts,
        "nodes": taught.sifted.nodes,
        "tokens": last.tokens,
        "steps": last.step,
        "epochs": round(taught.epochs, 2),
        "seconds": round(last.seconds, 1),
        **({"own replies": dict(taught.sifted.own)} if taught.sifted.own else {}),
        "late": {name: late(name) for name in ("next_token", "node", "margin", "nodes_right", "pairs_right")},
    }


def _zoo(more: Mapping[str, ExpertConfig]) -> Collegium:
    """The demo zoo, or `more` alone."""
    settings = {"state": str(WORK / "state"), "runs": str(WORK)}
    if more:
        return Collegium(
            {"experts": {name: one.model_dump(exclude_defaults=True) for name, one in more.items()}, **settings}
        )
    return Collegium({"zoo": "demo", **settings})


def _transcripts(questions: int) -> Path:
    path = WORK / f"transcripts-{questions}" / TRANSCRIPTS
    if not path.exists():
        request = GenerateRequest(experts=PANEL, rounds=1, questions=questions, max_tokens=REPLY)
        with _zoo({}) as zoo:
            asyncio.run(generate(request, zoo.context(), path.parent))
    return path


def _tested(expert: ExpertConfig, name: str) -> Row:
    asked = questions_of("mixed", "test", TEST_QUESTIONS, 0)
    with _zoo({name: expert}) as zoo:
        replies = asyncio.run(answer_all(zoo.pool, [zoo.experts[name]], asked, Sampling(max_tokens=REPLY), 0))
    found = [replies[question.id, name] for question in asked]
    if failed := [one.question.id for one in found if one.completion is None]:
        raise SystemExit(f"{name}: {len(failed)} replies failed, {failed[0]} among them: no row; run it again")
    return {
        "revision": revision(),
        "right": "".join(str(int(one.right)) for one in found),
        "tasks": _by_task([one.question.task for one in found], [one.right for one in found]),
        "generated": round(sum(one.completion.completion_tokens for one in found if one.completion) / len(found), 1),
    }


def _panel(questions: int) -> Row:
    asked = questions_of("mixed", "test", questions, 0)
    request = GenerateRequest(experts=PANEL, rounds=1, max_tokens=REPLY)
    with _zoo({}) as zoo:
        found = asyncio.run(discuss(request, asked, zoo.context()))
    right = [bool(one.is_right(one.answer)) for one in found]
    tokens = sum(turn.completion_tokens for one in found for turn in one.turns)
    return {
        "revision": revision(),
        "right": "".join(str(int(one)) for one in right),
        "tasks": _by_task([one.question.task for one in found], right),
        "generated": round(tokens / len(found), 1),
    }


def _by_task(tasks: Sequence[str], right: Sequence[bool]) -> dict[str, str]:
    return {
        task: f"{sum(hit for own, hit in zip(tasks, right, strict=True) if own == task)}/{tasks.count(task)}"
        for task in dict.fromkeys(tasks)
    }


def _scores(row: Row) -> list[float]:
    return [float(one) for one in row["right"]]


def _generated(rows: Sequence[Row]) -> float:
    """Mean tokens that an answer took."""
    return float(sum(row["generated"] for row in rows) / len(rows))


def _points(scores: Sequence[float], baseline: Sequence[float]) -> str:
    found = paired_difference(scores, baseline)
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _write(kept: dict[str, Any]) -> None:
    rows: dict[str, Row] = kept["rows"]
    groups: dict[str, list[Row]] = {}
    for key, row in rows.items():
        groups.setdefault(key.split("/")[0], []).append(row)
    means = {
        arm: [sum(column) / len(column) for column in zip(*map(_scores, group), strict=True)]
        for arm, group in groups.items()
    }
    columns = []
    for arm, scores in means.items():
        more = ", ".join(f"{100 * sum(_scores(row)) / len(scores):.1f}" for row in groups[arm])
        report = (
            f"{_points(scores, [0.0] * len(scores))} %, seeds: {more}; {_generated(groups[arm]):.1f} tokens a question"
        )
        columns.append((f"{arm} ({len(scores)} questions)", report, ""))
    single = max((arm for arm in means if arm.startswith(TEACHER)), key=lambda arm: sum(means[arm]), default=None)
    for arm, scores in means.items():
        if arm in ("untaught", "panel") or arm == single:
            continue
        if "untaught" in means:
            wanted = "at least 10.7 points" if arm == "L4" else ""
            columns.append((f"{arm} minus untaught, paired", _points(scores, means["untaught"]), wanted))
        if single:
            wanted = "at least 4.6 points" if arm == "L4" else ""
            columns.append((f"{arm} minus {single}, paired", _points(scores, means[single]), wanted))
    for arm, other in (
        ("L4", "L3"),
        ("L3", "L2"),
        ("L2", "L1"),
        ("L4", "L2"),
        ("L4", "L4-detached"),
        ("on-policy", "L1"),
    ):
        if arm in means and other in means:
            columns.append((f"{arm} minus {other}, paired", _points(means[arm], means[other]), ""))
    if "panel" in groups and "L4" in groups:
        ratio = _generated(groups["panel"]) / _generated(groups["L4"])
        columns.append(("panel's generated tokens over the student's (L4)", f"{ratio:.1f}", "at least 9"))
    tasks = list(next(iter(rows.values()))["tasks"]) if rows else []
    late = {"next_token": "next-token loss", "margin": "margin loss", "pairs_right": "pairs right"}
    late |= {"node": "node loss", "nodes_right": "nodes right"}
    trained = ["lessons", "tokens", "steps", "epochs"]
    names = ["arm", *tasks, *trained, *(f"late {name}" for name in late.values()), "revision"]
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    for key, row in rows.items():
        found = row.get("late", {})
        numbers = [found[name] if found.get(name) is not None else "" for name in late]
        cells = [row["tasks"].get(task, "") for task in tasks] + [row.get(name, "") for name in trained]
        lines.append(f"| {' | '.join(map(str, [key, *cells, *numbers, row['revision']]))} |")
    note = (
        f"Student SmolLM2-135M-Instruct, LoRA rank 8; {kept.get('tokens', TOKENS):,} training tokens an arm, "
        f"{STEP_TOKENS:,} a step; "
        f"{kept['transcripts']['questions']} training questions discussed by {len(PANEL)} experts over two rounds. "
        "Accuracies and differences with 95% bootstrap intervals over questions. An arm's key is level/seed; "
        "teacher:NAME is level 2 from that agent alone, and the best of them is that of the test questions; dpo is "
        "TRL's, on right and wrong replies of one round. Late: the mean of the last ten steps. "
        "Right replies by agent in rounds 0 and 1: "
        f"{json.dumps(kept['transcripts']['right in round 0 and 1'])}.\n\n" + "\n".join(lines)
    )
    write_result(kept.get("name", "distill"), "Distillation of the demo zoo", columns, kept, note)


if __name__ == "__main__":
    main()

"""Every architecture, on both engines: python -m benchmarks.architectures [TYPE ...] [--engines vllm,transformers]
[--models FOLDER --rows FOLDER] [--seconds N]

For each model type two tiny random checkpoints are made, and five things asked of each engine: does it load; does its
canary equal what transformers computes in a process of its own; how is the second reached, and the first again; does
each still say what it said before; does the second say the same when an engine of its own loads nothing else. An
engine that refuses says so in a sentence. What answers otherwise than transformers, or otherwise than when loaded
alone, is silently wrong, and counted.

Results: benchmarks/results/architectures.md. A process serves many architectures one after the other, as a user's
worker does; if it dies, the next one goes on. With `--rows` what was found is kept, a file per architecture and engine,
and a later call goes on where the last one stopped (`--seconds`): the table is of all rows that there are.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

SECONDS = 420.0
"""Longest time for one architecture on one engine."""
TOGETHER = 10
"""Types whose references one process computes."""
TOKENS = 4
TOLERANCE = 0.5
"""Between engines, which round bfloat16 in other places; a wrong tensor moves log-probabilities by whole units."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="Model types; default: all that can be made.")
    parser.add_argument("--engines", default="vllm,transformers")
    parser.add_argument("--models", type=Path, help="Folder to make the checkpoints in, or to find them in.")
    parser.add_argument("--rows", type=Path, help="Folder to keep rows in; what lies there is not looked at again.")
    parser.add_argument(
        "--before", type=Path, help="A table written before: its rows stand where there are no new ones."
    )
    parser.add_argument("--seconds", type=float, default=math.inf, help="Begin no further architecture after that.")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        work(given.worker, given.types, given.models)
        return 0
    from benchmarks.machine import conditions

    noted = conditions()
    until = time.monotonic() + given.seconds
    with tempfile.TemporaryDirectory() as temporary:
        folder, rows = given.models or Path(temporary), given.rows or Path(temporary) / "rows"
        rows.mkdir(parents=True, exist_ok=True)
        made = make_all(given.types, folder, until)
        able = [kind for kind, why in made.items() if why is None]
        unknown = [kind for kind in able if not (rows / f"{kind}.reference.json").exists()]
        for start in range(0, len(unknown), TOGETHER):
            some = unknown[start : start + TOGETHER] if time.monotonic() < until else []
            for kind, wanted in references(some, folder).items():
                keep(rows / f"{kind}.reference.json", wanted)
        for engine in given.engines.split(","):
            left = [kind for kind in able if not (rows / f"{kind}.{engine}.json").exists()]
            for row in checked(engine, left, folder, until):
                keep(rows / f"{row['type']}.{engine}.json", row)
        return write(noted, made, rows, given.before)


def keep(file: Path, value: Any) -> None:
    """Whole or not at all."""
    file.with_suffix(".part").write_text(json.dumps(value))
    file.with_suffix(".part").replace(file)


def make_all(types: Sequence[str], folder: Path, until: float) -> dict[str, str | None]:
    """Type -> why it cannot be made; None: it can, and is. None is begun after `until`."""
    from benchmarks.tiny_architectures import model_types

    types = list(types) or model_types()
    program = (
        "import sys; from benchmarks.architectures import make_in_turn as make; make(*sys.argv[1:3], sys.argv[3:])"
    )
    made: dict[str, str | None] = {}
    while True:
        left = [kind for kind in types if kind not in made]
        seconds = str(until - time.monotonic())
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder), seconds, *left], capture_output=True, text=True, check=False
        )
        made |= dict(json.loads(line[5:]) for line in done.stdout.splitlines() if line.startswith("MADE "))
        begun = [line[6:] for line in done.stdout.splitlines() if line.startswith("BEGIN ")]
        if done.returncode == 0 or not begun:
            return made
        made[begun[-1]] = f"the process that made it ended with {done.returncode}"


def make_in_turn(folder: str, seconds: str, types: Sequence[str]) -> None:
    import resource

    from benchmarks.tiny_architectures import make, model_types

    # Of a type whose sizes are not among those made small, a model may be as large as the real one.
    resource.setrlimit(resource.RLIMIT_DATA, (MAKING_BYTES, MAKING_BYTES))
    until = time.monotonic() + float(seconds)
    from orchestrator.experts.demo import FULL, locate

    tokenizer = locate(FULL)
    for kind in types or model_types():
        why = None
        if not (Path(folder) / f"{kind}-2" / "chat_template.jinja").exists():
            if time.monotonic() > until:
                break
            print("BEGIN", kind, flush=True)
            try:
                make(kind, tokenizer, Path(folder))
            except Exception as error:
                why = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        print("MADE", json.dumps([kind, why]), flush=True)


def experts(kind: str, folder: Path) -> list[Any]:
    from orchestrator.inference.expert import Expert, Weights

    names = [f"{kind}-{number}" for number in (1, 2)]
    return [Expert(name, name, kind, weights=Weights(folder / name), context=512) for name in names]


def references(types: Sequence[str], folder: Path) -> dict[str, dict[str, Any]]:
    """Type -> expert -> its canary by transformers, or the reason why there is none (text)."""
    from orchestrator.inference.engines.reference import ROUNDED, NoReference, canaries

    every = [(kind, expert) for kind in types for expert in experts(kind, folder)]
    found: dict[str, dict[str, Any]] = {kind: {} for kind in types}
    for (kind, expert), canary in zip(every, canaries([(expert, ROUNDED) for _, expert in every], TOKENS), strict=True):
        found[kind][expert.name] = str(canary) if isinstance(canary, NoReference) else canary
    return found


def checked(engine: str, types: Sequence[str], folder: Path, until: float) -> Iterator[dict[str, Any]]:
    """A row for each type, from as many processes as it takes; none is begun after `until`."""
    left = list(types)
    while left and time.monotonic() < until:
        command = [sys.executable, "-m", "benchmarks.architectures", "--worker", engine, "--models", str(folder)]
        process = subprocess.Popen([*command, *left], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        why = None
        for row in _rows(process, SECONDS):
            print(engine, json.dumps(row)[:240], flush=True)
            left.remove(row["type"])
            yield row
            if time.monotonic() > until:
                process.kill()
                process.wait()
                return
        if left:
            why = "out of time" if process.poll() is None else f"its process ended with code {process.wait()}"
            process.kill()
            yield {"type": left.pop(0), "refused": why, "died": True}
        process.wait()


def _rows(process: subprocess.Popen[str], seconds: float) -> Iterator[dict[str, Any]]:
    import selectors

    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not selector.select(1.0):
                continue
            line = process.stdout.readline()
            if not line:
                return
            if line.startswith("ROW "):
                until = time.monotonic() + seconds
                yield json.loads(line[4:])


def work(name: str, types: Sequence[str], folder: Path) -> None:
    """In a process of its own: one engine, one architecture after the other."""
    engine = make_engine(name)
    for kind in types:
        row: dict[str, Any] = {"type": kind}
        try:
            row |= look(engine, name, experts(kind, folder))
        except Exception as error:
            row["refused"] = " ".join(str(error).split())[:400].replace(f"{folder}/", "") or type(error).__name__
            engine.close()
            engine = make_engine(name)
        print("ROW", json.dumps(row), flush=True)


def make_engine(name: str) -> Any:
    from orchestrator.inference.engines.engine import EngineOptions
    from orchestrator.inference.schedule.placement import local_engine

    options = EngineOptions(batch=8, kv_gib=0.1, context=512, canary_tokens=TOKENS, memory_gib=0.5, compare=False)
    return local_engine(name, options)


def look(engine: Any, name: str, pair: Sequence[Any]) -> dict[str, Any]:
    """Load first, second, first, second; and the second in an engine of its own."""
    replies: dict[str, Any] = {}
    ways, seconds, drift = [], [], 0.0
    for expert in (*pair, *pair):
        report = engine.load(expert)
        ways.append(report.way)
        seconds.append(round(report.seconds, 3))
        canary = engine.canary()
        drift = max(drift, gap(replies.setdefault(expert.name, canary), canary))
    reply = speak(engine, pair[1])
    alone = make_engine(name)
    try:
        alone.load(pair[1])
        apart = gap(replies[pair[1].name], alone.canary())
        same_reply = speak(alone, pair[1]) == reply
    finally:
        alone.close()
    return {"ways": ways, "seconds": seconds, "said": replies, "drift": drift, "alone": apart, "same_reply": same_reply}


def speak(engine: Any, expert: Any) -> str:
    """Twelve greedy tokens to one question."""
    from orchestrator.inference.request import Request, Sampling, request_key

    sampling = Sampling(max_tokens=12, ignore_eos=True)
    messages = (("user", "Tell me about rivers."),)
    engine.add(Request(request_key(expert.name, messages, sampling), expert.name, messages, sampling), expert)
    text = ""
    while True:
        for delta in engine.step():
            if delta.error:
                raise RuntimeError(str(delta.error))
            text += delta.text
            if delta.last:
                return text


def gap(wanted: Any, found: Any) -> float:
    """Largest difference of log-probabilities of tokens that both list, as far as the two say the same."""
    largest = 0.0
    for one, other in zip(wanted, found, strict=False):
        chances = {int(token): chance for token, chance in other}
        shared = [abs(chance - chances[int(token)]) for token, chance in one if int(token) in chances]
        largest = max([largest, *shared, *([99.0] if len(shared) < 4 else [])])
        if int(one[0][0]) != int(other[0][0]):
            break
    return largest


MAKING_BYTES = 6 * 2**30
COLUMNS = "| type | engine | verdict | ways | seconds | to transformers | to alone | measured | sentence |"
VERDICTS = ("right", "refused", "not compared", "silently wrong")


def write(noted: dict[str, str], made: dict[str, str | None], folder: Path, before: Path | None) -> int:
    """The table: what was found, and of `before` what was not looked at again. Returns how many are silently wrong."""
    from benchmarks.machine import RESULTS

    lines: dict[tuple[str, str], list[str]] = {}
    if before is not None:
        lines = {(cells[0], cells[1]): cells for cells in earlier(before)}
    for file in sorted(folder.glob("*.*.json")):
        kind, engine, _ = file.name.rsplit(".", 2)
        if engine != "reference":
            row = json.loads(file.read_text())
            wanted = json.loads((folder / f"{kind}.reference.json").read_text())
            day = time.strftime("%Y-%m-%d", time.gmtime(file.stat().st_mtime))
            lines[kind, engine] = [kind, engine, *judged(row, wanted, day)]
    head = ["# Architectures", "", f"`python -m benchmarks.architectures {' '.join(sys.argv[1:])}`".replace(" `", "`")]
    head += ["", *(f"- {key}: {value}" for key, value in noted.items()), ""]
    for engine in sorted({engine for _, engine in lines}):
        counts = Counter(cells[2] for (_, own), cells in lines.items() if own == engine)
        head += [f"- {engine}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)]
    right = {kind for (kind, _), cells in lines.items() if cells[2] == "right"}
    head += [f"- {len({kind for kind, _ in lines})} architectures; right on at least one engine: {len(right)}", ""]
    head += [
        "Times are of a machine that others used too: they show the way, not the speed. Ways: how the first is "
        "reached, the second, the first again, the second again.",
        "",
        "`in_place`: the live tensors are written, or the model is built anew inside the running engine; `start`: a "
        "new engine. Gaps: largest difference of log-probabilities.",
        "",
        COLUMNS,
        "|" + COLUMNS.count("|") * " --- |",
    ]
    head[-1] = head[-1][: -len(" --- |")]
    table = [f"| {' | '.join(cells)} |" for _, cells in sorted(lines.items())]
    unmade = [f"- {kind}: {why}" for kind, why in made.items() if why]
    tail = ["", "Not made (transformers does not accept the tiny sizes):", "", *unmade] if unmade else []
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "architectures.md").write_text("\n".join([*head, *table, *tail]) + "\n")
    wrong = sum(cells[2] == "silently wrong" for cells in lines.values())
    print("\n".join(head[4:]), f"\nsilently wrong: {wrong}")
    return wrong


def earlier(table: Path) -> Iterator[list[str]]:
    """The rows of a table that was written before, in today's columns."""
    text = table.read_text()
    day = re.search(r"^- date: (.*)$", text, re.MULTILINE)
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) > 2 and cells[2] in VERDICTS:
            dated = "measured" in text
            yield cells if dated else [*cells[:7], day[1] if day else "", " / ".join(cells[7:])]


def judged(row: dict[str, Any], wanted: dict[str, Any], day: str) -> list[str]:
    """Verdict, ways, seconds, gap to transformers, gap to loaded alone, day, sentence."""
    if "refused" in row:
        return ["refused", "", "", "", "", day, row["refused"].replace("|", "/")]
    gaps = [gap(wanted[name], replies) for name, replies in row["said"].items() if not isinstance(wanted[name], str)]
    reasons = [wanted[name] for name in row["said"] if isinstance(wanted[name], str)]
    apart = max(row["alone"], row["drift"])
    verdict = "right" if gaps else "not compared"
    if apart > 0.01 or not row["same_reply"] or (gaps and max(gaps) > TOLERANCE):
        verdict = "silently wrong"
    seconds = ", ".join(f"{one:.2f}" for one in row["seconds"])
    sentence = "" if gaps else reasons[0][:160].replace("|", "/")
    largest = f"{max(gaps):.3f}" if gaps else "-"
    return [verdict, ", ".join(row["ways"]), seconds, largest, f"{apart:.3f}", day, sentence]


if __name__ == "__main__":
    sys.exit(main())

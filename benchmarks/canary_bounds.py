"""Whether `experts check` tells wrong weights from rounding: python -m benchmarks.canary_bounds TYPE ...
--models FOLDER --rows FOLDER [--seconds N] [--right]

Per model type a tiny random model (`benchmarks.architectures --models` makes them) is held against transformers, and
so are copies of it that are wrong in one way each: a matrix that is read transposed, one matrix of another model, a
whole layer of another model, two experts in each other's place, half of the rotary base. vLLM loads the wrong copy,
transformers computes the right model: as if vLLM's loader or kernels were wrong in that way. All canaries are taken in
bfloat16 and in float32, so that any bound can be tried on them. `--right`: no wrong copies.

Results: benchmarks/results/canary_bounds.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.architectures import keep

TOKENS = 8
PRECISIONS = ("bfloat16", "float32")
MUTE = 1e-5
"""A wrong copy of which vLLM says the same in float32 has no effect on the canary."""
LAYER = re.compile(r"\.(\d+)\.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*")
    parser.add_argument("--models", type=Path, required=True, help="Folder with TYPE-1 and TYPE-2.")
    parser.add_argument("--rows", type=Path, required=True, help="Folder of canaries; none of those is taken again.")
    parser.add_argument("--seconds", type=float, default=math.inf, help="Begin no further type after that.")
    parser.add_argument("--right", action="store_true", help="No wrong copies.")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    rows = given.rows
    if given.worker:
        take(given.types, given.models, rows, given.right)
        return 0
    from benchmarks.machine import conditions

    noted, until = conditions(), time.monotonic() + given.seconds
    rows.mkdir(parents=True, exist_ok=True)
    while (left := [kind for kind in given.types if not (rows / f"{kind}.json").exists()]) and time.monotonic() < until:
        command = [sys.executable, "-m", "benchmarks.canary_bounds", *left, "--models", str(given.models)]
        command += ["--rows", str(rows), "--worker", *["--right"] * given.right]
        with contextlib.suppress(subprocess.TimeoutExpired):
            subprocess.run(command, timeout=until - time.monotonic() if math.isfinite(until) else None, check=False)
        if not (rows / f"{left[0]}.json").exists():  # it ended its process
            keep(rows / f"{left[0]}.json", {})
    found = {file.stem: json.loads(file.read_text()) for file in sorted(rows.glob("*.json"))}
    return write(noted, {kind: found[kind] for kind in given.types or found if found.get(kind)})


def take(types: Sequence[str], models: Path, rows: Path, right: bool) -> None:
    """In a process of its own: many types, one after the other."""
    from orchestrator.inference.engines.reference import canaries

    asked = [(expert_of(kind, models), precision) for kind in types for precision in PRECISIONS]
    found = canaries(asked, TOKENS)
    for number, kind in enumerate(types):
        with tempfile.TemporaryDirectory() as temporary:
            try:
                references = dict(zip(PRECISIONS, found[2 * number : 2 * number + 2], strict=True))
                row = taken(kind, models, Path(temporary), right, references)
            except Exception as error:
                print(kind, error, flush=True)
                row = {}
        keep(rows / f"{kind}.json", row)
        print(kind, sorted(row.get("engine", {})), flush=True)


def expert_of(kind: str, models: Path) -> Any:
    from orchestrator.inference.expert import Expert, Weights

    return Expert("right", f"{kind} right", kind, weights=Weights(models / f"{kind}-1"), context=512)


def taken(kind: str, models: Path, folder: Path, only_right: bool, references: Mapping[str, Any]) -> dict[str, Any]:
    """What transformers says of the right model, and vLLM of it and of each wrong copy, in both precisions."""
    from orchestrator.errors import CollegiumError
    from orchestrator.inference.engines.engine import EngineOptions
    from orchestrator.inference.engines.reference import NoReference
    from orchestrator.inference.engines.vllm import VLLMEngine
    from orchestrator.inference.expert import Weights

    right, expert = models / f"{kind}-1", expert_of(kind, models)
    copies = {"right": right} if only_right else {"right": right} | wrong_copies(right, models / f"{kind}-2", folder)
    row: dict[str, Any] = {"transformers": {}, "engine": {name: {} for name in copies}}
    for precision in PRECISIONS:
        if isinstance(reference := references[precision], NoReference):
            raise reference
        row["transformers"][precision] = reference
        options = EngineOptions(batch=8, kv_gib=0.1, context=512, canary_tokens=TOKENS, memory_gib=0.5, compare=False)
        engine = VLLMEngine(options)
        for name, copy in copies.items():
            shape = f"{kind} {precision} {'turned' if name == 'rotary' else ''}"
            one = replace(
                expert, name=name, weights=Weights(copy), fingerprint=f"{shape} {name}", shape=shape, dtype=precision
            )
            try:
                engine.load(one)
                row["engine"][name][precision] = engine.canary()
            except CollegiumError as error:
                if name == "right":
                    raise
                row["engine"][name][precision] = str(error)
        engine.close()
    return row


def wrong_copies(right: Path, other: Path, folder: Path) -> dict[str, Path]:
    """Way of being wrong -> folder, as far as the type can be wrong in that way."""
    from safetensors import safe_open

    with safe_open(right / "model.safetensors", "pt") as file, safe_open(other / "model.safetensors", "pt") as second:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        others = {name: second.get_tensor(name) for name in second.keys()}  # noqa: SIM118
    layers = [int(found[1]) for name in tensors if (found := LAYER.search(name))]
    last = max(layers)
    own = [name for name in sorted(tensors) if (found := LAYER.search(name)) and int(found[1]) == last]
    matrices = [name for name in own if tensors[name].dim() == 2 and min(tensors[name].shape) > 8]
    fused = [name for name in own if tensors[name].dim() == 3 and "expert" in name]
    numbered = re.compile(r"(.*experts\.)([01])(\..*)")
    swapped: dict[str, Any] = {name: tensors[name].roll(1, 0) for name in fused}
    for name in own:
        if found := numbered.fullmatch(name):
            twin = f"{found[1]}{1 - int(found[2])}{found[3]}"
            swapped[name] = tensors.get(twin, tensors[name])
    first = next((name for name in matrices if re.search(r"o_proj|out_proj|dense|c_proj|\bwo\b", name)), matrices[0])
    ways: dict[str, dict[str, Any]] = {
        "transposed": {first: tensors[first].T.reshape(tensors[first].shape)},
        "one matrix": {matrices[-1]: others[matrices[-1]]},
        "a layer": {name: others[name] for name in own},
        "experts": swapped,
    }
    made = {way: _copy(right, folder / way, tensors | change) for way, change in ways.items() if change}
    if (config := half_base(json.loads((right / "config.json").read_text()))) is not None:
        made["rotary"] = _copy(right, folder / "rotary", tensors)
        (made["rotary"] / "config.json").write_text(json.dumps(config))
    return made


def half_base(config: dict[str, Any]) -> dict[str, Any] | None:
    """The configuration with half of the rotary base; None where it names none."""
    rope = config.get("rope_parameters")
    if isinstance(config.get("rope_theta"), int | float):
        return {**config, "rope_theta": config["rope_theta"] / 2}
    if isinstance(rope, dict) and isinstance(rope.get("rope_theta"), int | float):
        return {**config, "rope_parameters": {**rope, "rope_theta": rope["rope_theta"] / 2}}
    if isinstance(rope, dict) and all(isinstance(one, dict) for one in rope.values()):
        halved = {name: {**one, "rope_theta": one.get("rope_theta", 1e4) / 2} for name, one in rope.items()}
        return {**config, "rope_parameters": halved}
    return None


def _copy(right: Path, folder: Path, tensors: dict[str, Any]) -> Path:
    from safetensors.torch import save_file

    shutil.copytree(right, folder)
    save_file({n: t.contiguous().clone() for n, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})
    return folder


COLUMNS = (
    "type",
    "copy",
    "rounding",
    "bfloat16",
    "times",
    "float32",
    "refused by 0.5",
    "refused in 16 bits",
    "refused in float32",
)


def write(noted: dict[str, str], found: dict[str, dict[str, Any]]) -> int:
    """The table; how many right models are refused, and how many wrong ones pass, by the bounds that are in use."""
    from benchmarks.machine import RESULTS

    rows = [line for kind, row in found.items() for line in judged(kind, row)]
    mute = [f"{row['type']} {row['copy']}" for row in rows if row["mute"]]
    rows = [row for row in rows if not row["mute"]]
    right, wrong = ([row for row in rows if (row["copy"] == "right") == ok] for ok in (True, False))
    finite = [row["float32"] for row in wrong if math.isfinite(row["float32"])]
    head = ["# What bounds tell wrong weights from rounding", ""]
    head += [f"`python -m benchmarks.canary_bounds {_arguments()}`", ""]
    head += [f"- {key}: {value}" for key, value in noted.items()]
    head += [
        "",
        f"- {len(right)} right models, {len(wrong)} wrong copies of {len({row['type'] for row in wrong})} of them",
    ]
    if mute:
        head.append(f"- without effect on the canary, and in no count or row: {', '.join(mute)}")
    for bound in COLUMNS[6:]:
        counts = [sum(row[bound] for row in some) for some in (right, wrong)]
        head.append(f"- {bound}: {counts[0]} right models, {counts[1]} wrong copies")
    largest = max((row["float32"] for row in right), default=math.nan)
    head += [
        f"- float32: right models at most {largest:.1e}, wrong copies at least {min(finite, default=math.inf):.1e}",
        "",
        "Largest differences of log-probabilities over eight greedy tokens. Rounding: transformers in bfloat16 against "
        "float32. bfloat16: vLLM in bfloat16 against the nearer of both; times: that over rounding. float32: vLLM and "
        "transformers, both in float32. inf: other tokens are likely. Refused in 16 bits: by more than rounding a few "
        "times over; in float32: by the bound of `experts check`, which asks for that once per shape.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "|" + " --- |" * len(COLUMNS),
    ]
    lines = [f"| {' | '.join(_cell(row[column]) for column in COLUMNS)} |" for row in rows]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "canary_bounds.md").write_text("\n".join([*head, *lines]) + "\n")
    print("\n".join(head))
    return sum(row["refused in float32"] for row in right) + sum(not row["refused in float32"] for row in wrong)


def judged(kind: str, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A line per copy that vLLM loads."""
    from orchestrator.inference.engines.agreement import EXACT, too_far
    from orchestrator.inference.engines.canary import OTHER_ENGINE, difference, largest_gap
    from orchestrator.inference.engines.reference import Reference

    rounded, exact = (read_canary(row["transformers"][precision]) for precision in PRECISIONS)
    rounding = largest_gap(exact, rounded)
    right = row["engine"]["right"]["float32"]
    if isinstance(right, str):
        return
    right = read_canary(right)
    for copy, said in row["engine"].items():
        if any(isinstance(said[precision], str) for precision in PRECISIONS):
            continue
        own, own_exact = (read_canary(said[precision]) for precision in PRECISIONS)
        apart = min(largest_gap(exact, own), largest_gap(rounded, own))
        yield {
            "type": kind,
            "copy": copy,
            "rounding": rounding,
            "bfloat16": apart,
            "times": apart / rounding if rounding else math.inf,
            "float32": largest_gap(exact, own_exact),
            "mute": copy != "right" and largest_gap(right, own_exact) < MUTE,
            "refused by 0.5": bool(difference(rounded, own, OTHER_ENGINE)),
            "refused in 16 bits": bool(too_far(Reference(rounded, exact), own)),
            "refused in float32": bool(difference(exact, own_exact, EXACT)),
        }


def read_canary(read: list[list[list[Any]]]) -> list[list[tuple[int, float]]]:
    return [[(int(token), float(chance)) for token, chance in step] for step in read]


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:.2g}"


def _arguments() -> str:
    return " ".join("FOLDER" if argument.startswith("/") else argument for argument in sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

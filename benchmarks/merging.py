"""Merging against mergekit: python -m benchmarks.merging [--peer PYTHON] [--size 350M|1B] [--methods linear,ties,...]
(and python -m benchmarks.merging --memory: what the methods that hold whole matrices take)

Models are generated: a Llama of about 350 million parameters in bf16 and four fine-tunes of it (or 1.1 billion, two
fine-tunes), random weights with random changes. Each method is run as a user would: `collegium merge CONFIG OUT`,
against `mergekit-yaml CONFIG OUT`, start-up included, in turns, caches warm; medians. `--peer` is the interpreter of
an environment of its own that has mergekit 0.1.5 (it does not go with this project's packages); without it only our
side runs. Peak memory is what is the process's own (private pages; mapped files are the cache's). Rows measured with
other code than today's are dropped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import yaml

from benchmarks.machine import RESULTS, conditions, write_result
from merging.checkpoint import Checkpoint

SIZES: dict[str, dict[str, int]] = {
    "350M": {"hidden": 1024, "inner": 2816, "layers": 26, "vocabulary": 16000, "models": 5},
    "1B": {"hidden": 2048, "inner": 5632, "layers": 22, "vocabulary": 32000, "models": 3},
}
WANTED = {
    "350M": {"linear": 9.0, "slerp": 15.0, "ties": 25.0, "dare_ties": 15.0, "karcher": 15.0},
    "1B": {"linear": 10.0, "slerp": 15.0, "ties": 28.0, "dare_ties": 15.0, "karcher": 15.0},
}
"""How many times as fast as mergekit."""
FLOORS = {"linear": 1.5, "slerp": 1.1}
"""Start-up apart, at most so many times reading the sources and writing the result once."""
MAX_MB = 150
METHODS = (
    *WANTED["350M"],
    "task_arithmetic",
    "model_stock",
    "multislerp",
    "dare_linear",
    "breadcrumbs",
    "della",
    "sce",
)
MATRIX = (4096, 3072)
"""Rows and columns of the one matrix of `--memory`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--size", choices=SIZES, default="350M")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", action="store_true", help="Only measure methods that hold whole matrices.")
    parser.add_argument("--folder", type=Path, help="Where to keep the generated models; default: temporary.")
    given = parser.parse_args()
    where = given.folder or Path(tempfile.mkdtemp(prefix="merging-"))
    try:
        memory(where) if given.memory else run(given, where)
    finally:
        if not given.folder:
            shutil.rmtree(where)


def run(given: argparse.Namespace, where: Path) -> None:
    shape = SIZES[given.size]
    models = [generate(where / f"{given.size}-{number}", shape, number) for number in range(shape["models"])]
    kept = RESULTS / f"merging_{given.size}.json"
    # A method at a time, over several runs if need be: the whole takes long, and the peer most of it.
    result: dict[str, Any] = {"methods": {}, **(json.loads(kept.read_text()) if kept.exists() else {})}
    if result.get("code") != code():
        result = {"methods": {}, "code": code()}
    for method in given.methods.split(","):
        config = where / f"{method}.yaml"
        config.write_text(yaml.safe_dump(recipe(method, models), sort_keys=False))
        result |= {"conditions": conditions(), "shape": shape}
        result["methods"][method] = compare(method, config, models, where, given)
        done = result["methods"]
        rows = [row for name in METHODS if name in done for row in report(name, done[name], WANTED[given.size])]
        causes = [f"{name}: {CAUSES[name]}." for name in METHODS if done.get(name, {}).get("differing")]
        note = " ".join(["Differences are counted element by element between the two results.", *causes])
        write_result(f"merging_{given.size}", f"Merging, {shape['models']} models of {given.size}", rows, result, note)


_STEPS = "mergekit computes in bf16, step by step; here fp32, rounded once"
_CUT = f"{_STEPS}; equal magnitudes at the bound stay together here, there a sort decides"
_DRAWS = "other random numbers; rescaled by the probability as in the paper (`rescale_norm: l1` is mergekit's way)"
CAUSES = {
    "linear": "should not differ",
    "slerp": "mergekit takes the cosine in fp32 and rounds between the two products and their sum",
    "ties": _CUT,
    "breadcrumbs": _CUT,
    "dare_ties": _DRAWS,
    "dare_linear": _DRAWS,
    "della": _DRAWS,
    "sce": "mergekit counts all sources alike below a mean square of 1e-6",
    **dict.fromkeys(("karcher", "task_arithmetic", "model_stock", "multislerp"), _STEPS),
}


def code() -> str:
    """What a merge's time depends on: a hash of the modules that it loads."""
    import merging.kernels
    import merging.merge  # noqa: F401 -- everything a merge imports is in sys.modules then

    files = sorted({str(m.__file__) for name, m in sys.modules.items() if name.startswith("merging.")})
    return hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()[:12]


def report(method: str, measured: dict[str, Any], ratios: dict[str, float]) -> list[tuple[str, str, str]]:
    ours = measured["ours"]
    rows = [
        (
            f"{method}: collegium",
            f"{ours['seconds']:.2f} s, {ours['private_mb']:.0f} MB private",
            f"at most {MAX_MB} MB",
        ),
    ]
    if method in FLOORS:
        least = measured["reading_and_writing"]
        ratio = ours["inside"] / least["seconds"]
        text = f"{ours['inside']:.2f} s against {least['seconds']:.2f} s: {ratio:.2f}x"
        rows.append((f"{method}, start-up apart, against reading and writing once", text, f"{FLOORS[method]}x"))
    if "peer" in measured:
        peer, ratio = measured["peer"], measured["peer"]["seconds"] / ours["seconds"]
        wanted = f"{ratios[method]:.0f}x" if method in ratios else ""
        text = f"{peer['seconds']:.1f} s, {peer['private_mb']:,.0f} MB private: {ratio:.1f}x ours"
        rows.append((f"{method}: mergekit", text, wanted))
        rows.append(
            (f"{method}: elements that differ", f"{measured['differing']:.4%}", "0" if method == "linear" else "")
        )
    return rows


def compare(method: str, config: Path, models: list[Path], where: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Both sides, and reading and writing alone, in turn; a result is kept until it was compared."""
    ours, peer = where / "ours", where / "peer"
    command = [str(Path(sys.executable).parent / "collegium"), "merge", str(config), str(ours), "--json"]
    theirs = [str(given.peer.parent / "mergekit-yaml"), str(config), str(peer), "--quiet"] if given.peer else []
    measured: dict[str, list[dict[str, float]]] = {"ours": [], "peer": [], "reading_and_writing": []}
    if method in FLOORS:
        models = models[:2] if method == "slerp" else models
        floor(models, where)
    for turn in range(given.rounds):
        if method in FLOORS:
            measured["reading_and_writing"].append(floor(models, where))
        measured["ours"].append(watched(command, ours))
        if theirs and turn < max(1, given.rounds - (method != "linear") * 2):
            measured["peer"].append(watched(theirs, peer))
    found: dict[str, Any] = {
        side: {key: statistics.median(each[key] for each in runs) for key in runs[0]}
        for side, runs in measured.items()
        if runs
    }
    if theirs:
        found["differing"] = differing(ours, peer)
    shutil.rmtree(ours)
    shutil.rmtree(peer, ignore_errors=True)
    return found


def watched(command: list[str], out: Path) -> dict[str, float]:
    """Run it; seconds, and the most private memory of the process and its children (sampled every 20 ms)."""
    shutil.rmtree(out, ignore_errors=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    peak = [0]
    watcher = threading.Thread(target=watch, args=(process, peak))
    watcher.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - began
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}\n{errors.decode()[-2000:]}")
    inside = json.loads(output)["seconds"] if b'"seconds"' in output else 0.0
    return {"seconds": seconds, "inside": inside, "private_mb": peak[0] / 1e6}


def watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    while process.poll() is None:
        try:
            text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            peak[0] = max(
                peak[0], sum(int(line.split()[1]) * 1024 for line in text.splitlines() if "Private_D" in line)
            )
        except (OSError, psutil.Error):
            return
        time.sleep(0.02)


def floor(models: list[Path], where: Path) -> dict[str, float]:
    """Read every input once and write one output, one thread, a megabyte at a time."""
    began = time.perf_counter()
    buffer = bytearray(1 << 20)
    for model in models:
        with (model / "model.safetensors").open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass
    size = (models[0] / "model.safetensors").stat().st_size
    with (where / "floor").open("wb", buffering=0) as stream:
        for _ in range(0, size, len(buffer)):
            stream.write(buffer)
    seconds = time.perf_counter() - began
    (where / "floor").unlink()
    return {"seconds": seconds}


def memory(where: Path) -> None:
    """One matrix in a model: the most private memory of each method, less what it takes of a matrix of 8 x 8."""
    methods = ("linear", "tsv_m", "iso_c", "regmean")
    small, large = (_peaks(where / str(rows), rows, columns, methods) for rows, columns in ((8, 8), MATRIX))
    matrix = MATRIX[0] * MATRIX[1] * 4
    rows = []
    for method in methods:
        taken = (large[method] - small[method]) * 1e6 / matrix
        text = f"{large[method]:.0f} MB private; less {small[method]:.0f} for a tiny matrix: {taken:.1f} matrices"
        rows.append((method, text, "at most 6" if method != "linear" else ""))
    title = (
        f"Memory of merges that hold whole matrices: {MATRIX[0]} x {MATRIX[1]}, {matrix / 1e6:.0f} MB in fp32, 3 models"
    )
    write_result("merging_memory", title, rows, {"conditions": conditions()})


def _peaks(where: Path, rows: int, columns: int, methods: Sequence[str]) -> dict[str, float]:
    """Method -> the most private memory of `collegium merge`, MB; three models of one matrix."""
    from merging.writer import Writer

    rng = np.random.default_rng(0)
    name = "model.layers.0.mlp.up_proj.weight"
    base = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
    models = [where / f"matrix-{number}" for number in range(3)]
    for model in models:
        model.mkdir(parents=True)
        change = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.0004)
        bits = ((base + change).view(np.uint32) >> 16).astype(np.uint16)
        save_bf16({name: bits}, model / "model.safetensors")
        (model / "config.json").write_text("{}")
    inputs = rng.standard_normal((2 * columns, columns), dtype=np.float32)
    with Writer(where / "grams", {name: ("F32", (columns, columns))}) as writer:
        writer.write(name, 0, (inputs.T @ inputs).reshape(-1))
        writer.finish()
    statistics_file = {"statistics": str(where / "grams" / "model.safetensors")}
    found = {}
    for method in methods:
        own = {"linear": {"weight": 1.0}, "regmean": statistics_file}.get(method, {})
        listed = models if method in ("linear", "regmean") else models[1:]
        raw = {"merge_method": method, "models": [{"model": str(m), "parameters": own} for m in listed]}
        config = where / f"{method}.yaml"
        config.write_text(yaml.safe_dump(raw if own else {**raw, "base_model": str(models[0])}))
        command = [str(Path(sys.executable).parent / "collegium"), "merge", str(config), str(where / "out"), "--json"]
        found[method] = watched(command, where / "out")["private_mb"]
    return found


def recipe(method: str, models: list[Path]) -> dict[str, Any]:
    own: dict[str, Any] = {"weight": 0.3}
    if method in ("ties", "dare_ties", "dare_linear", "breadcrumbs", "della"):
        own["density"] = 0.5
    listed = models[1:]
    raw: dict[str, Any] = {"merge_method": method, "dtype": "bfloat16"}
    if method in ("linear", "karcher", "multislerp"):
        listed = models
    else:
        raw["base_model"] = str(models[0])
    if method in ("slerp", "nearswap"):
        listed = models[:2]
        raw["parameters"] = {"t": 0.4}
    plain = method in ("slerp", "karcher", "model_stock", "sce")
    raw["models"] = [{"model": str(model), **({} if plain else {"parameters": own})} for model in listed]
    return raw


def generate(folder: Path, shape: dict[str, int], number: int) -> Path:
    """One model: the base's weights (number 0), or those with changes of about a fiftieth of their size."""
    if (folder / "config.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for place, (name, size) in enumerate(tensor_shapes(shape).items()):
        base = np.random.default_rng(place).standard_normal(size, dtype=np.float32) * np.float32(0.02)
        if number:
            change = np.random.default_rng([place, number]).standard_normal(size, dtype=np.float32)
            base += change * np.float32(0.0004)
        tensors[name] = base.view(np.uint32)
        tensors[name] = ((tensors[name] + 0x7FFF + ((tensors[name] >> 16) & 1)) >> 16).astype(np.uint16)
    save_bf16(tensors, folder / "model.safetensors")
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": shape["hidden"],
        "intermediate_size": shape["inner"],
        "num_hidden_layers": shape["layers"],
        "num_attention_heads": shape["hidden"] // 64,
        "num_key_value_heads": shape["hidden"] // 64,
        "vocab_size": shape["vocabulary"],
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def tensor_shapes(shape: dict[str, int]) -> dict[str, tuple[int, ...]]:
    hidden, inner = shape["hidden"], shape["inner"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape["vocabulary"], hidden)}
    for layer in range(shape["layers"]):
        head = f"model.layers.{layer}"
        shapes |= {f"{head}.self_attn.{part}_proj.weight": (hidden, hidden) for part in "qkvo"}
        shapes |= {f"{head}.mlp.{part}_proj.weight": (inner, hidden) for part in ("gate", "up")}
        shapes[f"{head}.mlp.down_proj.weight"] = (hidden, inner)
        shapes |= {f"{head}.{part}_layernorm.weight": (hidden,) for part in ("input", "post_attention")}
    return {**shapes, "model.norm.weight": (hidden,), "lm_head.weight": (shape["vocabulary"], hidden)}


def save_bf16(tensors: dict[str, Any], file: Path) -> None:
    from merging.writer import Writer

    with Writer(file.parent / "weights", {name: ("BF16", bits.shape) for name, bits in tensors.items()}) as writer:
        for name, bits in tensors.items():
            writer.write(name, 0, bits)
        writer.finish()
    (file.parent / "weights" / "model.safetensors").rename(file)
    (file.parent / "weights").rmdir()


def differing(ours: Path, peer: Path) -> float:
    """The share of elements whose bits differ."""
    first, second = Checkpoint(ours), Checkpoint(peer)
    count = total = 0
    for name in first.tensors:
        left, right = first.array(name), second.array(name)
        total += left.size
        count += int((left != right).sum())
    return count / total


if __name__ == "__main__":
    main()

"""Every architecture merged in four ways: python -m benchmarks.merged_architectures [TYPE ...]

For each type a tiny random model and two fine-tunes of it are made by transformers (float32). They are merged by
linear, slerp with a gradient, TIES, and as a stack of two slices of the layers that write text. Three things are asked
of each result: are its tensors those of the first model and its numbers those of a float64 reference of a few lines;
does transformers load it without a missing, unexpected or mismatched key; does it generate (or answer a forward pass,
where the class does not generate) finite numbers. Whatever is neither right nor refused by name is silently wrong.

Results: benchmarks/results/merged_architectures.md.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.tiny_towers import OTHERS

METHODS = ("linear", "gradient slerp", "ties", "stack")
GRADIENT = (0.2, 0.5, 0.9)
WEIGHTS = (0.3, 0.7)
DENSITY = 0.5
STACKED = ("text_decoder", "decoder", "encoder")
"""Towers that are stacked (the encoder too, since T5 generates only where both halves have as many layers)."""
LAYERS = ("layers", "layer", "h", "blocks")
MAX_PARAMETERS = 5_000_000
SMALL: Mapping[str, Any] = {
    "vocab_size": 96,
    "num_hidden_layers": 4,
    "n_layer": 4,
    "n_layers": 4,
    "max_position_embeddings": 128,
    "n_positions": 128,
}
Tensors = dict[str, np.ndarray[Any, Any]]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="Default: all that can be made in at most five million parameters.")
    parser.add_argument("--sources", action="store_true", help="Show the traceback of what is silently wrong.")
    given = parser.parse_args()
    from benchmarks.machine import conditions

    noted = conditions()
    began = time.monotonic()
    warnings.simplefilter("ignore")
    rows: dict[str, dict[str, str]] = {}
    unmade: dict[str, str] = {}
    for kind in given.types or kinds():
        with tempfile.TemporaryDirectory() as folder:
            try:
                make(kind, Path(folder))
            except Exception as error:
                unmade[kind] = sentence(error)
                continue
            rows[kind] = {method: judged(kind, method, Path(folder), given.sources) for method in METHODS}
        print(kind, json.dumps(rows[kind]), flush=True)
    return write(noted, rows, unmade, time.monotonic() - began, partial=bool(given.types))


def kinds() -> list[str]:
    """Every type that transformers can make a causal language model of, and the others above."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted({*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *OTHERS})


def make(kind: str, folder: Path) -> None:
    """`base`, `a` and `b`. Raises whatever transformers says of sizes that it does not accept."""
    import torch
    import transformers

    if kind in OTHERS:
        cls, config_cls, values = OTHERS[kind]
        config = getattr(transformers, config_cls)(**values)
        build: Callable[[], Any] = lambda: getattr(transformers, cls)(config)  # noqa: E731
    else:
        from benchmarks import tiny_architectures

        config = tiny_architectures.small_config(kind, SMALL)
        build = lambda: transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # noqa: E731
    with torch.device("meta"):
        size = sum(parameter.numel() for parameter in build().parameters())
    if size > MAX_PARAMETERS:
        raise ValueError(f"{size:,} parameters: the tiny sizes do not reach all of its configuration")
    base: dict[str, Any] = {}
    for number, name in enumerate(("base", "a", "b")):
        torch.manual_seed(0)
        model = build().float()
        torch.manual_seed(number)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                noise = torch.randn_like(parameter)
                if number == 0:
                    parameter.add_(noise * 0.05)
                    base[key] = parameter.clone()
                else:
                    parameter.copy_(base[key] + 0.02 * noise)
        if number == 0:
            answer(model)
        model.save_pretrained(folder / name)


def answer(model: Any) -> None:
    """Generate four tokens, or run forward once. Raises `ValueError` for numbers that are not finite."""
    import torch

    model.eval()
    config = model.config
    kind = config.model_type
    inputs: dict[str, Any] = {"input_ids": torch.tensor([[5, 6, 7, 8]])}
    if kind in ("vit", "clip"):
        pixels = {"pixel_values": torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))}
        inputs = pixels if kind == "vit" else {**inputs, **pixels}
    elif kind == "wav2vec2":
        inputs = {"input_values": torch.rand(1, 400, generator=torch.Generator().manual_seed(0))}
    elif kind == "whisper":
        inputs = {"input_features": torch.rand(1, 8, 100, generator=torch.Generator().manual_seed(0))}
    with torch.no_grad():
        if model.can_generate():
            made = model.generate(
                **inputs, max_new_tokens=4, min_new_tokens=4, do_sample=False, output_logits=True,
                return_dict_in_generate=True, pad_token_id=2,
            )  # fmt: skip
            finite = all(bool(torch.isfinite(logits).all()) for logits in made.logits)
        else:
            outputs = model(**inputs)
            tensors = [value for value in outputs.values() if isinstance(value, torch.Tensor)]
            finite = all(bool(torch.isfinite(value).all()) for value in tensors)
    if not finite:
        raise ValueError("its outputs are not finite numbers")


def judged(kind: str, method: str, folder: Path, loud: bool) -> str:
    """`right`, `refused: sentence`, or `wrong: what`."""
    from merging.checkpoint import CheckpointError
    from merging.merge import merge
    from merging.recipe_file import parse
    from merging.settings import RecipeError

    out = folder / "out"
    shutil.rmtree(out, ignore_errors=True)
    try:
        merge(parse(recipe(method, folder)), out)
    except (RecipeError, CheckpointError) as error:
        return f"refused: {sentence(error)}"
    except Exception as error:
        if loud:
            raise
        return f"wrong: {sentence(error)}"
    try:
        compare(method, folder, out)
        load(folder, out)
    except Exception as error:
        if loud:
            raise
        return f"wrong: {sentence(error)}"
    return "right"


def sentence(error: BaseException) -> str:
    """One line without the temporary folder."""
    words = " ".join(f"{'' if isinstance(error, AssertionError) else type(error).__name__ + ': '}{error}".split())
    return "".join(Path(word).name if word.startswith("/tmp/") else word for word in _words(words))[:200]


def _words(text: str) -> list[str]:
    return [piece for word in text.split() for piece in (word, " ")][:-1]


def recipe(method: str, folder: Path) -> dict[str, Any]:
    base, a, b = (str(folder / name) for name in ("base", "a", "b"))
    if method == "linear":
        models = [
            {"model": a, "parameters": {"weight": WEIGHTS[0]}},
            {"model": b, "parameters": {"weight": WEIGHTS[1]}},
        ]
        return {"merge_method": "linear", "models": models}
    if method == "gradient slerp":
        models = [{"model": a}, {"model": b}]
        return {"merge_method": "slerp", "base_model": a, "models": models, "parameters": {"t": list(GRADIENT)}}
    if method == "ties":
        own = {"density": DENSITY}
        models = [{"model": each, "parameters": {**own, "weight": w}} for each, w in zip((a, b), WEIGHTS, strict=True)]
        return {"merge_method": "ties", "base_model": base, "models": models}
    modules = {
        name: {
            "slices": [
                {"sources": [{"model": model, "layer_range": list(ends)}]} for model, ends in pieces(name, count, a, b)
            ]
        }
        for name, count in towers(folder / "a").items()
    }
    if len(modules) == 1:
        return {"merge_method": "passthrough", **next(iter(modules.values()))}
    return {"merge_method": "passthrough", "modules": modules}


def towers(folder: Path) -> dict[str, int]:
    """Name of each stack of layers -> its layers."""
    from merging.checkpoint import Checkpoint
    from merging.source_model import SourceModel
    from merging.towers import sliceable

    model = SourceModel.of("a", Checkpoint(folder), None)
    return {tower.name: tower.layers for tower in sliceable(model.towers.values())}


def pieces(tower: str, count: int, a: str, b: str) -> list[tuple[str, tuple[int, int]]]:
    """Towers that `STACKED` names are stacked, two slices that overlap; the others stay."""
    if tower in STACKED and count > 1:
        return [(a, (0, count - 1)), (b, (1, count))]
    return [(a, (0, count))]


def compare(method: str, folder: Path, out: Path) -> None:
    """Against float64 references on the stored tensors. Raises `AssertionError` naming the first that differs."""
    from merging.naming import LayerName

    base, a, b, found = (stored(each) for each in (folder / "base", folder / "a", folder / "b", out))
    if method == "stack":
        compare_stack(folder, a, b, found)
        return
    assert set(found) == set(a), f"tensors differ: {sorted(set(found) ^ set(a))[:4]}"
    layers = [layer for layer in map(LayerName.of, a) if layer]
    counts = {layer.head: max(one.number for one in layers if one.head == layer.head) + 1 for layer in layers}
    for name, array in found.items():
        layer = LayerName.of(name)
        count = counts[layer.head] if layer else 0
        depth = (layer.number / (count - 1) if count > 1 else 1.0) if layer else 0.0
        if array.dtype.kind != "f":
            assert np.array_equal(array, a[name]), name
            continue
        wanted = REFERENCES[method](base[name].astype("f8"), a[name].astype("f8"), b[name].astype("f8"), depth)
        assert np.allclose(array, wanted, rtol=2e-5, atol=2e-6), f"{name} differs by {np.abs(array - wanted).max()}"


def compare_stack(folder: Path, a: Tensors, b: Tensors, found: Tensors) -> None:
    """Layers of both models where they belong, bit for bit; what stands outside them is either model's."""
    from merging.naming import LayerName, common_name

    counts = towers(folder / "a")
    wanted: Tensors = {}
    for name, array in a.items():
        layer, common = LayerName.of(name), LayerName.of(common_name(name))
        first = common.head.split(".")[0] if common else ""
        tower = first if first in counts else "text_decoder" if first in LAYERS else ""
        count = counts.get(tower, 0)
        if layer is None or tower not in STACKED or count < 2:
            wanted[name] = array
            continue
        if layer.number < count - 1:
            wanted[name] = array
        if layer.number > 0:
            wanted[layer.numbered(layer.number - 1 + count - 1)] = b[name]
    assert set(found) == set(wanted), f"tensors differ: {sorted(set(found) ^ set(wanted))[:4]}"
    for name, array in wanted.items():
        either = LayerName.of(name) is None and np.array_equal(found[name], b.get(name, array))
        assert either or np.array_equal(found[name], array), f"{name} is another layer's"


def _slerp(_: np.ndarray[Any, Any], a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], depth: float) -> Any:
    t = float(np.interp(depth, np.linspace(0, 1, len(GRADIENT)), GRADIENT))
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a.reshape(-1) @ b.reshape(-1)) / norms if norms else 1.0
    if abs(cosine) > 0.9995:
        return (1 - t) * a + t * b
    angle = math.acos(cosine)
    return (math.sin((1 - t) * angle) * a + math.sin(t * angle) * b) / math.sin(angle)


def _ties(base: np.ndarray[Any, Any], a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], _: float) -> Any:
    if base.ndim == 0:
        return _ties(base[None], a[None], b[None], 0.0)[0]
    taus = np.stack([a - base, b - base])
    for tau in taus:
        keep = max(1, int(DENSITY * tau.size))
        tau[np.abs(tau) < np.sort(np.abs(tau), None)[-keep]] = 0
    weights = np.reshape(WEIGHTS, (-1, *[1] * base.ndim))
    weighed = taus * weights
    agree = weighed * np.where(weighed.sum(0) >= 0, 1, -1) > 0
    share = (agree * weights).sum(0)
    return base + (weighed * agree).sum(0) / np.where(share == 0, 1, share)


REFERENCES: Mapping[str, Callable[..., Any]] = {
    "linear": lambda _, a, b, depth: (WEIGHTS[0] * a + WEIGHTS[1] * b) / sum(WEIGHTS),
    "gradient slerp": _slerp,
    "ties": _ties,
}


def stored(folder: Path) -> Tensors:
    from safetensors.numpy import load_file

    return {name: array for file in sorted(folder.glob("*.safetensors")) for name, array in load_file(file).items()}


def load(folder: Path, out: Path) -> None:
    """By the class that config.json names. Raises for keys that do not fit, and what `answer` raises."""
    import transformers

    config = json.loads((out / "config.json").read_text())
    cls = getattr(transformers, config["architectures"][0])
    _, before = cls.from_pretrained(folder / "a", output_loading_info=True)
    model, info = cls.from_pretrained(out, output_loading_info=True)
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        more = set(map(str, info.get(key) or ())) - set(map(str, before.get(key) or ()))
        assert not more, f"{key}: {sorted(more)[:3]}"
    answer(model)


def write(
    noted: dict[str, str], rows: dict[str, dict[str, str]], unmade: dict[str, str], seconds: float, partial: bool
) -> int:
    """The table. Returns how many are silently wrong."""
    from benchmarks.machine import RESULTS

    verdicts = [cell.split(":")[0] for row in rows.values() for cell in row.values()]
    whole = sum(all(cell == "right" for cell in row.values()) for row in rows.values())
    wrong = verdicts.count("wrong")
    head = ["# Merged architectures", "", "`python -m benchmarks.merged_architectures`", ""]
    head += [*(f"- {key}: {value}" for key, value in noted.items() if key not in ("foreign load", "load average")), ""]
    head += [
        f"{len(rows)} types x {len(METHODS)} merges in {seconds:.0f} s: {verdicts.count('right')} right, "
        f"{verdicts.count('refused')} refused by name, {wrong} silently wrong; {whole} types right in all four. Right: "
        "tensors and numbers are those of a float64 reference, transformers loads it without a missing, unexpected or "
        "mismatched key, and it generates (a class that does not: a forward pass).",
        "",
        f"| type | {' | '.join(METHODS)} |",
        f"| --- |{' --- |' * len(METHODS)}",
    ]
    lines = [
        f"| {kind} | {' | '.join(cell.replace('|', '/') for cell in row.values())} |" for kind, row in rows.items()
    ]
    tail = ["", "Not made: transformers does not accept the tiny sizes, or they do not make it small.", ""]
    tail += [f"- {kind}: {why.replace('|', '/')[:120]}" for kind, why in unmade.items()]
    print("\n".join(head[-5:]), f"\nsilently wrong: {wrong}")
    if not partial:
        (RESULTS / "merged_architectures.md").write_text("\n".join([*head, *lines, *(tail if unmade else [])]) + "\n")
    return wrong


if __name__ == "__main__":
    sys.exit(main())

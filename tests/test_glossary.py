"""Public class names are made of the words of docs/glossary.md and of terms of the field; each names one class."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("agents", "router", "merging", "distill", "orchestrator", "reasoning")
FIELD = frozenset(
    """
    abort account activation actor adapter add admission ahead ai aligned answer asking aware backend bad batch best bit
    body broken budget busy calibrated calibration call called caller cancelled case causal cell chain
    checkpoint choice clustering collegium columns command comparison config consistency constraint content
    context cost count curve database debate decoded decoding definition device difference discussed distill
    distillation dropped eight embedder embedding encoder entry error escalate estimate eval evaluation example
    exceeded explanation extension factorisation facts failed features figures file filtered findings finish
    finished finite fit fitted fitting fold folder for fork form format fresh function gated generate generated gguf
    grammar group harness hashes headline histogram history hub in info input inspection interval isotonic json
    judge kernels reasoning kind kmeans knn lang layer layout lazy limited linear list live lm load loaded local log
    logistic logprob long loops lora losses lost low maker matrix member merged message metrics middleware mlp
    model name named network no node not on open options output overloaded parameter parsed part pending picture
    place plain plan platt point policy portions preset pretrained priced prices process processor products
    profiled progress prompt quality question queue queued random rank ranked rate ray read reader ready record
    ref refine refused remote repeats replica reply response result route routed routing rule runner sample
    sampling schema scoped scores scripted seating section selection self sequence service setup similarity slot
    space span spec spent state step stepped stop storage store stored stream strict structured sum summary target
    taught teach tensor text threaded timeout token tokenizer too tool torch totals tracing training
    transformers unavailable unknown unreachable upstream usage values vector vllm vocabulary weighted weights
    known write writer scored scorer check checked train gather statistics
    current defaults familiarity has inventory recomputing reference template
    correlated need prefixes recorded
    adapted any change detokenize echo first gathered gathering gold health imported item leases left marked nested out
    packed pickled references resamples separated tower tokenize trained unpacked unpacker unreadable weight found
    batched loop thread repeated amounts wanted repetition detection
    """.split()  # noqa: SIM905
)
"""Terms of the field, and words that mean here what they mean everywhere."""


TWICE: set[str] = set()
"""Names that still mean two things. It never grows."""


def words(name: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)]


def classes() -> list[tuple[str, str]]:
    found = []
    for package in PACKAGES:
        for file in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found.append((node.name, file.relative_to(ROOT).as_posix()))
    return found


@pytest.fixture(scope="module")
def known() -> set[str]:
    page = (ROOT / "docs" / "glossary.md").read_text()
    return FIELD | {word.lower() for term in re.findall(r"\*\*(.+?)\*\*", page) for word in term.split()}


def test_a_public_class_name_is_found_in_the_glossary(known: set[str]) -> None:
    def has(word: str) -> bool:
        return bool({word, word.removesuffix("s"), word.removesuffix("es"), re.sub("ies$", "y", word)} & known)

    strange = {f"{file}: {name} ({word})" for name, file in classes() for word in words(name) if not has(word)}
    assert not strange, "explain the word in docs/glossary.md, or use one that is there"


def test_a_public_class_name_means_one_thing() -> None:
    by_name = defaultdict(list)
    for name, file in classes():
        by_name[name].append(file)
    assert {name for name, files in by_name.items() if len(files) > 1} <= TWICE


def test_every_word_of_the_glossary_has_one_line_and_is_used() -> None:
    page = (ROOT / "docs" / "glossary.md").read_text()
    terms = [term.lower() for term in re.findall(r"\*\*(.+?)\*\*", page)]
    assert len(terms) > 60
    assert not {term for term in terms if terms.count(term) > 1}, "explained twice"

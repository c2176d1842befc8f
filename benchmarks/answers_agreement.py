"""How far our reading of recorded replies agrees with other people's scoring.

    python -m benchmarks.answers_agreement [FOLDER]

FOLDER holds mmlu_pro_dev.jsonl.gz (questions, gold answers, recorded predictions) and mmlu_pro_dev_cot.jsonl.gz
(5,094 recorded replies). Our verdict stands beside that of MMLU-Pro's own chain of patterns, of lm-eval's pattern, and
of the recorded predictions. A reply that states two options or breaks off before it states one has no answer here;
the chains take the first letter that fits. Differences are counted by kind.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from agents.answers import extract
from agents.question import Question
from benchmarks.machine import conditions, write_result

JUDGED = (
    "All 42 differences from MMLU-Pro's chain were read (27 November 2026). Broken off before any answer: 15, "
    "for which "
    "the chain takes a letter of a formula or a word. Two to four options named as the answer to a question "
    "with one: 13. "
    "Corrected, or answered by option text: 10 (`the closest answer would be (H)`, `Final Answer: (F)`, `option "
    "D`). In these "
    "38 a person reads what is read here. In 4 a second, other answer follows the first without a word between: "
    "the last "
    "counts here, the first there, and a person may take either."
)
_STATED = re.compile(r"answer is \(?([A-J])\)?")
_LINE = re.compile(r".*[aA]nswer:\s*([A-J])")
_LAST = re.compile(r"\b[A-J]\b(?!.*\b[A-J]\b)", re.DOTALL)


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(row) for row in file]


def own_chain(text: str) -> str | None:
    """As MMLU-Pro's evaluation reads a letter, without its random guess where it finds none."""
    found = _STATED.search(text) or _LINE.search(text)
    if found:
        return found.group(1)
    last = _LAST.search(text)
    return last.group() if last else None


def harness(text: str) -> str | None:
    """As lm-evaluation-harness reads a letter: the first match of one pattern."""
    found = _STATED.search(text)
    return found.group(1) if found else None


def kind_of(text: str, ours: str | None, theirs: str | None) -> str:
    """What sets two readings apart."""
    stated = list(dict.fromkeys(_STATED.findall(text)))
    if theirs is None:
        return "we read another form of the answer, they read none"
    if ours is None:
        if re.search(r"\(?[A-J]\)?\s*(?:,|and|or|&)\s*(?:and |or )?\(?[A-J]\b", text[-120:]):
            return "two options are named: none here, the first there"
        return "broken off or no option stated: none here, a letter that stood somewhere there"
    if len(stated) > 1:
        return "several statements: the last counts here, the first there"
    return "other"


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/routing")
    noted = conditions()
    known = {row["id"]: row for row in rows(folder / "mmlu_pro_dev.jsonl.gz")}
    same: Counter[str] = Counter()
    same_letter: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {name: Counter() for name in ("MMLU-Pro's chain", "lm-eval", "recorded")}
    count, seconds = 0, 0.0
    for row in rows(folder / "mmlu_pro_dev_cot.jsonl.gz"):
        of = known[row["id"]]
        question = Question(id=row["id"], question=of["question"], kind="choice", choices=of["choices"])
        for model, text in row["texts"].items():
            began = time.perf_counter()
            ours = extract(text, question)
            seconds += time.perf_counter() - began
            count += 1
            others = {
                "MMLU-Pro's chain": own_chain(text),
                "lm-eval": harness(text),
                "recorded": of["predictions"].get(model),
            }
            for name, theirs in others.items():
                same_letter[name] += ours == theirs
                if (ours == of["answer"]) == (theirs == of["answer"]):
                    same[name] += 1
                else:
                    kinds[name][kind_of(text, ours, theirs)] += 1
    table = [("replies", f"{count}", ""), ("microseconds per reply", f"{1e6 * seconds / count:.0f}", "")]
    for name in kinds:
        table.append((f"{name}: same verdict", f"{100 * same[name] / count:.2f}%", "99.3%, or ours shown to be right"))
        table.append((f"{name}: same letter or none", f"{100 * same_letter[name] / count:.2f}%", ""))
        table += [(f"{name}: {kind}", str(number), "") for kind, number in kinds[name].most_common()]
    write_result(
        "answers_agreement",
        "Our reading of recorded replies beside other people's scoring",
        table,
        {"conditions": noted, "kinds": {name: dict(found) for name, found in kinds.items()}},
        JUDGED,
    )


if __name__ == "__main__":
    main()

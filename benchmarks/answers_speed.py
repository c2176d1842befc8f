"""How long it takes to read a reply, and that no text raises.

    python -m benchmarks.answers_speed [FOLDER]

10,000 random texts per kind of answer (letters, signs, LaTeX, Markdown, brackets, repeats, other scripts), 100,000
characters of each of a list of repeats (what patterns that are not linear take minutes for), and the recorded replies
of FOLDER (mmlu_pro_dev*.jsonl.gz), if it is there. Times are of the processor.
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

from agents.question import AnswerKind, Question
from agents.reply import parse_reply
from benchmarks.answers_agreement import rows
from benchmarks.machine import conditions, write_result
from tests.scripts.repeats import REPEATED

KINDS: tuple[AnswerKind, ...] = ("number", "choice", "yesno", "expression", "set", "list", "text", "code", "open")
MATHEMATICS = ("expression", "set", "list")
WORDS = [
    *(
        "the",
        "answer",
        "is",
        "so",
        "we",
        "have",
        "12",
        "apples",
        "and",
        "3.5",
        "1,234",
        "A",
        "B",
        "(C)",
        "option",
        "yes",
    ),
    *("no", "true", "not", "or", "because", "Answer:", "Final", "答案", "是", "Ответ", "é", "½", "²", "👍", "`code`"),
    *".,:;?!#-{}[]()<>=+*/^_$|~%&",
    *("**", "\n", "\\", "\\frac{1}{2}", "\\boxed{", "\\sqrt{3}", "\\text{cm}", "$x^2$", '"', "'"),
]
TEXTS = 10_000


def asked(kind: AnswerKind) -> Question:
    """A question of this kind."""
    choices = {"A": "red", "B": "12", "C": "green"} if kind == "choice" else None
    return Question(id="q", question="What?", kind=kind, choices=choices)


def random_text(rng: random.Random) -> str:
    """A text of up to 80 words, or of one word repeated, or of characters of any script."""
    form = rng.random()
    if form < 0.1:
        return rng.choice(WORDS) * rng.randint(1, 200)
    if form < 0.2:
        return "".join(
            chr(rng.choice((rng.randint(32, 126), rng.randint(160, 0xD7FF)))) for _ in range(rng.randint(0, 200))
        )
    return "".join(rng.choice(WORDS) + rng.choice((" ", "", "\n")) for _ in range(rng.randint(0, 80)))


def spent(question: Question, text: str) -> float:
    """Seconds of the processor for one reply."""
    began = time.process_time()
    parse_reply(text, question)
    return time.process_time() - began


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/data/routing")
    noted = conditions()
    table: list[tuple[str, str, str]] = []
    for kind in KINDS:
        rng, question = random.Random(1), asked(kind)
        times = sorted(spent(question, random_text(rng)) for _ in range(TEXTS))
        wanted = ("20,000 at most", "") if kind in MATHEMATICS else ("", "50")
        mean, median = 1e6 * sum(times) / TEXTS, 1e6 * times[TEXTS // 2]
        table.append((f"{kind}: median of {TEXTS} random texts, µs", f"{median:.0f}", wanted[1]))
        table.append((f"{kind}: mean, µs", f"{mean:.0f}", ""))
        table.append((f"{kind}: longest, µs", f"{1e6 * times[-1]:.0f}", wanted[0]))
        worst = max(spent(question, (one * 100_000)[:100_000]) for one in REPEATED)
        table.append(
            (f"{kind}: longest of {len(REPEATED)} repeats of 100,000 characters, ms", f"{1e3 * worst:.0f}", "bounded")
        )
    if (folder / "mmlu_pro_dev_cot.jsonl.gz").exists():
        known = {row["id"]: row["choices"] for row in rows(folder / "mmlu_pro_dev.jsonl.gz")}
        recorded = [
            (Question(id=row["id"], question="What?", kind="choice", choices=known[row["id"]]), text)
            for row in rows(folder / "mmlu_pro_dev_cot.jsonl.gz")
            for text in row["texts"].values()
        ]
        times = [spent(question, text) for question, text in recorded]
        table.append((f"{len(recorded)} recorded replies, mean, µs", f"{1e6 * sum(times) / len(times):.0f}", "50"))
    table.append(("exceptions", "0", "0"))
    write_result("answers_speed", "How long it takes to read a reply", table, {"conditions": noted}, "")


if __name__ == "__main__":
    main()

"""Scores replies of kind code by running them with their question's tests, in the forms of HumanEval and MBPP.

The gold answer is the test program (`--columns answer=test` or `answer=test_list`): asserts, or a function `check` that
is called with the function that the question begins. A reply that only continues the question's code is put behind it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import partial

from agents.question import Question
from orchestrator.evaluation import sandbox

SCORERS: dict[str, sandbox.SandboxKind] = {"code": "isolated", "code-limits": "limits"}
"""Names for `--score`: in a sandbox, or with limits of time and memory alone."""

_DEF = re.compile(r"^[ \t]*(?:async )?def (\w+)\(", re.MULTILINE)


def scorer(name: str) -> Callable[[Question, str], bool]:
    """The scorer of this name. Raises `BadInput` where this machine has no sandbox."""
    kind = SCORERS[name]
    sandbox.check(kind)
    return partial(passes, kind=kind)


def passes(question: Question, answer: str, kind: sandbox.SandboxKind = "isolated") -> bool:
    """Whether a program passes all tests of its question.

    Raises:
        ValueError: the question's gold answer is no test program.
    """
    return sandbox.runs(program(question, answer), kind)


def program(question: Question, answer: str) -> str:
    """The reply's code with the tests behind it."""
    tests = "\n".join(question.golds)
    try:
        tree = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"the gold answer is no test program: {error}") from error
    own = [one.name for one in tree.body if isinstance(one, ast.FunctionDef)]
    asserts = any(isinstance(one, ast.Assert) for one in ast.walk(tree))
    if not asserts:
        raise ValueError("the gold answer is no test program: it asserts nothing (name the column of the tests)")
    begun = _DEF.findall(question.question)
    entry = begun[-1] if begun else None
    code = answer
    if entry is not None and re.search(rf"^(?:async )?def {entry}\(", answer, re.MULTILINE) is None:
        code = f"{question.question}\n{_indented(answer)}"
    called = any(isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) for one in tree.body)
    if "check" in own and not called:
        if entry is None:
            defined = re.findall(r"^def (\w+)\(", answer, re.MULTILINE)
            if not defined:
                return "raise SystemExit(1)"
            entry = defined[-1]
        tests += f"\ncheck({entry})"
    return f"{code}\n\n{tests}"


def _indented(body: str) -> str:
    """A function's body as it continues its head: the first line may have lost its indentation, or all have."""
    lines = body.split("\n")
    if lines[0][:1].isspace():
        return body
    deep = all(line[:1].isspace() for line in lines[1:] if line.strip())
    return "\n".join(f"    {line}" if not deep or not place else line for place, line in enumerate(lines))

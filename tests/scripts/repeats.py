"""What a reply repeats when a model has lost its thread: each, over and over, finds the pattern that is not linear."""

from __future__ import annotations

REPEATED = [
    *(
        "a",
        "1,",
        "1 ",
        "(",
        "{",
        "\\frac{",
        "\\boxed{",
        "$",
        "**",
        "`",
        "```",
        "\n",
        "\n- a",
        "<",
        "<think>",
        "Answer: ",
    ),
    *("the answer is A or ", "A, ", "A: no\n", '{"answer": ', "not ", "yes\n", "x = 1, ", "√", "½", "答案是", " ", "-"),
    *("for ", "~~a", "[ANSWER] <", "1 and ", "1 < x <= ", "\nQuestion: a", "A is wrong. ", "twenty-", "#### "),
]

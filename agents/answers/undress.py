"""Takes an answer out of its dress: markdown, LaTeX's layout, end marks, foreign digits and signs."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

ANSWER_LIMIT = 1_000
"""Characters of an answer that are looked at."""

_END_MARKS = re.compile(
    r"<\|(?:im_end|im_start|eot_id|end|endoftext|end_of_text|eom_id|return|assistant|user)\|>|</s>|<s>|"
    r"<eos>|<end_of_turn>"
    r"|\[/INST\]|<｜end▁of▁sentence｜>|\[DONE\]"
)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]{1,20}")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]{1,20}")
_VULGAR = re.compile("[¼½¾⅐-⅞↉]")
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ₀₁₂₃₄₅₆₇₈₉∛∜¼½¾⅐-⅞↉]")
_SIGNS = {
    "−": "-",
    "–": "-",
    "﹣": "-",
    "٫": ".",
    "٬": ",",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
    "⁄": "/",
    "∕": "/",
    "∶": ":",
    "。": ".",
}
_SIGN = re.compile("[" + "".join(_SIGNS) + "]")
_LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|limits|bigl?|bigr?|Bigl?|Bigr?|quad|qquad|nobreak|hfill)(?![a-zA-Z])"
)
_THIN = re.compile(r"(?<!\\)\\[,;:> ]|(?<!\\)~(?=\S)")
_TEXT = re.compile(
    r"\\(?:text|textbf|textit|textrm|textnormal|mathrm|mathbf|mathit|mathsf|mbox|hbox|emph|bm|boldsymbol|"
    r"operatorname)\s?\{([^{}]{0,300})\}"
)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,3}(\{)")
_COMMA = re.compile(r"(?<=\d)\{,\}(?=\d)|(?<=\d),\\!\s?(?=\d)|(?<=\d)\\!,(?=\d)")
_DIGIT = re.compile(r"[^\x00-\x7f\D]")
_BOLD = re.compile(r"(?<![\w)])\*\*|\*\*(?![\w(-])")
"""Markdown's stars; between two terms they are a power."""
_EMOJI = re.compile("[\\s\U0001f300-\U0001faff\u2705\u2714\u2728\u2b50\ufe0f]+\\Z")
_HTML = re.compile(r"</?(?:b|strong|i|em|u|mark|span|p|code|center|big)>", re.IGNORECASE)
_STRUCK = re.compile(r"~~[^~\n]{1,200}~~")
_MATHS_SIGNS = ("\\(", "\\)", "\\[", "\\]", "$$")


def without_end_marks(text: str) -> str:
    """The text up to the first mark by which a model ends its turn."""
    if "<" not in text and "[" not in text:
        return text
    found = _END_MARKS.search(text)
    while found is not None and not text[: found.start()].strip():
        text = text[found.end() :]
        found = _END_MARKS.search(text)
    return text if found is None else text[: found.start()]


def plain_signs(text: str) -> str:
    """The text with digits, spaces, full-width and typographic signs as ASCII has them; letters keep accents."""
    if text.isascii():
        return text
    if _RAISED.search(text):
        text = _SUPERSCRIPT.sub(lambda one: "^{" + one.group().translate(_SUPERSCRIPTS) + "}", text)
        text = _SUBSCRIPT.sub(lambda one: "_{" + unicodedata.normalize("NFKC", one.group()) + "}", text)
        text = text.replace("∛", "\\sqrt[3]").replace("∜", "\\sqrt[4]")
        text = _VULGAR.sub(lambda one: " " + unicodedata.normalize("NFKC", one.group()).replace("⁄", "/"), text)
    text = _SIGN.sub(lambda one: _SIGNS[one.group()], unicodedata.normalize("NFKC", text))
    return _DIGIT.sub(lambda one: str(unicodedata.decimal(one.group())), text)


def undress(text: str) -> str:
    """One answer without layout: `**$\\boxed{12{,}000}$**` becomes `12,000`. Looks at `ANSWER_LIMIT` characters."""
    return _undressed(text[:ANSWER_LIMIT])


@lru_cache(maxsize=1024)  # a reply's lines and sentences are looked at by several steps
def _undressed(text: str) -> str:
    text = plain_signs(text)
    if "~~" in text:
        text = _STRUCK.sub("", text)
    if "</" in text:
        text = _HTML.sub("", text)
    if "**" in text:
        text = _BOLD.sub("", text)
    text = text.replace("__", "")
    if "`" in text:
        text = text.replace("`", "")
    if "{,}" in text:
        text = _COMMA.sub(",", text)
    if "\\" in text:
        text = _latex(text)
    text = text.strip().strip("*").strip()
    if not text.isascii():
        text = _EMOJI.sub("", text)
    if "$" in text:
        text = _without_dollars(text)
    return " ".join(text.split())


def inside_box(text: str) -> str:
    """What the last box holds, where there is one; else the text."""
    boxes = list(_BOX.finditer(text))
    if not boxes:
        return text
    return braced(text, boxes[-1].start(1)) or ""


def braced(text: str, opening: int) -> str | None:
    """What stands between the brace at `opening` and its partner; None where that is missing."""
    depth = 0
    for place in range(opening, min(len(text), opening + 2 * ANSWER_LIMIT)):
        char = text[place]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return text[opening + 1 : place]
    return None


def _latex(text: str) -> str:
    text = inside_box(text)
    for sign in _MATHS_SIGNS:
        text = text.replace(sign, " ")
    if "{,}" in text or "\\!" in text:
        text = _COMMA.sub(",", text).replace("\\!", "")
    text = text.replace("\\%", "%").replace("\\$", "$").replace("\\#", "#")
    text = _THIN.sub(" ", _LAYOUT.sub(" ", text))
    for _ in range(3):
        text, count = _TEXT.subn(r" \1 ", text)
        if not count:
            break
    text = text.replace(" ^", "^")  # `\text{ cm}^2`
    return text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")


def _without_dollars(text: str) -> str:
    """Dollar signs that enclose mathematics go; those in front of an amount stay."""
    text = text.replace("$$", "")
    if text.count("$") >= 2 or text.endswith("$"):
        parts = text.split("$")
        return "".join(parts) if text.startswith("$") and text.endswith("$") and len(parts) == 3 else _pairs(text)
    return text


def _pairs(text: str) -> str:
    amount = re.compile(r"\$(?=\s?-?\.?\d)[^$]*?(?=\$|$)")
    if text.endswith("$") and text.count("$") == 1:
        return text[:-1]
    # An even number of signs encloses mathematics, unless each stands before an amount.
    if text.count("$") % 2 == 0 and not all(amount.match(text, i) for i, c in enumerate(text) if c == "$"):
        return text.replace("$", "")
    return text

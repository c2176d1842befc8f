"""Chat templates of the result."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_decoders import decoder, linear, write

from merging.merge import merge
from merging.recipe_file import parse
from merging.settings import RecipeError


@pytest.mark.parametrize("name", ["chatml", "llama3", "alpaca", "mistral", "exaone"])
def test_a_chat_template_by_name_renders(tmp_path: Path, name: str) -> None:
    import jinja2

    folder = write(tmp_path / "a", decoder(1), num_hidden_layers=1)
    merge(parse(linear(folder, chat_template=name)), tmp_path / "out")
    template = jinja2.Environment().from_string((tmp_path / "out" / "chat_template.jinja").read_text())
    turns = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "U"},
        {"role": "assistant", "content": "A"},
    ]
    text = template.render(messages=turns, bos_token="<s>", eos_token="</s>", add_generation_prompt=True)
    assert text.index("S") < text.index("U") < text.rindex("A") or name == "alpaca"
    wanted = {"chatml": "<|im_start|>user\nU<|im_end|>\n", "mistral": "[INST] S\n\nU [/INST] A</s>"}
    wanted |= {
        "llama3": "user<|end_header_id|>\n\nU<|eot_id|>",
        "alpaca": "### Instruction:\nU\n\n### Response:\nA</s>",
    }
    assert wanted.get(name, "[|user|]U\n[|assistant|]A[|endofturn|]") in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ unclosed", "Jinja cannot read it"),
        ("{% for x in y %}", "Jinja cannot read it"),
        ("chatmI", "or one of chatml"),
    ],
)
def test_what_is_no_template_is_refused_with_the_recipe(text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse({"merge_method": "linear", "models": [{"model": "a"}], "chat_template": text})


def test_transformers_own_marks_are_jinja_too() -> None:
    text = (
        "{% for m in messages %}{% generation %}{{ m }}{% endgeneration %}{% if m %}{% break %}{% endif %}{% endfor %}"
    )
    raw = {"merge_method": "linear", "models": [{"model": "a"}], "chat_template": text}
    assert parse(raw).chat_template == text

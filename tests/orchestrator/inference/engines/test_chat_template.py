"""Chat templates: rendered as transformers does, and with an end whatever they ask for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from orchestrator.inference.engines.chat_template import TemplateError, render

CHAT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "  Hello\n"},
    {"role": "assistant", "content": "Hi there"},
]

TEMPLATES = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}",
    "{%- set ns = namespace(n=0) -%}{%- for m in messages -%}{%- if m.role == 'system' -%}{%- continue -%}{%- endif -%}"
    "{%- set ns.n = ns.n + 1 -%}{{ ns.n ~ ':' ~ m.content }}{{ loop.last }}{%- endfor -%}",
    "{% macro line(m) %}{{ '%s=%s' % (m.role, m.content) }}{% endmacro %}"
    "{% for m in messages %}{{ line(m) }}{% endfor %}",
    "{{ messages | tojson(indent=2) }}{% generation %}x{% endgeneration %}{{ 'ab' * 3 }}{{ messages[::-1] | length }}",
    "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join(', ') }}{{ thinking }}",
    "{% for m in messages if m.role != 'system' %}{{ loop.index0 }}{% else %}none{% endfor %}{{ 'a-b'.split('-') }}",
)


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_means_what_it_means_to_transformers(template: str, model_folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    wanted = tokenizer.apply_chat_template(
        CHAT, chat_template=template, tokenize=False, add_generation_prompt=True, thinking="no"
    )
    texts = {key: value for key, value in tokenizer.special_tokens_map.items() if isinstance(value, str)}
    assert render(template, CHAT, tools=None, documents=None, thinking="no", **texts) == wanted


@pytest.mark.parametrize("content", ["Hi there", "Hi there, "])
def test_the_last_message_is_continued_where_it_ends(content: str, model_folder: Path) -> None:
    template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    text = render(template, [*CHAT[:2], {"role": "assistant", "content": content}], continue_final=True)
    assert text.endswith(f"<assistant>{content}")


ENDLESS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "{% macro a(n) %}{% if n %}{{ a(n - 1) }}{{ a(n - 1) }}{% endif %}{% endmacro %}{{ a(40) }}",
    "{{ 'a' * 1000000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "{% set ns = namespace(s='aaaa') %}{% for i in range(60) %}{% set ns.s = ns.s + ns.s %}{% endfor %}{{ ns.s }}",
    "{{ 'x'.ljust(10000000000) }}{{ 'x' | center(10000000000) }}",
    "{{ 'a' | replace('', 'b' * 100000) | replace('b', 'c' * 100000) }}",
    "{{ messages | tojson(indent=1000000000) }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:>1000000000}'.format(1) }}",
    "{{ lipsum(n=100000) }}",
)


@pytest.mark.parametrize("template", ENDLESS)
def test_a_template_without_an_end_is_refused_soon(template: str) -> None:
    began = time.process_time()
    with pytest.raises(TemplateError, match="chat template: "):
        render(template, CHAT)
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{% if x %", "line 1: "),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages.__class__.__mro__ }}", "unsafe"),
        ("{{ messages.append(1) }}", "unsafe"),
        ("{% include '/etc/passwd' %}", "no loader"),
    ],
)
def test_what_a_template_may_not_is_said(template: str, said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        render(template, CHAT)

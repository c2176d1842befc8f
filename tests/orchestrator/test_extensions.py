"""Code by its name: `module:attribute`, or an entry point of an installed package."""

from __future__ import annotations

import json

import pytest

from orchestrator.errors import BadInput
from orchestrator.extensions import extension, is_code, load


def test_an_attribute_of_an_attribute_is_found() -> None:
    assert load("json:decoder.JSONDecoder", "tasks") is json.JSONDecoder
    assert extension("collegium.tasks", "json:loads", "tasks") is json.loads
    assert extension("collegium.tasks", "nobody-has-registered-this", "tasks") is None


@pytest.mark.parametrize("path", ["json", ":loads", "json:", "no.such.module:x", "json:nothing", "json:loads.deeper"])
def test_what_cannot_be_found_names_the_place_where_it_was_written(path: str) -> None:
    with pytest.raises(BadInput, match=r"^engines\.mine: "):
        load(path, "engines.mine")


@pytest.mark.parametrize(("name", "code"), [("a.b:c", True), ("lm-eval:x", False), ("gsm8k", False)])
def test_only_an_identifier_on_both_sides_is_code(name: str, code: bool) -> None:
    assert is_code(name) is (code or (name == "a:b.c" and is_code("a:b.c")))

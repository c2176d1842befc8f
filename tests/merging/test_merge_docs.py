"""The page about merging names every method, its address and its parameters."""

from __future__ import annotations

from pathlib import Path

from merging.methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "merging.md").read_text("utf-8")


def test_every_method_is_on_the_page() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ")]
    for method in METHODS:
        assert any(method.name in row.split("|")[1].replace(",", " ").split() for row in rows), method.name
        assert "http" in method.paper
        for parameter in method.parameters:
            assert parameter.name in PAGE or parameter.name == "int8_mask", parameter.name


def test_the_methods_that_a_device_can_do_are_on_the_page() -> None:
    listed = PAGE.split("on a GPU through torch:")[1].split(". The")[0]
    assert set(listed.replace(" and ", ", ").replace("\n", " ").replace(" ", "").split(",")) == {
        method.name for method in METHODS if method.device
    }

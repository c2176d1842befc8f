"""Routers of other packages, by `module:attribute` or entry point."""

from __future__ import annotations

import pytest

from router.extensions import found
from router.routers import BestRouter


def test_an_attribute_of_a_module_is_found_and_an_unknown_name_is_none() -> None:
    assert found("router.routers:BestRouter") is BestRouter
    assert found("nobody-has-registered-this") is None


@pytest.mark.parametrize("name", ["no.such.module:x", "router.routers:Nothing"])
def test_what_cannot_be_imported_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        found(name)

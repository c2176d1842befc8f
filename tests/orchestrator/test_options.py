"""Typed options are the fields of the pipelines' requests."""

from __future__ import annotations

import typing

from orchestrator.pipelines.registry import PIPELINES


def test_options_are_the_requests_fields() -> None:
    from orchestrator import options

    for pipeline in PIPELINES.values():
        model = pipeline.request
        typed = getattr(options, model.__name__.removesuffix("Request") + "Options")
        hints = typing.get_type_hints(typed)
        assert {name: hints[name] for name in hints} == {
            name: field.annotation for name, field in model.model_fields.items()
        }, pipeline.name

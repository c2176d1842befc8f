"""Known providers of models: where they are, which variable holds their key, what their models cost.

The table is a part of LiteLLM's model map, taken over as data with its source and date (`providers.json`). The package
itself would bring 43 MB and the AWS client for one file. Prices change: an expert's own `prices` go before these, and a
price that depends on the prompt's length or on the time is left out.
"""

from __future__ import annotations

import difflib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class KnownModel:
    """US dollars per million tokens, and lengths in tokens. None: not known."""

    input: float | None = None
    output: float | None = None
    cached: float | None = None
    context: int | None = None
    reply: int | None = None
    """Its longest reply."""


@functools.cache
def table() -> Mapping[str, Any]:
    """`source`, `date` and `providers` of the file."""
    found: dict[str, Any] = json.loads((Path(__file__).parent / "providers.json").read_text("utf-8"))
    return found


def names() -> list[str]:
    """The known providers."""
    return list(table()["providers"])


def defaults(provider: str) -> dict[str, Any]:
    """`url`, `api_key_env`, and `extra_body` where the provider states costs only if asked. Raises `ValueError` for an
    unknown provider."""
    providers = table()["providers"]
    if provider not in providers:
        near = difflib.get_close_matches(provider, providers, 1, 0.4)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(
            f"provider: {provider[:80]!r} is not known{meant} There are {', '.join(providers)}; give a url"
        )
    one = providers[provider]
    found = {"url": one["url"], "api_key_env": one["key"]}
    return found | ({"extra_body": one["extra_body"]} if "extra_body" in one else {})


def known_model(url: str, model: str) -> KnownModel:
    """What the table has of a model at this address; nothing for other addresses: another server's prices differ."""
    for provider in table()["providers"].values():
        if provider["url"].rstrip("/") == url.rstrip("/"):
            return KnownModel(**provider["models"].get(model, {}))
    return KnownModel()

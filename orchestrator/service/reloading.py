"""What of a configuration can change while a service runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.config import Config
from orchestrator.errors import ConfigError

LIVE = frozenset(
    f"service.{name}"
    for name in (
        "max_wait", "queue", "profile", "router", "default", "hedge_seconds", "fallbacks", "reply_seconds", "recruit",
        "calls",
        "body_seconds", "strict", "log",
    )
)  # fmt: skip
"""Settings that are looked at anew for each request."""


def changed(old: Config, new: Config) -> list[str]:
    """Dotted names of the settings that differ. Raises `ConfigError` for one that needs a restart."""
    before, after = (_flat(config.model_dump(mode="json")) for config in (old, new))
    differing = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    if fixed := [name for name in differing if name not in LIVE]:
        more = f" (and {len(fixed) - 1} more)" if len(fixed) > 1 else ""
        raise ConfigError(f"{fixed[0]}{more}: cannot change while the service runs: restart it; nothing was changed")
    return differing


def _flat(value: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        return {name: value}
    return {
        path: found
        for key, inner in value.items()
        for path, found in _flat(inner, f"{name}.{key}" if name else str(key)).items()
    }

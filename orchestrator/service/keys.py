"""API keys: made once, stored as hashes, compared in constant time.

A key is `clg_<id>_<secret>`; the file keeps id, SHA-256 of the whole key (it is 256 random bits: nothing can be
guessed from its hash), scopes and limits. Keys come from this file, or from the environment variable
COLLEGIUM_API_KEYS (several with commas, all scopes, no limits), and from nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.errors import BadInput, ConfigError, StorageError

SCOPES = ("chat", "feedback", "jobs", "metrics")
ENVIRONMENT = "COLLEGIUM_API_KEYS"
LOOK = 1.0
"""Seconds between looks at the file: so soon is a revoked key refused."""
MAX_BYTES = 2**20
MIN_SECRET = 16
"""Characters of a key from the environment."""
_NOBODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key. The key itself is not."""

    id: str
    name: str
    hash: str
    scopes: tuple[str, ...] = SCOPES
    requests_per_minute: int | None = None
    concurrent: int | None = None
    created: str = ""
    tokens_per_month: int | None = None
    """Budget of a calendar month (UTC), in tokens of prompts and replies."""
    dollars_per_month: float | None = None
    """The same in US dollars."""


class KeyFile:
    """The file of hashed keys; changed by the command line, read by the service."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Key]:
        """Keys by id; none where there is no file. Raises `ConfigError` for a file that cannot be used."""
        try:
            if self.path.stat().st_size > MAX_BYTES:
                raise ConfigError(f"{self.path}: larger than {MAX_BYTES} bytes")
            rows = json.loads(self.path.read_text("utf-8"))
            keys = [Key(**{**row, "scopes": tuple(row["scopes"])}) for row in rows]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{self.path}: not a file of keys: {error}") from error
        return {key.id: key for key in keys}

    def create(
        self,
        name: str,
        scopes: Iterable[str] = SCOPES,
        requests_per_minute: int | None = None,
        concurrent: int | None = None,
        tokens_per_month: int | None = None,
        dollars_per_month: float | None = None,
    ) -> tuple[str, Key]:
        """(the key, which is told this once, and what is kept of it). Raises `BadInput`, `StorageError`."""
        wanted = tuple(scopes)
        if unknown := [scope for scope in wanted if scope not in SCOPES]:
            raise BadInput(f"scopes: no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
        if not wanted or not name or len(name) > 128 or not name.isprintable():
            raise BadInput("a key needs a name (at most 128 printable characters) and at least one scope")
        id = secrets.token_hex(4)
        text = f"clg_{id}_{secrets.token_urlsafe(32)}"
        created = datetime.now(UTC).isoformat(timespec="seconds")
        if dollars_per_month is not None and not 0 < dollars_per_month < float("inf"):
            raise BadInput("dollars_per_month: must be above 0, and finite")
        budget = (tokens_per_month, dollars_per_month)
        key = Key(id, name, hashed(text), wanted, requests_per_minute, concurrent, created, *budget)
        self._write({**self.read(), id: key})
        return text, key

    def revoke(self, id: str) -> Key:
        """Forget a key. Raises `BadInput` if there is none of this id."""
        keys = self.read()
        if id not in keys:
            raise BadInput(f"{self.path}: no key {id!r}")
        gone = keys.pop(id)
        self._write(keys)
        return gone

    def _write(self, keys: Mapping[str, Key]) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump([asdict(key) for key in keys.values()], file, indent=2)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise StorageError(f"{self.path}: {error.strerror or error}") from error


def hashed(key: str) -> str:
    """The key's SHA-256; only this is stored."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


class Keys:
    """Who may do what. Rereads the file when it changes.

    Whether keys are needed is decided at the start, and never becomes less strict: a service that once had a key
    refuses everybody when its last key is revoked or its file is gone."""

    def __init__(self, file: KeyFile) -> None:
        """Raises `ConfigError` for a file or an environment that cannot be used."""
        self._file = file
        self._given = _from_environment()
        self._known = file.read()
        self._stamp = self._stat()
        self._looked = time.monotonic()
        self._needed = bool(self._given or self._known)
        self._damage: ConfigError | None = None

    @property
    def needed(self) -> bool:
        """Whether requests need a key: from the first key on, for as long as the service lives. Raises `ConfigError`
        while the file is damaged."""
        known = self._current()
        self._needed = bool(self._needed or known)
        return self._needed

    def of_id(self, id: str) -> Key | None:
        """The key of this id; None for one that is revoked, or of the environment."""
        return self._current().get(id)

    def find(self, text: str) -> Key | None:
        """The key of this text, or None. Takes the same time whether an id exists or not. Raises `ConfigError` while
        the file is damaged: no key is valid by memory."""
        digest = hashed(text)
        parts = text.split("_", 2)
        known = self._current().get(parts[1]) if len(parts) == 3 and parts[0] == "clg" else None
        if hmac.compare_digest(known.hash if known else _NOBODY, digest) and known:
            return known
        found = None
        for key in self._given:
            if hmac.compare_digest(key.hash, digest):
                found = key
        return found

    def _current(self) -> Mapping[str, Key]:
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            if (stamp := self._stat()) != self._stamp:
                self._known, self._stamp, self._damage = {}, stamp, None
                try:
                    self._known = self._file.read()
                except ConfigError as error:
                    self._damage, self._needed = error, True
        if self._damage is not None:
            raise self._damage
        return self._known

    def _stat(self) -> tuple[int, int] | None:
        try:
            stat = self._file.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino


def _from_environment() -> tuple[Key, ...]:
    given = [text.strip() for text in os.environ.get(ENVIRONMENT, "").split(",") if text.strip()]
    if any(len(text) < MIN_SECRET for text in given):
        raise ConfigError(f"{ENVIRONMENT}: a key has at least {MIN_SECRET} characters")
    return tuple(Key(f"environment-{place}", "environment", hashed(text)) for place, text in enumerate(given, 1))


class KeyLimits:
    """Per-key limits, held in this process: requests in a minute (a bucket that fills evenly) and at once."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}
        self._running: dict[str, int] = {}

    def enter(self, key: Key, now: float) -> float | None:
        """None: go ahead, and `leave` afterwards. Else the seconds after which to try again."""
        if key.concurrent is not None and self._running.get(key.id, 0) >= key.concurrent:
            return 1.0
        if rate := key.requests_per_minute:
            left, then = self._buckets.get(key.id, (float(rate), now))
            left = min(float(rate), left + (now - then) * rate / 60)
            if left < 1:
                self._buckets[key.id] = left, now
                return (1 - left) * 60 / rate
            self._buckets[key.id] = left - 1, now
        self._running[key.id] = self._running.get(key.id, 0) + 1
        return None

    def leave(self, key: Key) -> None:
        """One request of the key has ended."""
        self._running[key.id] -= 1

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
import stat
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from orchestrator.errors import BadInput, ConfigError, StorageError

USUAL_SCOPES = ("chat", "feedback", "jobs", "metrics")
"""Scopes of a key where none are named."""
SCOPES = (*USUAL_SCOPES, "admin")
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
    models: tuple[str, ...] | None = None
    """Model ids that it may use; None: all."""

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> Key:
        """A key as it is stored. Raises `TypeError`, `KeyError` for what is none."""
        if not isinstance(row, Mapping):
            raise TypeError("an object is needed")
        models = row.get("models")
        return cls(**{**row, "scopes": tuple(row["scopes"]), "models": None if models is None else tuple(models)})


def new_key(
    name: str,
    scopes: Iterable[str] = USUAL_SCOPES,
    requests_per_minute: int | None = None,
    concurrent: int | None = None,
    tokens_per_month: int | None = None,
    dollars_per_month: float | None = None,
    models: Iterable[str] | None = None,
) -> tuple[str, Key]:
    """(the key, what is kept of it). Raises `BadInput`."""
    wanted = tuple(dict.fromkeys(scopes))
    if unknown := [scope for scope in wanted if scope not in SCOPES]:
        raise BadInput(f"scopes: no scope {unknown[0]!r}; there are {', '.join(SCOPES)}")
    if not wanted or not name or len(name) > 128 or not name.isprintable():
        raise BadInput("a key needs a name (at most 128 printable characters) and at least one scope")
    allowed = None if models is None else tuple(dict.fromkeys(models))
    if allowed is not None and (not allowed or not all(one and one.isprintable() for one in allowed)):
        raise BadInput("models: at least one model id is needed; leave it out for all of them")
    if allowed is not None and "jobs" in wanted:
        raise BadInput("models: a job asks any of them: leave the scope jobs out, as in --scopes chat")
    if dollars_per_month is not None and not 0 < dollars_per_month < float("inf"):
        raise BadInput("dollars_per_month: must be above 0, and finite")
    budget = (tokens_per_month, dollars_per_month)
    id = secrets.token_hex(4)
    text = f"clg_{id}_{secrets.token_urlsafe(32)}"
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return text, Key(id, name, hashed(text), wanted, requests_per_minute, concurrent, created, *budget, allowed)


class KeyStore(Protocol):
    """Where hashed keys are kept."""

    name: str
    """As errors name it."""

    def read(self) -> dict[str, Key]:
        """Keys by id. Raises `ConfigError` for what cannot be used."""
        ...

    def stamp(self) -> object:
        """Changes when the keys do. Cheap: it is asked for on the service's loop."""
        ...

    def add(self, key: Key) -> None:
        """Keep a key. Raises `StorageError`."""
        ...

    def remove(self, id: str) -> Key | None:
        """Forget a key; None if there is none of this id. Raises `StorageError`."""
        ...

    def close(self) -> None:
        """Give back what it holds open."""
        ...


class KeyFile:
    """The file of hashed keys; changed by the command line, read by the service."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def read(self) -> dict[str, Key]:
        """Keys by id; none where there is no file. Raises `ConfigError` for a file that cannot be used."""
        try:
            found = self.path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise ConfigError(f"{self.path}: not a file")  # a pipe would be waited for
            if found.st_size > MAX_BYTES:
                raise ConfigError(f"{self.path}: larger than {MAX_BYTES} bytes")
            rows = json.loads(self.path.read_text("utf-8"))
            keys = [Key.read(row) for row in rows]
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ConfigError(f"{self.path}: not a file of keys: {error}") from error
        return {key.id: key for key in keys}

    def stamp(self) -> object:
        """See `KeyStore`."""
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ctime_ns, found.st_ino  # taking away the right to read it moves ctime only

    def create(self, name: str, *limits: Any, **more: Any) -> tuple[str, Key]:
        """(the key, which is shown this once, and what is kept of it); arguments as `new_key`. Raises `BadInput`,
        `StorageError`."""
        text, key = new_key(name, *limits, **more)
        self.add(key)
        return text, key

    def add(self, key: Key) -> None:
        """See `KeyStore`."""
        self._write({**self.read(), key.id: key})

    def remove(self, id: str) -> Key | None:
        """See `KeyStore`."""
        keys = self.read()
        gone = keys.pop(id, None)
        if gone is not None:
            self._write(keys)
        return gone

    def close(self) -> None:
        """See `KeyStore`: a file is open only while it is read."""

    def revoke(self, id: str) -> Key:
        """Forget a key. Raises `BadInput` if there is none of this id."""
        if (gone := self.remove(id)) is None:
            raise BadInput(f"{self.path}: no key {id!r}")
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
    """Who may do what. Rereads the stores when they change.

    Whether keys are needed is decided at the start, and never becomes less strict: a service that once had a key
    refuses everybody when its last key is revoked or its file is gone."""

    def __init__(self, *stores: KeyStore) -> None:
        """Raises `ConfigError` for a store or an environment that cannot be used."""
        self._stores = stores
        self._given = _from_environment()
        self._stamps = [store.stamp() for store in stores]
        self._known = self._read()
        self._looked = time.monotonic()
        self._needed = bool(self._given or self._known)
        self._damage: ConfigError | None = None

    def close(self) -> None:
        """Close the stores."""
        for store in self._stores:
            store.close()

    @property
    def needed(self) -> bool:
        """Whether requests need a key: from the first key on, for as long as the service lives. Raises `ConfigError`
        while a store is damaged."""
        known = self._current()
        self._needed = bool(self._needed or known)
        return self._needed

    def of_id(self, id: str) -> Key | None:
        """The key of this id; None for one that is revoked, or of the environment."""
        return self._current().get(id)

    def find(self, text: str) -> Key | None:
        """The key of this text, or None. Takes the same time whether an id exists or not. Raises `ConfigError` while
        a store is damaged: no key is valid by memory."""
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

    def reload(self) -> int:
        """Look at the stores now; the number of keys. Raises `ConfigError` where one is damaged."""
        self._looked = -LOOK
        return len(self._current()) + len(self._given)

    def _current(self) -> Mapping[str, Key]:
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            try:
                if (stamps := [store.stamp() for store in self._stores]) != self._stamps:
                    self._known, self._stamps, self._damage = {}, stamps, None
                    self._known = self._read()
            except ConfigError as error:
                self._known, self._damage, self._needed, self._stamps = {}, error, True, []
        if self._damage is not None:
            raise self._damage
        return self._known

    def _read(self) -> Mapping[str, Key]:
        return {id: key for store in self._stores for id, key in store.read().items()}


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

    def headers(self, key: Key, now: float) -> dict[str, str]:
        """What is left of the key's requests, as OpenAI tells it; nothing for a key without a rate."""
        if not (rate := key.requests_per_minute):
            return {}
        left, then = self._buckets.get(key.id, (float(rate), now))
        left = min(float(rate), left + (now - then) * rate / 60)
        return {
            "x-ratelimit-limit-requests": str(rate),
            "x-ratelimit-remaining-requests": str(int(left)),
            "x-ratelimit-reset-requests": f"{(rate - left) * 60 / rate:.3f}s",
        }

    def leave(self, key: Key) -> None:
        """One request of the key has ended."""
        self._running[key.id] -= 1

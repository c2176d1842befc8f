"""What each API key has spent, by calendar month (UTC): kept in the service's database, limited by the key's budget.

Several services on one database see one another's spending within `SYNC` seconds; one service alone is exact.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sql

from orchestrator.database import Database, Schema
from orchestrator.errors import StorageError
from orchestrator.inference.budget import Budget
from orchestrator.inference.caller import NOBODY, caller
from orchestrator.service.keys import Key

SYNC = 0.5
"""Seconds between two writes of what was spent, and looks at what others spent."""
ANYONE = "anyone"
"""Who asks a service that has no keys."""
_log = logging.getLogger("collegium")
_SCHEMA = Schema("accounts")
_SPENT = sql.Table(
    "spent",
    _SCHEMA.tables,
    sql.Column("key", sql.String(64), primary_key=True),
    sql.Column("month", sql.String(7), primary_key=True),
    *(sql.Column(name, sql.BigInteger, nullable=False) for name in ("calls", "prompt_tokens", "completion_tokens")),
    sql.Column("dollars", sql.Float, nullable=False),
    sql.Column("unpriced_calls", sql.BigInteger, nullable=False),
)
_AMOUNTS = ("calls", "prompt_tokens", "completion_tokens", "dollars", "unpriced_calls")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was generated for one key in one month; replies from the ledger are not in it."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    dollars: float = 0.0
    """US dollars, of the calls whose price is known."""
    unpriced_calls: int = 0
    """Calls whose price is not known."""

    def __add__(self, other: Spent) -> Spent:
        return Spent(*(getattr(self, name) + getattr(other, name) for name in _AMOUNTS))


class AccountStore:
    """What was spent, on disk. Thread-safe, blocking; every method may raise `StorageError`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_SCHEMA)

    def add(self, key: str, month: str, more: Spent) -> Spent:
        """Add to what the key has spent in this month; all that it has."""
        place = (_SPENT.c.key == key) & (_SPENT.c.month == month)
        amounts = {name: getattr(more, name) for name in _AMOUNTS}
        with self._database.use() as connection:
            self._database.exclusive(connection, "accounts")
            sums = {name: getattr(_SPENT.c, name) + amount for name, amount in amounts.items()}
            if not connection.execute(sql.update(_SPENT).where(place).values(sums)).rowcount:
                connection.execute(sql.insert(_SPENT).values({"key": key, "month": month, **amounts}))
            row = connection.execute(sql.select(*(_SPENT.c[name] for name in _AMOUNTS)).where(place)).one()
        return Spent(*row)

    def month(self, month: str) -> dict[str, Spent]:
        """What each key has spent in one month."""
        wanted = sql.select(_SPENT.c.key, *(_SPENT.c[name] for name in _AMOUNTS)).where(_SPENT.c.month == month)
        with self._database.use() as connection:
            return {key: Spent(*amounts) for key, *amounts in connection.execute(wanted)}

    def months(self, key: str | None = None) -> list[dict[str, Any]]:
        """One entry per month and key, the newest first; of one key, or of all."""
        wanted = sql.select(_SPENT).order_by(_SPENT.c.month.desc(), _SPENT.c.key)
        if key is not None:
            wanted = wanted.where(_SPENT.c.key == key)
        with self._database.use() as connection:
            return [dict(row) for row in connection.execute(wanted).mappings()]


class Account(Budget):
    """One key in one month."""

    def __init__(self, key: str, month: str, saved: Spent) -> None:
        super().__init__(None, None, "this key's budget of the month")
        self.key, self.month = key, month
        self.unsaved = Spent()
        self.load(saved)

    def load(self, saved: Spent) -> None:
        """What all services together have saved."""
        with self._lock:
            whole = saved + self.unsaved
            self.spent = (whole.prompt_tokens + whole.completion_tokens, whole.dollars)

    def take(self) -> Spent:
        """What is not saved yet, to save it."""
        with self._lock:
            more, self.unsaved = self.unsaved, Spent()
        return more

    def put_back(self, more: Spent) -> None:
        """It could not be saved."""
        with self._lock:
            self.unsaved = self.unsaved + more

    def limit(self, key: Key | None) -> None:
        """The key's budget as its file has it now."""
        tokens = key.tokens_per_month if key else None
        dollars = key.dollars_per_month if key else None
        self.limits = (float("inf") if tokens is None else tokens, float("inf") if dollars is None else dollars)

    def spend(self, prompt_tokens: int, completion_tokens: int, dollars: float | None) -> None:
        """As `Budget.spend`, and remembered until it is saved."""
        more = Spent(1, prompt_tokens, completion_tokens, dollars or 0.0, int(dollars is None))
        with self._lock:
            self.unsaved = self.unsaved + more
            self.spent = (self.spent[0] + prompt_tokens + completion_tokens, self.spent[1] + (dollars or 0.0))


class Accounts:
    """All keys' accounts of this process. Thread-safe. `close` saves what is left."""

    def __init__(self, database: Database, find: Callable[[str], Key | None]) -> None:
        """`find`: the key of an id."""
        self.store = AccountStore(database)
        self._find = find
        self._open: dict[tuple[str, str], Account] = {}
        self._lock = threading.Lock()
        self._saving = threading.Lock()
        self._closing = threading.Event()
        self._saver = threading.Thread(target=self._save_often, name="accounts", daemon=True)
        self._saver.start()

    def current(self) -> Account | None:
        """Whoever pays for what this task asks; None where nobody is named. Raises `StorageError`."""
        key = caller.get()
        if key == NOBODY:
            return None
        month = this_month()
        with self._lock:
            account = self._open.get((key, month))
            if account is None:
                account = self._open[key, month] = Account(key, month, self.store.add(key, month, Spent()))
        account.limit(self._find(key))
        return account

    def save(self) -> None:
        """Write what was spent, and read what others spent, with one query for all keys. Accounts of past months are
        closed. Raises `StorageError`."""
        with self._saving:
            with self._lock:
                accounts = list(self._open.values())
            for account in accounts:
                if (more := account.take()).calls:
                    try:
                        account.load(self.store.add(account.key, account.month, more))
                    except StorageError:
                        account.put_back(more)
                        raise
            month = this_month()
            saved = self.store.month(month) if accounts else {}
            for account in accounts:
                if account.month == month:
                    account.load(saved.get(account.key, Spent()))
                elif not account.unsaved.calls:
                    with self._lock:
                        self._open.pop((account.key, account.month), None)

    def months(self, key: str) -> list[dict[str, Any]]:
        """What the key has spent by month, to this moment. Raises `StorageError`."""
        self.save()
        return self.store.months(key)

    def close(self) -> None:
        """Idempotent."""
        if not self._closing.is_set():
            self._closing.set()
            self._saver.join(30)
            self._try_to_save()

    def _save_often(self) -> None:
        while not self._closing.wait(SYNC):
            self._try_to_save()

    def _try_to_save(self) -> None:
        try:
            self.save()
        except StorageError as error:
            _log.error("accounts: cannot be saved; trying again: %s", error)


def this_month() -> str:
    """Such as 2026-11, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m")


def usage_json(months: list[dict[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """As `GET /v1/usage` and `collegium keys usage --json` show it; key id -> name."""
    return [{**month, "name": names.get(month["key"])} for month in months]

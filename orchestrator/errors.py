"""Every error that Collegium raises on purpose.

CollegiumError                what was wrong, where, and what to do; exit code 1, HTTP 500
├── BadInput                  the user's file, key, flag or body; exit code 2, HTTP 400
│   ├── ConfigError           configuration YAML or an override
│   └── ExpertError           an expert that cannot be used: missing, truncated, mismatched
├── RequestError              one request failed, the rest go on; HTTP 400
│   ├── PromptTooLong         the prompt does not fit the expert's context
│   ├── StreamBroken          its worker was lost after a part was streamed; ask again; HTTP 503
│   └── Cancelled             withdrawn by its caller
├── ExpertFailed              an expert failed while loading or running; HTTP 503
├── NotReady                  something must be done first (no profile yet); HTTP 409
├── Overloaded                the estimated wait passes the request's deadline; HTTP 429
├── StorageError              the ledger or a run folder cannot be written (disk full, locked); HTTP 507
└── SetupError                something is not installed on this machine
"""

from __future__ import annotations


class CollegiumError(Exception):
    exit_code = 1
    status = 500


class BadInput(CollegiumError):
    exit_code = 2
    status = 400


class ConfigError(BadInput):
    pass


class ExpertError(BadInput):
    pass


class RequestError(CollegiumError):
    status = 400


class PromptTooLong(RequestError):
    pass


class StreamBroken(RequestError):
    status = 503


class Cancelled(RequestError):
    status = 499


class ExpertFailed(CollegiumError):
    status = 503


class NotReady(CollegiumError):
    status = 409


class Overloaded(CollegiumError):
    status = 429

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[Overloaded], tuple[str, float]]:
        return type(self), (str(self), self.retry_after)  # it travels between processes


class StorageError(CollegiumError):
    status = 507


class SetupError(CollegiumError):
    pass

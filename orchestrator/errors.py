"""Every error that Collegium raises on purpose, and what each means to whom.

CollegiumError                what was wrong, where, and what to do
├── BadInput                  the user's file, key, flag or body
│   ├── ConfigError           configuration YAML or an override
│   └── ExpertError           an expert whose files or settings cannot be used: missing, truncated, mismatched
├── RequestError              the caller's own mistake in one request
│   ├── PromptTooLong         the prompt does not fit the expert's context
│   └── Cancelled             withdrawn by its caller
├── ExpertFailed              an expert gave no answer, and the request is not to blame
│   ├── ExpertUnavailable     it cannot be asked now: no key, weights that do not load, cooling down after failures
│   ├── StreamBroken          its worker was lost after a part was streamed
│   ├── Unreachable           transport: refused, reset, broken off
│   ├── UpstreamTimeout       its server did not answer in time
│   ├── UpstreamError         its server failed, or sent something that is no reply
│   ├── UpstreamBusy          its server is overloaded or being restarted
│   ├── UpstreamRefused       its server refuses the key, the model or the request's settings
│   ├── RateLimited           its server allows no more requests for now
│   ├── ContentFiltered       its server withholds the reply
│   └── NoAnswer              several experts were asked, and none answered
├── NotScored                 a scorer of one's own failed on some answers of a finished run
├── BudgetExceeded            the next call would pass a budget
├── NotReady                  something must be done first (no profile yet)
├── Overloaded                the estimated wait passes the request's deadline
├── StorageError              the ledger or a run folder cannot be written (disk full, locked)
└── SetupError                something is not installed on this machine

The class attributes are the one table of what follows from an error: `status` for HTTP, `exit_code` for the command
line, `code` and `words` for a client that must not read an operator's message, `retry` and `elsewhere` for whoever
may try again. docs/errors.md shows it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from typing import ClassVar, Self

MIN_RETRY_AFTER, MAX_RETRY_AFTER = 1, 86400
RETRY_AFTER = 5.0
"""Seconds that a client is told to wait: at least, at most, and where nothing is known."""


class CollegiumError(Exception):
    """An error with a message for the operator: it may name paths, addresses and what an upstream said.

    It travels between processes: attributes beyond the message are optional keywords.
    """

    status: int = 500
    """HTTP status."""
    exit_code: ClassVar[int] = 1
    """Of the command line."""
    code: str | None = "failed"
    """OpenAI's `code`, or one of ours."""
    words: str | None = "the server failed; its log has the cause under this request's id"
    """What a client reads in place of the message. None: the message itself, which is about the client's request."""
    retry: ClassVar[bool] = False
    """The same request may succeed if it is sent again."""
    elsewhere: ClassVar[bool] = False
    """It is one expert's own: another one may answer the request."""

    def __init__(self, message: str, *, retry_after: float | None = None, upstream_status: int | None = None) -> None:
        """`retry_after`: seconds until another try may help. `upstream_status`: HTTP status of an expert's server."""
        super().__init__(message)
        self.retry_after = retry_after
        self.upstream_status = upstream_status
        self.expert: str | None = None
        """Whose failure it is, where it is an expert's."""
        self.not_asked = False
        """The expert was not even asked: it is cut off after failures, or paused by its rate limits."""
        self.cut_off: float | None = None
        """Seconds for which nobody asks the expert: this failure opened its circuit breaker, or found it open."""

    def with_message(self, message: str) -> Self:
        """The same error in other words."""
        twin = copy.copy(self)
        twin.args = (message,)
        return twin

    @property
    def wait(self) -> int | None:
        """Whole seconds for a Retry-After header; None where another try does not help."""
        if not self.retry:
            return None
        known = self.retry_after is not None and math.isfinite(self.retry_after)
        seconds = self.retry_after if known and self.retry_after is not None else RETRY_AFTER
        return min(MAX_RETRY_AFTER, max(MIN_RETRY_AFTER, math.ceil(seconds)))


class BadInput(CollegiumError):
    """What the user gave is wrong: an option, a file, a value."""

    status = 400
    exit_code = 2
    code = "bad_input"
    words: str | None = None


class ConfigError(BadInput):
    """The configuration file is wrong."""


class ExpertError(BadInput):
    """An expert's files or settings are wrong."""

    status = 503
    code = "expert_unavailable"
    words = "this expert cannot be used: its files or settings are wrong; ask another model"
    elsewhere = True


class RequestError(CollegiumError):
    """One request cannot be answered as it is; the others go on."""

    status = 400
    code = "bad_request"
    words: str | None = None
    elsewhere = True


class PromptTooLong(RequestError):
    """The prompt does not fit into the expert's context."""

    code = "context_length_exceeded"


class Cancelled(RequestError):
    """The caller or the pool ended the request."""

    status = 499
    code = "cancelled"
    elsewhere = False


class ExpertFailed(CollegiumError):
    """The expert gave no reply."""

    status = 503
    code = "expert_failed"
    words = "the expert failed and gave no answer; try again, or ask another model"
    retry = True
    elsewhere = True


class ExpertUnavailable(ExpertFailed):
    """No worker can serve the expert now."""

    code = "expert_unavailable"
    words = "the expert is not available now; try again later, or ask another model"


class StreamBroken(ExpertFailed):
    """The worker was lost after a part of the reply had been streamed."""

    code = "worker_lost"
    words = "the expert's worker was lost after a part had been streamed; send the request again"
    elsewhere = False


class Unreachable(ExpertFailed):
    """The connection to the expert's server failed."""

    status = 502
    code = "upstream_unreachable"
    words = "the connection to the expert's server failed; try again, or ask another model"


class UpstreamTimeout(ExpertFailed):
    """The expert's server did not answer in time."""

    status = 504
    code = "upstream_timeout"
    words = "the expert's server did not answer in time; try again, or ask another model"


class UpstreamError(ExpertFailed):
    """The expert's server failed or sent no valid reply."""

    status = 502
    code = "upstream_error"
    words = "the expert's server failed or sent no valid reply; try again, or ask another model"


class UpstreamBusy(ExpertFailed):
    """The expert's server is overloaded."""

    code = "upstream_busy"
    words = "the expert's server is overloaded; try again later, or ask another model"


class UpstreamRefused(ExpertFailed):
    """The expert's server refuses the request, whoever sends it."""

    status = 502
    code = "upstream_refused"
    words = "the expert's server refuses this request; the service's operator finds the cause in its log"
    retry = False


class RateLimited(ExpertFailed):
    """The expert's server allows no more requests for now."""

    status = 429
    code = "rate_limit_exceeded"
    words = "the expert's server allows no more requests for now; try again later, or ask another model"


class ContentFiltered(ExpertFailed):
    """The expert's server withheld the reply because of its content rules."""

    status = 400
    code = "content_filter"
    words = "the expert's server withheld the reply because of its content rules; change the messages"
    retry = False


class NoAnswer(ExpertFailed):
    """None of the experts that were asked gave a reply."""

    code = "no_expert_answered"
    words = "none of the experts that were asked gave an answer; try again later"


class NotScored(CollegiumError):
    """A scorer of one's own failed on some answers. The run is finished and kept; those answers count as failed."""

    code = "not_scored"
    words: str | None = None


class BudgetExceeded(CollegiumError):
    """The budget of the key or of the run is spent."""

    status = 429
    code = "budget_exceeded"
    words: str | None = None


class NotReady(CollegiumError):
    """What is asked for is not there yet."""

    status = 409
    code = "not_ready"
    words: str | None = None


class Overloaded(CollegiumError):
    """The wait would be longer than allowed. `retry_after` is in seconds."""

    status = 429
    code = "overloaded"
    words = "the wait would be longer than this service allows; try again later"
    retry = True
    elsewhere = True

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message, retry_after=retry_after)


class StorageError(CollegiumError):
    """A file or the database cannot be written."""

    status = 507
    code = "storage_failed"


class SetupError(CollegiumError):
    """Something that must be installed is missing."""

    status = 503
    code = "not_installed"
    words = "something is not installed where the service runs; its log says what, or ask another model"


def every_error(kind: type[CollegiumError] = CollegiumError) -> Iterable[type[CollegiumError]]:
    """The classes of this file in the order of the tree."""
    if kind.__module__ == __name__:
        yield kind
    for below in kind.__subclasses__():
        yield from every_error(below)


def of_code(code: object, status: int, *, retry: bool) -> type[CollegiumError]:
    """The class that an error of the service was there, by its code, its status, and whether it had a Retry-After; else
    what the status says."""
    same = [kind for kind in every_error() if (kind.status, kind.code) == (status, code)]
    if same:
        return next((kind for kind in same if kind.retry == retry), same[0])
    if status == 429:
        return Overloaded
    return ExpertFailed if status >= 500 else RequestError


def no_answer(failures: Mapping[str, CollegiumError]) -> CollegiumError:
    """What to raise where every expert asked has failed; expert -> its error. A mistake of the caller's that all of
    them report is the caller's mistake; else `NoAnswer`, with the shortest time after which another try may help."""
    if not failures:
        return NoAnswer("no expert gave an answer")
    errors = list(failures.values())
    if spent := next((error for error in errors if isinstance(error, BudgetExceeded)), None):
        return spent
    if all(isinstance(error, RequestError) for error in errors):
        return errors[0]
    if all(isinstance(error, Overloaded) for error in errors):
        return Overloaded(str(errors[0]), min(error.retry_after or 1.0 for error in errors))
    reasons = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in failures.items())
    waits = [error.retry_after for error in errors if error.retry and error.retry_after is not None]
    return NoAnswer(f"no expert gave an answer: {reasons}"[:4000], retry_after=min(waits, default=None))

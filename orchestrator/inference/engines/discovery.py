"""Which models an OpenAI-compatible server offers: https://platform.openai.com/docs/api-reference/models/list"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from orchestrator.errors import ExpertError
from orchestrator.inference.engines.openai_stream import request_headers
from orchestrator.inference.engines.upstream_failures import of_exception, of_status
from orchestrator.inference.expert import RemoteModel

MAX_BYTES = 4 * 2**20
SECONDS = 20.0
LISTED = 20


def models(remote: RemoteModel, transport: httpx.BaseTransport | None = None) -> list[str]:
    """The ids that the server lists. Raises the typed error of what fails, `ExpertError` for a list that is none."""
    return [str(one["id"]) for one in listed_models(remote, transport)]


def listed_models(
    remote: RemoteModel, transport: httpx.BaseTransport | None = None, seconds: float = SECONDS
) -> list[Mapping[str, Any]]:
    """The server's list of models as it sends it, each with an `id`; `seconds`: how long a silent server is waited
    for. Raises as `models`."""
    parts = urlsplit(remote.url)
    url = urlunsplit((parts.scheme, parts.netloc, f"{parts.path.rstrip('/')}/models", parts.query, ""))
    headers, _ = request_headers(remote)
    try:
        with (
            httpx.Client(timeout=seconds, transport=transport) as client,
            client.stream("GET", url, headers={**headers, "Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code != 200:
                raise of_status(response.status_code, "", response.headers)
            body = b""
            for part in response.iter_raw():
                body += part
                if len(body) > MAX_BYTES:
                    raise ExpertError(f"{url}: the list of models is larger than {MAX_BYTES} bytes")
        found = json.loads(body)["data"]
        return [{**one, "id": str(one["id"])} for one in found]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ExpertError(f"{url}: the server sent no list of models; name the model with --model") from None
    except httpx.HTTPError as error:
        typed = of_exception(error)
        raise typed.with_message(f"{url}: {typed}") from None


def chosen_model(remote: RemoteModel, wanted: str | None, offered: list[str]) -> str:
    """The model to use: the wanted one if it is offered, else the only one. Raises `ExpertError` naming what there
    is."""
    listed = ", ".join(offered[:LISTED]) + (f" and {len(offered) - LISTED} more" if len(offered) > LISTED else "")
    if wanted is None:
        if len(offered) != 1:
            raise ExpertError(f"{remote.url}: choose one with --model: {listed or 'the server offers none'}")
        return offered[0]
    if wanted not in offered:
        near = difflib.get_close_matches(wanted, offered, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise ExpertError(f"{remote.url}: there is no model {wanted!r}{meant or '.'} There are: {listed}")
    return wanted

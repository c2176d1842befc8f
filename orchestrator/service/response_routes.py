"""The routes of OpenAI's Responses."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import ValidationError

from orchestrator.chats.chat_body import ChatBody
from orchestrator.service import responses
from orchestrator.service.chat import Chats, EventStream, reply_headers, until_gone
from orchestrator.service.refusals import Refused, invalid
from orchestrator.service.response_forms import as_chat, input_items, messages
from orchestrator.service.response_store import ResponseStore
from orchestrator.service.responses import ResponseForm
from orchestrator.service.schema import ResponsesBody
from orchestrator.service.scopes import scoped

PageSize = Annotated[int, Query(ge=1, le=100)]
LastSeen = Annotated[str | None, Query(max_length=128)]
Order = Literal["asc", "desc"]


def add(api: FastAPI, chats: Chats, store: ResponseStore) -> None:
    """Add the routes."""

    async def find(request: Request, id: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        found = await asyncio.to_thread(store.get, _owner(request), id) if len(id) <= 64 else None
        if found is None:
            message = f"there is no response {id[:100]!r}; it may have been deleted, or made with store: false"
            raise Refused(404, message, code="response_not_found", param="previous_response_id")
        return found

    async def resolved(owner: str, asked: Any) -> Any:
        """The input with items of kept responses for references to them. One that is not here stays, to be refused."""
        if not isinstance(asked, list):
            return asked

        def refers(item: dict[str, Any]) -> bool:
            return bool(item.get("type") == "item_reference")

        ids = {str(item.get("id"))[:128] for item in asked if refers(item)}
        known = await asyncio.to_thread(store.items, owner, ids) if ids else {}
        return [known.get(str(item.get("id")), item) if refers(item) else item for item in asked]

    @api.post("/v1/responses", openapi_extra=scoped("chat"))
    async def create(body: ResponsesBody, request: Request) -> Response:
        """A chat in OpenAI's newer form: https://platform.openai.com/docs/api-reference/responses/create."""
        given = body.model_dump(exclude_unset=True)
        given["input"] = await resolved(_owner(request), given["input"])
        before = (await find(request, body.previous_response_id))[1] if body.previous_response_id else []
        try:
            fields, ignored = as_chat(given, before)
            chat = ChatBody.model_validate(fields)
        except ValidationError as error:
            raise invalid(error.errors()) from error
        except ValueError as error:
            raise Refused(400, str(error), code="invalid", param=str(error).partition(":")[0]) from error
        form = ResponseForm(given)
        conversation = [*before, *messages(given["input"], set())]
        owner = _owner(request)

        async def keep(response: dict[str, Any]) -> None:
            if given.get("store") is not False:
                whole = [*conversation, *messages(response["output"], set())]
                await asyncio.to_thread(store.put, owner, response, whole)

        events = chats.events(chat, request, ignored)
        if chat.stream:
            stream = responses.stream(events, form, keep)
            return EventStream(stream, partial(reply_headers, request), responses.failure)
        response = await until_gone(request.receive, responses.whole(events, form, keep))
        return JSONResponse(response, headers=reply_headers(request))

    @api.get("/v1/responses/{id}", openapi_extra=scoped("chat"))
    async def fetch(id: str, request: Request) -> dict[str, Any]:
        """A response that was kept."""
        return (await find(request, id))[0]

    @api.get("/v1/responses/{id}/input_items", openapi_extra=scoped("chat"))
    async def inputs(
        id: str, request: Request, limit: PageSize = 20, order: Order = "desc", after: LastSeen = None
    ) -> dict[str, Any]:
        """What led to a response that was kept, the earliest last: texts and calls, without instructions."""
        response, conversation = await find(request, id)
        made = len(messages(response["output"], set()))
        listed = input_items(conversation[: len(conversation) - made], id)
        if order == "desc":
            listed.reverse()
        if after is not None:
            places = [place for place, item in enumerate(listed, 1) if item["id"] == after]
            if not places:
                raise Refused(400, f"after: there is no item {after!r} here", code="invalid", param="after")
            listed = listed[places[0] :]
        page = listed[:limit]
        edges = {"first_id": page[0]["id"] if page else None, "last_id": page[-1]["id"] if page else None}
        return {"object": "list", "data": page, "has_more": len(listed) > limit, **edges}

    @api.delete("/v1/responses/{id}", openapi_extra=scoped("chat"))
    async def delete(id: str, request: Request) -> dict[str, Any]:
        """Forget a response."""
        await find(request, id)
        await asyncio.to_thread(store.delete, _owner(request), id)
        return {"id": id, "object": "response", "deleted": True}


def _owner(request: Request) -> str:
    return request.state.key.id if request.state.key else "anyone"

"""From ordinary code to the coroutine behind it."""

from __future__ import annotations

import pytest

from orchestrator.errors import RequestError
from orchestrator.pipeline_calls import wait


async def seven() -> int:
    return 7


def test_ordinary_code_waits_for_the_result() -> None:
    assert wait(seven()) == 7


async def test_within_a_loop_the_awaitable_form_is_named() -> None:
    with pytest.raises(RequestError, match="await the method with an `a` in front"):
        wait(seven())

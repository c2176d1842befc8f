"""The soak's requests hold every hostile kind, in every form of asking, and the ids of both tenants."""

from __future__ import annotations

import json
import random

from benchmarks.odd_requests import ASKING, EXPRESSIONS, SAMPLING, SCHEMAS, Asked, Asker

PATHS = {f"/v1/{name}": ["POST"] for name in ASKING} | {"/v1/files/{id}": ["GET", "DELETE"], "/health": ["GET"]}


def drawn(count: int, seed: int = 0) -> list[Asked]:
    asker = Asker(random.Random(seed), PATHS, {"ann": "clg_a_1", "bob": "clg_b_2"}, ["file-of-ann", "batch-of-bob"])
    return [asker.ask() for _ in range(count)]


def test_every_hostile_kind_is_drawn_for_every_route_that_reaches_an_engine() -> None:
    asked = [one for one in drawn(10_000) if one.method == "POST"]
    for name in ASKING:
        bodies = "\n".join(one.content.decode("latin-1") for one in asked if one.path.strip("/").endswith(name))
        missing = [kind for kind, schema in SCHEMAS.items() if json.dumps(schema) not in bodies]
        assert missing == [], f"{name}: never asked for: {missing}"
    bodies = "\n".join(one.content.decode("latin-1") for one in asked)
    assert [one for one in EXPRESSIONS if f'"guided_regex": {json.dumps(one)}' not in bodies] == []
    for more in SAMPLING:
        assert all(f"{json.dumps(field)}: {json.dumps(value)}" in bodies for field, value in more.items()), more


def test_tenants_ask_for_one_anothers_things_and_a_seed_repeats_itself() -> None:
    first, again = drawn(2000), drawn(2000)
    assert first == again != drawn(2000, seed=1)
    for tenant in ("ann", "bob"):
        paths = {one.path for one in first if one.tenant == tenant}
        assert any("file-of-ann" in path for path in paths)
        assert any("batch-of-bob" in path for path in paths)
    assert {one.tenant for one in first} == {"ann", "bob", None}

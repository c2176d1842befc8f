"""Which questions a router is fitted on and which it is judged on: never both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from router import Features, Table, TableError
from router.trial import trial

World = tuple[Table, Features]


def split_world(world: World, names: Mapping[str, range]) -> World:
    rows = list(world[0].rows)
    for name, indices in names.items():
        for index in indices:
            rows[index] = replace(rows[index], split=name)
    return Table(tuple(rows), world[0].experts), world[1]


def test_parts_by_name_by_default_by_table_and_by_folds(fitted: World, unseen: World) -> None:
    named = split_world(unseen, {"train": range(100), "test": range(100, 150), "dev": range(150, 400)})
    what = trial(*named)
    assert (what.fitted_on, what.tested_on) == ("split train", "split test")
    assert what.fit is not None
    assert (len(what.fit.rows), len(what.test.rows)) == (100, 50)
    what = trial(*named, train_split="dev", test_split="train")
    assert what.fit is not None
    assert (len(what.fit.rows), len(what.test.rows)) == (250, 100)
    what = trial(*named, test_split="test")
    assert what.fit is not None
    assert (len(what.fit.rows), what.fitted_on) == (350, "all but split test")
    assert trial(*unseen).fit is None
    with pytest.raises(TableError, match="there is no 'val'"):
        trial(*named, train_split="val", test_split="dev")
    with pytest.raises(TableError, match="'botanist' is unknown"):
        trial(*unseen, fit=(fitted[0].select_experts(["algebraist"]), fitted[1]))


def test_what_is_tested_or_repeated_is_never_fitted(fitted: World, unseen: World) -> None:
    rows = list(fitted[0].rows)
    rows[0] = replace(rows[0], question=unseen[0].rows[5].question)
    rows[1] = replace(rows[1], extra={"repeat": True})
    what = trial(*unseen, fit=(Table(tuple(rows), fitted[0].experts), fitted[1]))
    assert what.fit is not None
    assert what.fit_features is not None
    overlap = set(what.fit.questions) & set(unseen[0].questions)
    assert not overlap
    assert len(what.fit.rows) == len(what.fit_features) < 299
    assert "were not fitted" in what.notes[0]

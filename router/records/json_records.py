"""Records of JSON: one object per line, an array of objects, or one object that holds them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import IO, Any

from router.records.files import MAX_RECORD, RecordError, Text, text_chunks, text_lines

Body = dict[str, Any]
DOCUMENT = 512 * 2**20
"""Characters of a JSON document that is one object."""
SPLITS = ("train", "training", "validation", "valid", "val", "dev", "test", "testing", "eval")
HOLDERS = ("data", "examples", "rows", "questions", "instances", "records", "items", "samples", "problems", "results")
ASKS = ("question", "prompt", "query", "input", "problem", "instruction")
"""Keys by which an object is known to be a question, or a table's columns."""


def _unique(pairs: list[tuple[str, Any]]) -> Body:
    body = dict(pairs)
    if len(body) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} occurs twice")
    return body


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def parsed(text: str, where: str) -> Any:
    """The value of one JSON text. NaN and Infinity, which Python writes and JSON has not, become floats: whoever
    needs the cell refuses it by name. Raises RecordError."""
    try:
        value = _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{where}: not valid JSON: {error}") from None
    _whole_text(text, value, where)
    return value


def _whole_text(text: str, value: Any, where: str) -> None:
    if "\\u" in text:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise RecordError(f"{where}: holds half of a surrogate pair (\\ud800...), which is no text") from None


def records(file: IO[bytes], path: Path, lines_only: bool) -> Iterator[tuple[int, Body]]:
    """(line, or place in the array, from 1; object). `lines_only`: one object per line, whatever stands first."""
    if lines_only:
        yield from _each_line(text_lines(file, path), path)
        return
    text = Text(text_chunks(file, path))
    first = text.next_mark()
    if first == "[":
        yield from _array(text, path)
    elif first:
        line = text.line(DOCUMENT)
        if text.next_mark() and _complete(line):
            yield from _each_line(enumerate(chain([line], text.lines(MAX_RECORD)), 1), path)
            return
        body = parsed(line + text.rest(DOCUMENT, f"{path}: one JSON object"), str(path))
        yield from enumerate(_unwrapped(_object(body, str(path)), path), 1)


def _each_line(lines: Iterable[tuple[int, str]], path: Path) -> Iterator[tuple[int, Body]]:
    for number, line in lines:
        if not line.isspace():
            where = f"{path}:{number}"
            bare = line.rstrip()  # the lines of an array without its brackets end with commas
            yield number, _object(parsed(bare[:-1] if bare.endswith("},") else line, where), where)


def _object(value: Any, where: str) -> Body:
    if not isinstance(value, dict):
        raise RecordError(f"{where}: must be an object, is {kind_of(value)}")
    return value


def _complete(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _array(text: Text, path: Path) -> Iterator[tuple[int, Body]]:
    """Elements one by one: no more of the text is kept than the element being read."""
    text.skip()
    number = 0
    while (mark := text.next_mark()) != "]":
        where = f"{path}: row {number + 1}"
        if number and mark == ",":
            text.skip()
            mark = text.next_mark()
        elif number and mark:
            raise RecordError(f"{where}: not valid JSON: a comma is missing in front of it")
        if not mark:
            raise RecordError(f"{where}: the array is not closed: is the file cut short?")
        number += 1
        value, source = _element(text, where)
        _whole_text(source, value, where)
        yield number, _object(value, where)
    text.skip()
    if text.next_mark():
        raise RecordError(f"{path}: row {number}: more text follows the end of the array")


def _element(text: Text, where: str) -> tuple[Any, str]:
    while True:
        try:
            value, end = _DECODER.raw_decode(text.held, text.at)
            source, text.at = text.held[text.at : end], end
            return value, source
        except json.JSONDecodeError as error:
            if len(text.held) - text.at > MAX_RECORD:
                message = f"{error.msg}, or longer than {MAX_RECORD >> 20} MiB"
                raise RecordError(f"{where}: not valid JSON: {message}") from None
            if not text.double():
                raise RecordError(f"{where}: not valid JSON: {error.msg}") from None
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{where}: not valid JSON: {error}") from None


def _unwrapped(body: Body, path: Path) -> list[Body]:
    """The records that one object holds: by split, under one key, by column, by id; else the object itself."""
    lists = {key: value for key, value in body.items() if _objects(value)}
    if lists and lists.keys() == body.keys() and all(key.lower() in SPLITS for key in lists):
        return [_marked(row, "split", key, path) for key, rows in lists.items() for row in rows]
    if "records" in lists and isinstance(body.get("model_name"), str):
        return [body]  # LLMRouterBench's results of one model
    held = [key for key in HOLDERS if key in lists]
    if held and not any(isinstance(body.get(key), str) for key in ASKS):
        if len(held) > 1:
            raise RecordError(f"{path}: both {held[0]!r} and {held[1]!r} hold records: keep one of them")
        rows: list[Body] = lists[held[0]]
        # The dataset viewer's answer: {"rows": [{"row_idx": 0, "row": {...}}]}.
        rows = [row["row"] if isinstance(row.get("row"), dict) else row for row in rows]
        return _paragraphs(rows) if all(_objects(row.get("paragraphs")) for row in rows) else rows
    if {"model", "prompt", "data"} <= body.keys() and isinstance(body["prompt"], dict):
        return [body]  # RouterEval's matrices of scores
    columns = {key: value for key, value in body.items() if isinstance(value, list | dict)}
    if columns.keys() == body.keys() and any(key in ASKS for key in body):
        return _by_column(columns, path)
    if body and all(isinstance(value, dict) and any(key in ASKS for key in value) for value in body.values()):
        return [_marked(row, "id", key, path) for key, row in body.items()]
    if body and all(isinstance(value, str | int | float) for value in body.values()) and all(map(_sentence, body)):
        return [{"question": key, "answer": value} for key, value in body.items()]
    return [body]


def _sentence(key: str) -> bool:
    return " " in key.strip() and key.strip()[-1] in "?.:!"


def _paragraphs(articles: list[Body]) -> list[Body]:
    """The questions of SQuAD's own files: {"data": [{"title", "paragraphs": [{"context", "qas": [{...}]}]}]}."""
    return [
        {"title": article.get("title"), "context": paragraph.get("context"), **asked}
        for article in articles
        for paragraph in article["paragraphs"]
        for asked in (paragraph["qas"] if _objects(paragraph.get("qas")) else [])
    ]


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _marked(row: Body, key: str, value: str, path: Path) -> Body:
    if key in row and str(row[key]) != value:
        raise RecordError(f"{path}: the record under {value!r} says {key} {row[key]!r}: which is right?")
    return {**row, key: value}


def _by_column(columns: Mapping[str, Any], path: Path) -> list[Body]:
    cells: dict[str, list[Any]] = {}
    keys: list[str] | None = None
    for name, column in columns.items():
        if isinstance(column, dict):
            keys = list(column) if keys is None else keys
            if list(column) != keys:
                raise RecordError(f"{path}: column {name!r} has other rows than the first column")
        cells[name] = list(column.values()) if isinstance(column, dict) else column
    length = {len(column) for column in cells.values()}
    if len(length) > 1:
        sizes = ", ".join(f"{name} {len(column)}" for name, column in cells.items())
        raise RecordError(f"{path}: columns of different length: {sizes}")
    return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def kind_of(value: object) -> str:
    """What a value is, in words."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "text" if value.strip() else "empty text"
    kinds: dict[type, str] = {dict: "an object", list: "a list", bool: "true or false"}
    return kinds.get(type(value), "a number")

"""Opening a file that anyone may have written: compression, encoding, bounded lines."""

from __future__ import annotations

import codecs
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

MAX_RECORD = 16 * 2**20
"""Bytes of one line or record."""
CHUNK = 256 * 2**10
COMPRESSED = (".gz", ".zst", ".zstd", ".bz2")
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"))
_MARK = re.compile(r"\S")
_WIDE = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


class RecordError(ValueError):
    """A file of records, or one record of it, cannot be used: names file, line or row, and key."""


def bare_name(path: Path) -> str:
    """The name without the suffix of its compression: `a.jsonl.gz` is `a.jsonl`."""
    return path.name[: -len(path.suffix)] if path.suffix.lower() in COMPRESSED else path.name


@contextmanager
def reading(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed. What fails while reading is raised as RecordError."""
    try:
        with _opened(path) as file:
            yield file
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RecordError(f"{path}: cannot be read: {reason}") from error


def _opened(path: Path) -> IO[bytes]:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    if suffix == ".bz2":
        import bz2

        return cast(IO[bytes], bz2.open(path))
    if suffix in (".zst", ".zstd"):
        import pyarrow

        path.open("rb").close()  # a missing file is named as for the others
        return cast(IO[bytes], io.BufferedReader(_Zstandard(pyarrow.input_stream(str(path), compression="zstd"))))
    return path.open("rb")


class _Zstandard(io.RawIOBase):
    """Arrow's decompressing stream with Python's face."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream = stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(cast(bytearray, buffer))
        data = self._stream.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        super().close()


def text_lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line with its end). UTF-8, or UTF-16 and UTF-32 with their byte order marks."""
    file, encoding = _decoding(file)
    return _narrow_lines(file, path) if encoding == "utf-8" else _wide_lines(file, encoding, path)


def text_chunks(file: IO[bytes], path: Path) -> Iterator[str]:
    """The text in pieces of `CHUNK` bytes; encodings as for `text_lines`. Raises `RecordError` for other encodings."""
    file, encoding = _decoding(file)
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    while True:
        data = file.read(CHUNK)
        try:
            text = decoder.decode(data, final=not data)
        except UnicodeError as error:
            place = read + getattr(error, "start", 0)
            message = f"byte {place}: not {encoding.upper()} text ({getattr(error, 'reason', error)})"
            raise RecordError(f"{path}: {message}: save the file as UTF-8") from None
        read += len(data)
        if text:
            yield text
        if not data:
            return


def _decoding(file: IO[bytes]) -> tuple[IO[bytes], str]:
    buffered = cast(io.BufferedReader, file if hasattr(file, "peek") else io.BufferedReader(cast(io.RawIOBase, file)))
    head = buffered.peek(4)[:4]
    mark, encoding = next(((mark, name) for mark, name in (*_MARKS, *_WIDE) if head.startswith(mark)), (b"", "utf-8"))
    if encoding == "utf-8":
        buffered.read(len(mark))
    return cast(IO[bytes], buffered), encoding


class Text:
    """Text that comes in pieces: `held` from `at` on is what has been read and not yet used."""

    def __init__(self, chunks: Iterator[str]) -> None:
        self._chunks = chunks
        self.held, self.at = "", 0

    def _more(self) -> bool:
        piece = next(self._chunks, None)
        if piece is None:
            return False
        self.held, self.at = self.held[self.at :] + piece, 0
        return True

    def double(self) -> bool:
        """Read until twice as much is held: reading again from the front then costs no more than the text's length.
        False where nothing was left."""
        wanted = 2 * (len(self.held) - self.at)
        found = False
        while len(self.held) - self.at <= wanted and self._more():
            found = True
        return found

    def skip(self) -> None:
        """Leave one character behind."""
        self.at += 1

    def next_mark(self) -> str:
        """The next character that is no white space, which stays; empty at the end."""
        while True:
            match = _MARK.search(self.held, self.at)
            if match:
                self.at = match.start()
                return match.group()
            self.at = len(self.held)
            if not self._more():
                return ""

    def line(self, limit: int) -> str:
        """The rest of the line with its end, or the first `limit` characters of it."""
        start = self.at
        while (end := self.held.find("\n", start)) < 0:
            start = len(self.held) - self.at
            if start > limit or not self._more():
                end = len(self.held) - 1
                break
        found, self.at = self.held[self.at : end + 1], end + 1
        return found

    def lines(self, limit: int) -> Iterator[str]:
        """The remaining lines."""
        while line := self.line(limit):
            yield line

    def rest(self, limit: int, what: str) -> str:
        """All that remains. Raises RecordError beyond `limit` characters."""
        pieces, size = [self.held[self.at :]], len(self.held) - self.at
        for piece in self._chunks:
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise RecordError(f"{what} of more than {limit >> 20} MiB: save it as JSON Lines")
        self.held, self.at = "", 0
        return "".join(pieces)


def _narrow_lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    while line := file.readline(MAX_RECORD + 1):
        number += 1
        if len(line) > MAX_RECORD:
            raise RecordError(f"{path}:{number}: a line of more than {MAX_RECORD >> 20} MiB")
        if b"\0" in line:
            raise RecordError(f"{path}:{number}: holds NUL characters: is it UTF-16? Save the file as UTF-8")
        try:
            yield number, line.decode()
        except UnicodeDecodeError as error:
            raise RecordError(f"{path}:{number}: not UTF-8 text ({error.reason}): save the file as UTF-8") from None


def _wide_lines(file: IO[bytes], encoding: str, path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    text = io.TextIOWrapper(file, encoding=encoding, newline="\n")
    try:
        while line := text.readline(MAX_RECORD + 1):
            number += 1
            if len(line) > MAX_RECORD:
                raise RecordError(f"{path}:{number}: a line of more than {MAX_RECORD >> 20} MiB")
            yield number, line
    except UnicodeError as error:
        raise RecordError(f"{path}:{number + 1}: not {encoding.upper()} text: {error}") from None
    finally:
        text.detach()

"""Records from files as people have them: JSON Lines, JSON, CSV, TSV, Parquet, Arrow, compressed too, or a folder.

`parts` opens a path; a part yields numbered records one at a time, so that memory grows with one record's size and not
with the file's (except a JSON document that is one object, which is read whole within a bound). Nothing in a file is
ever executed. Whatever cannot be read raises `RecordError` naming file, line or row, and what to do.
"""

from router.records.files import RecordError
from router.records.parts import SUFFIXES, Part, parts

__all__ = ["SUFFIXES", "Part", "RecordError", "parts"]

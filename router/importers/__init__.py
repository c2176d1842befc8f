"""Routing tables of other projects, as correctness tables.

Each importer is one function from records to rows; `FORMATS` lists them, and `format_of` tells by its columns which one
a file needs. None guesses a score: what is no number from 0 to 1 is an error that names the row.
"""

from router.importers.formats import FORMATS, format_of
from router.importers.table_import import ImportedTable, import_table

__all__ = ["FORMATS", "ImportedTable", "format_of", "import_table"]

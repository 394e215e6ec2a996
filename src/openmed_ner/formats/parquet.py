"""Parquet: a folder of two tables, the mentions and the documents with their texts.

``mentions.parquet`` has one row per mention, in order, and the columns of :data:`MENTIONS`;
``documents.parquet`` has one row per document. The column ``document_number`` joins them, since ids may
occur more than once. The columns are the same for every run, so that tables of several runs can be read
together; values that a mention lacks are null. Attributes of our own steps have columns, others are a JSON
object in ``attributes``. ``Document.meta`` is not written.

Rows are written in row groups of bounded size, so memory does not depend on the number of documents. The
folder appears once it is complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError, UnrepresentableError, require_extra
from openmed_ner.formats.attributes import write_attributes
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad, fail
from openmed_ner.storage import atomic_folder
from openmed_ner.text import Document, Span
from openmed_ner.text.dataframe import mention_row

EXTRA = ("pyarrow", "parquet")
"""Module that writes the tables, and the extra that installs it."""
MENTIONS_FILE = "mentions.parquet"
DOCUMENTS_FILE = "documents.parquet"
MENTIONS = {
    "document_number": "int64",
    "document": "string",
    "start": "int32",
    "end": "int32",
    "text": "string",
    "label": "string",
    "score": "double",
    "corpus": "string",
    "evidence": "string",
    "fragments": "ranges",
    "identifiers": "strings",
    "preferred_names": "strings",
    "linked_by": "string",
    "link_score": "double",
    "candidates": "strings",
    "negated": "bool",
    "historical": "bool",
    "hypothetical": "bool",
    "family": "bool",
    "long_form": "string",
    "short_form": "string",
    "attributes": "string",
}
"""Type of each column of the mentions; ``ranges`` are lists of ``start`` and ``end``."""
DOCUMENTS = {
    "document_number": "int64",
    "id": "string",
    "text": "string",
    "mentions": "int32",
    "complete": "bool",
}
"""Type of each column of the documents."""
ROWS = 1 << 16
"""Most rows of a row group."""
CHARACTERS = 1 << 24
"""Characters of texts after which a row group of documents ends."""
_SEPARATOR = "|"


def write_parquet(documents: Iterable[Document], folder: Path, *, on_bad: OnBad = fail) -> None:
    """Write the tables of documents into a folder, which replaces an older one once it is complete.

    Args:
        documents: documents to write.
        folder: folder of the tables.
        on_bad: called with the error of each document that Parquet cannot hold.

    Raises:
        InputError: the path is that of a file, or of a folder with other files.
        MissingExtraError: pyarrow is not installed.
        UnrepresentableError: a string holds half of a surrogate pair.
    """
    pyarrow = require_extra(*EXTRA)
    parquet = require_extra("pyarrow.parquet", EXTRA[1])
    check_folder(folder)
    with (
        atomic_folder(folder) as partial,
        _Table(pyarrow, parquet, partial / MENTIONS_FILE, MENTIONS) as mentions,
        _Table(pyarrow, parquet, partial / DOCUMENTS_FILE, DOCUMENTS) as texts,
    ):
        number = 0
        for document in documents:
            if _has_surrogates(document):
                on_bad(UnrepresentableError(f"document {document.id!r}: half of a surrogate pair"))
                continue
            for span in document.spans:
                mentions.add(_mention_row(number, document, span))
            complete = document.meta.get("coverage", {}).get("complete")
            row = (number, document.id, document.text, len(document.spans), complete)
            texts.add(row, size=len(document.text))
            number += 1


def check_folder(folder: Path) -> None:
    """Refuse a path that is no folder to write tables into.

    Raises:
        InputError: the path is that of a file, or of a folder with other files.
    """
    if folder.suffix.lower() == ".parquet":
        raise InputError(
            f"{folder}: Parquet is written as a folder with {MENTIONS_FILE} and {DOCUMENTS_FILE}; name a "
            f"folder, such as {folder.with_suffix('')}"
        )
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if others := names - {MENTIONS_FILE, DOCUMENTS_FILE}:
        raise InputError(f"{folder} holds {min(others)!r}, which is no table of ours; name a new folder")


class _Table:
    """A table that is written in row groups."""

    def __init__(self, pyarrow: Any, parquet: Any, path: Path, columns: Mapping[str, str]) -> None:
        types = _types(pyarrow)
        self._pyarrow = pyarrow
        self._schema = pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])
        # A dictionary of texts, each of which occurs once, would only take memory.
        coded = [name for name, kind in columns.items() if kind == "string" and columns is MENTIONS]
        self._writer = parquet.ParquetWriter(path, self._schema, compression="zstd", use_dictionary=coded)
        self._rows: list[Sequence[Any]] = []
        self._size = 0

    def __enter__(self) -> _Table:
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: object) -> None:
        if kind is None:
            self._flush()
        self._writer.close()

    def add(self, row: Sequence[Any], *, size: int = 0) -> None:
        """Add a row.

        Args:
            row: its values, in the order of the columns.
            size: number of its characters, if they are many.
        """
        self._rows.append(row)
        self._size += size
        if len(self._rows) >= ROWS or self._size >= CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        values = zip(*self._rows, strict=True)
        arrays = [
            self._pyarrow.array(column, kind) for column, kind in zip(values, self._schema.types, strict=True)
        ]
        self._writer.write_table(self._pyarrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._size = [], 0


def _types(pyarrow: Any) -> dict[str, Any]:
    edges = pyarrow.struct([("start", pyarrow.int32()), ("end", pyarrow.int32())])
    return {
        "int32": pyarrow.int32(),
        "int64": pyarrow.int64(),
        "double": pyarrow.float64(),
        "bool": pyarrow.bool_(),
        "string": pyarrow.string(),
        "strings": pyarrow.list_(pyarrow.string()),
        "ranges": pyarrow.list_(edges),
    }


def _mention_row(number: int, document: Document, span: Span) -> tuple[Any, ...]:
    fragments = [{"start": start, "end": end} for start, end in span.fragments] or None
    columns, others = _split_attributes(span)
    return (
        number,
        *mention_row(document, span),
        fragments,
        *(columns.get(name) for name in _COLUMN_OF.values()),
        write_attributes(others.items()) or None,
    )


def _split(value: str | bool) -> list[str] | None:
    return value.split(_SEPARATOR) if isinstance(value, str) else None


def _number(value: str | bool) -> float | None:
    try:
        return float(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _flag(value: str | bool) -> bool | None:
    return value if isinstance(value, bool) else None


def _string(value: str | bool) -> str | None:
    return value if isinstance(value, str) else None


_COLUMN_OF = {
    "identifier": "identifiers",
    "preferred_name": "preferred_names",
    "linked_by": "linked_by",
    "link_score": "link_score",
    "candidates": "candidates",
    "negated": "negated",
    "historical": "historical",
    "hypothetical": "hypothetical",
    "family": "family",
    "long_form": "long_form",
    "short_form": "short_form",
}
"""Column of each attribute that has one, in the order of the columns."""
_CONVERTERS: dict[str, Callable[[str | bool], Any]] = {
    "strings": _split,
    "double": _number,
    "bool": _flag,
    "string": _string,
}


def _split_attributes(span: Span) -> tuple[dict[str, Any], dict[str, str | bool]]:
    """Return the attributes that have a column, by column, and the others."""
    columns: dict[str, Any] = {}
    others: dict[str, str | bool] = {}
    for name, value in span.attributes:
        column = _COLUMN_OF.get(name)
        converted = None if column is None else _CONVERTERS[MENTIONS[column]](value)
        if column is None or converted is None:
            others[name] = value
        else:
            columns[column] = converted
    return columns, others


def _has_surrogates(document: Document) -> bool:
    strings = [document.id, document.text]
    for span in document.spans:
        strings += [span.label, span.corpus or "", *(str(part) for pair in span.attributes for part in pair)]
    return any(LONE_SURROGATE.search(string) for string in strings)

"""A vocabulary of your own: a table with a row per concept, separated by commas, semicolons or tabs.

The columns ``id`` and ``name`` must be there. ``names`` (or ``synonyms``), ``parents`` and ``xrefs`` hold
several values, separated by ``|``. ``type`` is one of the types of concepts; without it, one type is given
for the whole table. Other columns are ignored.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.sources import split_cell

SUFFIXES = (".csv", ".tsv")
_DELIMITERS = ",;\t"
_SYNONYMS = ("names", "synonyms")


def read_vocabulary(path: Path, label: str | None = None) -> Iterator[Concept]:
    """Read a vocabulary.

    Args:
        path: the table, in UTF-8 with or without a byte order mark.
        label: type of the concepts if the table has no column ``type``.

    Raises:
        InputError: the file cannot be opened.
        CorpusFormatError: a column is missing, or a row lacks a value, has an unknown type, an identifier
            that another row has, or bytes that are not UTF-8.
    """
    line = 1
    seen: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            delimiter = max(_DELIMITERS, key=header.count)
            (columns,) = csv.reader([header], delimiter=delimiter, strict=True) if header else ([],)
            columns = [column.strip().lower() for column in columns]
            _check_columns(columns, label, path)

            rows = csv.reader(file, delimiter=delimiter, strict=True)
            for row in rows:
                line = rows.line_num + 1
                if not any(map(str.strip, row)):
                    continue
                concept = _read_row(row, columns, label, f"{path}, line {line}")
                if concept.id in seen:
                    raise CorpusFormatError(
                        f"{path}, line {line}: duplicate id {concept.id!r}, first in line {seen[concept.id]}"
                    )
                seen[concept.id] = line
                yield concept
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorpusFormatError(
            f"{path}, after line {line}: not UTF-8: {error.reason}; convert it"
        ) from error
    except csv.Error as error:
        raise CorpusFormatError(f"{path}, after line {line}: {error}") from error


def _check_columns(columns: Sequence[str], label: str | None, path: Path) -> None:
    needed = ("id", "name") if label else ("id", "name", "type")
    for column in needed:
        if columns.count(column) != 1:
            hint = ", or one type with --type" if column == "type" else ""
            raise CorpusFormatError(
                f"{path}, line 1: expected one column {column!r}{hint}; found {', '.join(columns) or 'none'}"
            )


def _read_row(row: Sequence[str], columns: Sequence[str], label: str | None, place: str) -> Concept:
    if len(row) != len(columns):
        raise CorpusFormatError(f"{place}: {len(row)} cells; expected {len(columns)}, as in line 1")
    cells: Mapping[str, str] = dict(zip(columns, map(str.strip, row), strict=True))
    kind = cells.get("type") or label
    if kind not in TYPES:
        raise CorpusFormatError(f"{place}: the type {kind!r} is unknown; known: {', '.join(TYPES)}")
    if not cells["id"] or not cells["name"] or any(sign in cells["id"] for sign in "|\t\r\n"):
        raise CorpusFormatError(f"{place}: expected an id without '|' and a name, found {list(row)!r:.80}")
    synonyms = [name for column in _SYNONYMS for name in split_cell(cells.get(column, ""))]
    names = dict.fromkeys(" ".join(name.split()) for name in synonyms)
    name = " ".join(cells["name"].split())
    parents, xrefs = (tuple(split_cell(cells.get(column, ""))) for column in ("parents", "xrefs"))
    return Concept(
        cells["id"], name, tuple(other for other in names if other != name), kind, "own", parents, xrefs
    )

"""The header of a table: which of its columns is which of ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from logging import getLogger

from openmed_ner.errors import CorpusFormatError, suggest
from openmed_ner.formats.tolerance import excerpt

COLUMNS = ("id", "text", "start", "end", "label", "mention", "score", "corpus", "fragments")
ALL_COLUMNS = (*COLUMNS, "attributes", "evidence")
_NEEDED_COLUMNS = ("start", "end", "label")
_TEXTS = ("text", "note", "narrative", "report", "abstract", "body", "content", "comment", "summary")
"""Words in the names of columns of texts, the best first."""

logger = getLogger(__name__)


def _to_name(cell: str) -> str:
    # To find the delimiter, the header is split before it is parsed, so cells may still be quoted.
    return cell.strip().strip('"').strip().lower()


def count_columns(header: Iterable[str], columns: Mapping[str, str]) -> int:
    """Count the cells of a header that name one of our columns."""
    return sum(name in ALL_COLUMNS for name in _rename(header, columns))


def _rename(header: Iterable[str], columns: Mapping[str, str]) -> list[str]:
    """Replace the names of listed columns by ours; a column of ours that another one stands for has none."""
    ours = {_to_name(theirs): name for name, theirs in columns.items()}
    return [ours.get(name, "" if name in columns else name) for name in map(_to_name, header)]


def index_columns(
    header: Sequence[str], source: str, columns: Mapping[str, str], *, line: int = 1
) -> dict[str, int]:
    """Find the indices of our columns in a header.

    Args:
        header: cells of the header.
        source: name of the file in messages.
        columns: names of columns in the file, by our names.
        line: line of the header.

    Raises:
        CorpusFormatError: a column is missing, is there twice, or is of no use without others.
    """
    place = f"{source}, line {line}"
    if not any(map(str.strip, header)):
        raise CorpusFormatError(f"{place}: expected a header, found nothing: the table is empty")
    for column, theirs in columns.items():
        given = [_to_name(cell) for cell in header]
        if (n_found := given.count(_to_name(theirs))) != 1:
            raise CorpusFormatError(
                f"{place}: expected one column {theirs!r}, for {column}, found {n_found} in the "
                f"header {excerpt(', '.join(given))}{suggest(theirs, given)}"
            )
    names = _rename(header, columns)
    # A table of texts with a column "label", say, for their classes has no spans.
    has_spans = set(_NEEDED_COLUMNS) <= set(names)
    if "label" in columns and not has_spans:
        raise CorpusFormatError(
            f"{place}: the label {columns['label']!r} needs the columns 'start' and 'end' of its "
            f"mention, found the header {excerpt(', '.join(names))}"
        )
    known = ALL_COLUMNS if has_spans else ("id", "text")
    for column in known:
        if names.count(column) > 1 or (column == "text" and column not in names):
            raise CorpusFormatError(
                f"{place}: expected one column {column!r}, found {names.count(column)} "
                f"in the header {excerpt(', '.join(names))}" + _advise(column, names)
            )

    if ignored := [name for name in names if name not in known]:
        logger.info("%s: ignored columns: %s", source, ", ".join(ignored))
    return {name: index for index, name in enumerate(names) if name in known}


def _advise(column: str, names: Sequence[str]) -> str:
    """Name the column that may hold the texts."""
    if column != "text" or column in names:
        return ""
    # The last word is the noun: "note_date" is a date.
    nouns = [re.findall(r"[^\W_]+", name)[-1:] for name in names]
    pairs = [(word, name) for name, noun in zip(names, nouns, strict=True) for word in noun]
    near = [name for text in _TEXTS for word, name in pairs if text in word]
    if not near:
        return "; the first line has to name the columns, and --text-column the one of the texts"
    return f"; name the column of the texts, perhaps {excerpt(near[0])}: --text-column"

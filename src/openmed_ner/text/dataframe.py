"""Documents as a pandas table: one row per entity.

Columns have the same types for a million rows and for none, so frames of several runs can be joined. Texts
and missing values therefore use pandas' own types (``string``, ``NA``), not NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from openmed_ner.errors import UnrepresentableError, require_extra

if TYPE_CHECKING:  # documents import this module for their view as a table
    from pandas import DataFrame

    from openmed_ner.text.document import Document, Span

COLUMNS = {
    "document": "string",
    "start": "int64",
    "end": "int64",
    "text": "string",
    "label": "string",
    "score": "float64",
    "corpus": "string",
    "evidence": "string",
}
"""Type of each column that every frame has; attributes follow in order of their names."""


def mention_row(document: Document, span: Span) -> tuple[str | int | float | None, ...]:
    """Values of a mention, in the order of ``COLUMNS``."""
    return (
        document.id,
        span.start,
        span.end,
        document.mention(span),
        span.label,
        span.score,
        span.corpus,
        span.evidence,
    )


def to_dataframe(documents: Iterable[Document]) -> DataFrame:
    """Build a table with one row per entity, in order.

    The columns are ``COLUMNS`` and one per attribute: ``boolean`` if all its values are booleans, ``string``
    if all are strings, else ``object``; missing where a span lacks the attribute. The text of a discontinuous
    mention is the text of its fragments, joined by blanks.

    Raises:
        MissingExtraError: pandas is not installed.
        UnrepresentableError: an attribute has the name of another column.
    """
    pandas = require_extra("pandas", "notebooks")
    entities = [(document, span) for document in documents for span in document.spans]
    rows = [mention_row(document, span) for document, span in entities]

    frame: DataFrame = pandas.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    attributes = _attribute_columns(entities)
    return frame.assign(
        **{name: pandas.array(values, dtype=_dtype(values)) for name, values in sorted(attributes.items())}
    )


def _attribute_columns(entities: Sequence[tuple[Document, Span]]) -> dict[str, list[str | bool | None]]:
    """Collect the values of every attribute by row; ``None`` where a span lacks it."""
    columns: dict[str, list[str | bool | None]] = {}
    for row, (document, span) in enumerate(entities):
        for name, value in span.attributes:
            if name in COLUMNS:
                raise UnrepresentableError(
                    f"document {document.id!r}: the attribute {name!r} of span {span.start}..{span.end} has "
                    "the name of another column; give it another name"
                )
            columns.setdefault(name, [None] * len(entities))[row] = value
    return columns


def _dtype(values: Iterable[str | bool | None]) -> str:
    kinds = {type(value) for value in values if value is not None}
    return {bool: "boolean", str: "string"}[kinds.pop()] if len(kinds) == 1 else "object"

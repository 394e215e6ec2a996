"""Documents as a pandas table: one row per entity.

Columns have the same types whether there are a million rows or none, so that frames of several runs
can be joined. The price: texts and missing values are pandas' own (``string``, ``NA``), not NumPy's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from openmed_ner.errors import MissingExtraError, UnrepresentableError
from openmed_ner.text.document import Document, Span

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = {
    "document": "string",
    "start": "int64",
    "end": "int64",
    "text": "string",
    "label": "string",
    "score": "float64",
    "corpus": "string",
}
"""What every frame has, and the type of each column; attributes follow in the order of their names."""


def to_dataframe(documents: Iterable[Document]) -> DataFrame:
    """One row per entity of some documents, in order.

    The columns are those of ``COLUMNS`` and one per attribute: ``boolean`` if it is only ever true or
    false, ``string`` if it is only ever text, else ``object``; missing where a span does not have it.
    The text of a discontinuous mention is that of its fragments, joined by blanks.

    Raises:
        MissingExtraError: pandas is not installed.
        UnrepresentableError: an attribute has the name of another column.
    """
    try:
        from pandas import DataFrame, array
    except ModuleNotFoundError as error:
        raise MissingExtraError("pandas", "notebooks") from error
    entities = [(document, span) for document in documents for span in document.spans]
    rows = [
        (each.id, span.start, span.end, each.mention(span), span.label, span.score, span.corpus)
        for each, span in entities
    ]
    frame = DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    attributes = _attributes(entities)
    return frame.assign(
        **{name: array(values, dtype=_dtype(values)) for name, values in sorted(attributes.items())}
    )


def _attributes(entities: Sequence[tuple[Document, Span]]) -> dict[str, list[str | bool | None]]:
    """The column of every attribute, ``None`` where a span lacks it."""
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

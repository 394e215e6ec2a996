"""Attributes of a linked span.

``identifier``, ``preferred_name``, ``linked_by`` and ``link_score``, and ``candidates`` if the mention may
mean further concepts. The values of several concepts are joined by ``|``.
"""

from __future__ import annotations

from collections.abc import Sequence

from openmed_ner.linking.concepts import Identifier, Link
from openmed_ner.text import Span

IDENTIFIER = "identifier"
"""Attribute that holds the identifiers of a mention."""
PREFERRED_NAME = "preferred_name"
"""Attribute that holds their preferred names."""
SEPARATOR = "|"
"""Sign between the values of several concepts in one attribute."""


def to_attributes(link: Link) -> dict[str, str | bool]:
    """Attributes of a linked span."""
    attributes: dict[str, str | bool] = {
        IDENTIFIER: SEPARATOR.join(link.ids),
        PREFERRED_NAME: _join_names(link.identifiers),
        "linked_by": link.method,
        "link_score": f"{link.score:.2f}",
    }
    if len(link.candidates) > len(link.identifiers):
        attributes["candidates"] = SEPARATOR.join(candidate.id for candidate in link.candidates)
    return attributes


def list_ids(span: Span) -> tuple[str, ...]:
    """Identifiers of a span."""
    value = dict(span.attributes).get(IDENTIFIER, "")
    return tuple(filter(None, str(value).split(SEPARATOR)))


def list_names(span: Span) -> tuple[str, ...]:
    """Preferred names of a span's identifiers, in their order; empty for an identifier without one."""
    ids = list_ids(span)
    names = str(dict(span.attributes).get(PREFERRED_NAME, "")).split(SEPARATOR)
    return (*names, *("" for _ in ids))[: len(ids)]


def _join_names(identifiers: Sequence[Identifier]) -> str:
    return SEPARATOR.join(identifier.name.replace(SEPARATOR, "/") for identifier in identifiers)

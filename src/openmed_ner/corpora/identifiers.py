"""Gold identifiers of mentions, written as the terminologies write them: ``MESH:D003920``.

Releases write numbers alone, and join several in different ways. ``-1`` and ``-`` mean that the terminology
has no concept for a mention.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from openmed_ner.formats.structure import Structure
from openmed_ner.text import Document, Span

ATTRIBUTE = "identifier"
"""Attribute of a span that holds its identifiers."""
SEPARATOR = "|"
"""Sign between several identifiers of a mention."""
_SEPARATORS = re.compile(r"[|+,;]")
_REMARK = re.compile(r"\(tax:\d+\)|^species:ncbi:|^NCBI(?:Taxon|Gene):", re.IGNORECASE)
_MESH = re.compile(r"(?:MESH:)?([CD]\d+)")
_OMIM = re.compile(r"OMIM:\d+")
_CELL_LINE = re.compile(r"CVCL_\w+")
_VARIANT = "Variant"
_NUMBERED: Mapping[str, str] = {"Species": "NCBITaxon", "Gene": "NCBIGene", "GeneFamily": "NCBIGene"}


def read_identifiers(value: str, label: str) -> tuple[str, ...]:
    """Read the gold identifiers of a mention.

    Args:
        value: identifiers as the release writes them.
        label: canonical type of the mention.

    Returns:
        Distinct identifiers with their prefixes; none if the release has none that a terminology holds, and
        none for a variant, beside which releases list those of its gene and disease.
    """
    if label == _VARIANT:
        return ()
    identifiers: dict[str, None] = {}
    for part in _SEPARATORS.split(value):
        number = _REMARK.sub("", part.strip())
        if mesh := _MESH.fullmatch(number):
            identifiers[f"MESH:{mesh[1]}"] = None
        elif _OMIM.fullmatch(number) or _CELL_LINE.fullmatch(number):
            identifiers[number] = None
        elif number.isdigit() and label in _NUMBERED:
            identifiers[f"{_NUMBERED[label]}:{number}"] = None
    return tuple(identifiers)


def identify(document: Document, labels: Mapping[str, str]) -> tuple[Span, ...]:
    """Add the gold identifiers of a document to its spans, as one attribute.

    Args:
        document: a document of a release.
        labels: native label to canonical type.
    """
    spans = []
    annotations = Structure.of(document).match(document.spans)
    for span, annotation in zip(document.spans, annotations, strict=True):
        value = annotation.infons.get("identifier") if annotation else None
        label = labels.get(span.label, "")
        identifiers = read_identifiers(value, label) if isinstance(value, str) else ()
        spans.append(span.with_attributes({ATTRIBUTE: SEPARATOR.join(identifiers)} if identifiers else {}))
    return tuple(spans)

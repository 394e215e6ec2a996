"""Attributes of a span as a JSON object, ``{"long_form": "acute kidney injury", "negated": true}``.

Every format that carries attributes writes this one object, whole or in part, so any name and any value
survive. Programs that read CSV, BioC or notes of brat therefore parse JSON inside a cell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from openmed_ner.formats.tolerance import excerpt
from openmed_ner.text.document import EVIDENCE, Evidence

Attributes = tuple[tuple[str, str | bool], ...]


def parse_attributes(value: object) -> Attributes:
    """Check a decoded JSON object.

    Raises:
        ValueError: the value is not an object of strings and booleans, or holds half of a surrogate pair.
    """
    if not isinstance(value, dict) or not all(isinstance(entry, str | bool) for entry in value.values()):
        raise ValueError(f'expected an object of strings or true as "attributes", found {value!r:.60}')
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("an attribute holds half of a surrogate pair, which is not a character") from error
    return tuple(sorted(value.items()))


def read_attributes(text: str) -> Attributes:
    """Build attributes from the text of a JSON object; an empty text has none.

    Raises:
        ValueError: the text is not JSON, or as for :func:`parse_attributes`.
    """
    try:
        return parse_attributes(json.loads(text or "{}"))
    except json.JSONDecodeError as error:
        raise ValueError(f"expected attributes as a JSON object, found {excerpt(text)}") from error
    except RecursionError as error:
        raise ValueError("the attributes are nested too deeply; expected one JSON object") from error


def write_attributes(attributes: Iterable[tuple[str, str | bool]]) -> str:
    """Write attributes as the text of a JSON object; empty if there are none."""
    record = dict(attributes)
    return json.dumps(record, ensure_ascii=False) if record else ""


def parse_evidence(value: object) -> Evidence:
    """Check the evidence of a span; without one it is the sentence.

    Raises:
        ValueError: the value is not a kind of evidence.
    """
    for evidence in EVIDENCE:
        if value == evidence or value is None:
            return evidence
    raise ValueError(f'expected {" or ".join(EVIDENCE)} as "evidence", found {value!r:.60}')


def write_evidence(evidence: Evidence) -> dict[str, str]:
    """The entry of a span's record for its evidence; none for the sentence."""
    return {} if evidence == EVIDENCE[0] else {"evidence": evidence}

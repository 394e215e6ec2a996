"""Attributes of a span as a JSON object, ``{"long_form": "acute kidney injury", "negated": true}``.

Every format that carries attributes writes this one object, whole or in part, so that any name and any
value survive. The price: in CSV, BioC and notes of brat, a program has to parse JSON inside of a cell.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

Attributes = tuple[tuple[str, str | bool], ...]


def parse_attributes(value: object) -> Attributes:
    """Check a decoded JSON object.

    Raises:
        ValueError: it is no object of strings and truth values, or holds half of a surrogate pair.
    """
    if not isinstance(value, dict) or not all(isinstance(each, str | bool) for each in value.values()):
        raise ValueError(f'expected an object of strings or true as "attributes", found {value!r:.60}')
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("an attribute holds half of a surrogate pair, which is not a character") from error
    return tuple(sorted(value.items()))


def read_attributes(text: str) -> Attributes:
    """Build attributes from the text of a JSON object; nothing at all is none.

    Raises:
        ValueError: it is not JSON, or as for :func:`parse_attributes`.
    """
    try:
        return parse_attributes(json.loads(text or "{}"))
    except json.JSONDecodeError as error:
        raise ValueError(f"expected attributes as a JSON object, found {text:.60}") from error
    except RecursionError as error:
        raise ValueError("the attributes are nested too deeply; expected one JSON object") from error


def write_attributes(attributes: Iterable[tuple[str, str | bool]]) -> str:
    """The inverse of :func:`read_attributes`; empty if there are none."""
    found = dict(attributes)
    return json.dumps(found, ensure_ascii=False) if found else ""

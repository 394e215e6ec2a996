"""Put attributes on spans. Spans are values, so that each change is a new span."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from openmed_ner.text import Span


def with_attributes(span: Span, found: Mapping[str, str | bool]) -> Span:
    """The same span with more attributes; one of a name that it has already takes the new value."""
    if not found:
        return span
    return replace(span, attributes=tuple(sorted({**dict(span.attributes), **found}.items())))

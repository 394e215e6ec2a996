"""What the spaCy component found, kept exactly in a ``Doc`` whatever its tokens are.

A record of plain values lies in ``doc.user_data``, one for each component, so it survives ``Doc.to_bytes``,
``DocBin`` and the way back from a worker process. ``doc._.openmed_ner`` is the document it stands for,
``doc._.openmed_ner_unaligned`` the number of entities that do not fit the tokens, and
``span._.openmed_ner`` the exact span behind a spaCy span.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from spacy.tokens import Doc
from spacy.tokens import Span as TokenSpan

from openmed_ner.text import Document, Span

KEY = "openmed_ner"


def record(doc: Doc, document: Document, places: Sequence[TokenSpan | None], *, key: str) -> None:
    """Keep a tagged document in a ``Doc``.

    Args:
        doc: where.
        document: what was found in its text.
        places: for each span where it lies among the tokens, ``None`` if it does not fit.
        key: of the component; what it kept before is replaced.
    """
    doc.user_data.setdefault(KEY, {})[key] = {
        "meta": dict(document.meta),
        "spans": [asdict(span) for span in document.spans],
        "places": [(place.start_char, place.end_char) if place else None for place in places],
    }


def flatten(
    found: Sequence[tuple[TokenSpan, Span]],
    *,
    earlier: Sequence[TokenSpan],
    corpora: Sequence[str] | None,
    overwrite: bool,
) -> list[TokenSpan]:
    """Entities of which no two share a token.

    Of ours that do, the one of the preferred corpus is kept, then the longest, the surest, the first.

    Args:
        found: ours: where each lies among the tokens, and the exact span.
        earlier: entities of earlier components.
        corpora: whose spans are taken, the preferred one first; those of all, none preferred, if ``None``.
        overwrite: whether ours go before the earlier ones, or after them.
    """
    ranks = {corpus: rank for rank, corpus in enumerate(corpora or ())}

    def preference(pair: tuple[TokenSpan, Span]) -> tuple[float, ...]:
        span = pair[1]
        return ranks.get(span.corpus or "", 0), span.start - span.end, -(span.score or 0.0), span.start

    wanted = [pair for pair in found if corpora is None or pair[1].corpus in ranks]
    ours = [place for place, _ in sorted(wanted, key=preference)]
    return _without_overlaps([*ours, *earlier] if overwrite else [*earlier, *ours])


def add_extensions() -> None:
    """Tell spaCy the attributes; doing it twice does no harm."""
    Doc.set_extension(KEY, getter=get_document, force=True)
    Doc.set_extension(f"{KEY}_unaligned", getter=count_unaligned, force=True)
    TokenSpan.set_extension(KEY, getter=find_span, force=True)


def get_document(doc: Doc) -> Document | None:
    """What the component found, exactly; ``None`` if it has not seen the document."""
    records = doc.user_data.get(KEY, {}).values()
    if not records:
        return None
    spans = [_to_span(span) for each in records for span in each["spans"]]
    meta = {key: value for each in records for key, value in each["meta"].items()}
    return Document("0", doc.text, tuple(spans), meta)


def count_unaligned(doc: Doc) -> int:
    """Entities that are in ``doc._.openmed_ner`` only, since they do not fit the tokens."""
    return sum(each["places"].count(None) for each in doc.user_data.get(KEY, {}).values())


def find_span(span: TokenSpan) -> Span | None:
    """The exact span, with score, corpus and attributes, that a spaCy span stands for."""
    for each in span.doc.user_data.get(KEY, {}).values():
        for place, source in zip(each["places"], each["spans"], strict=True):
            if (
                tuple(place or ()) == (span.start_char, span.end_char)
                and source["label"] == span.label_
                and (source["corpus"] or "") == span.id_
            ):
                return _to_span(source)
    return None


def _to_span(values: dict[str, Any]) -> Span:
    """The inverse of ``asdict``, whichever of lists and tuples spaCy has made of the values."""
    pairs = {name: tuple(map(tuple, values[name])) for name in ("fragments", "attributes")}
    return Span(**{**values, **pairs})


def _without_overlaps(spans: Iterable[TokenSpan]) -> list[TokenSpan]:
    """The first of those that share a token."""
    taken: set[int] = set()
    kept = []
    for span in spans:
        tokens = range(span.start, span.end)
        if taken.isdisjoint(tokens):
            taken.update(tokens)
            kept.append(span)
    return kept

"""Tagged documents, kept exactly in a ``Doc`` whatever its tokens are.

A record of plain values lies in ``doc.user_data``, one for each component, so it survives ``Doc.to_bytes``,
``DocBin`` and the way back from a worker process. ``doc._.openmed_ner`` is the tagged document,
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


def store_document(doc: Doc, document: Document, positions: Sequence[TokenSpan | None], *, key: str) -> None:
    """Keep a tagged document in a ``Doc``.

    Args:
        doc: target.
        document: tagged document, with the text of ``doc``.
        positions: tokens of each span, ``None`` if it does not fit.
        key: key of the component; an earlier record under it is replaced.
    """
    doc.user_data.setdefault(KEY, {})[key] = {
        "meta": dict(document.meta),
        "spans": [asdict(span) for span in document.spans],
        "places": [(tokens.start_char, tokens.end_char) if tokens else None for tokens in positions],
    }


def flatten(
    aligned: Sequence[tuple[TokenSpan, Span]],
    *,
    earlier: Sequence[TokenSpan],
    corpora: Sequence[str] | None,
    overwrite: bool,
) -> list[TokenSpan]:
    """Entities of which no two share a token.

    Of our spans that do, the one of the preferred corpus is kept, then the longest, the surest, the first.

    Args:
        aligned: our spans: the tokens of each, and the exact span.
        earlier: entities of earlier components.
        corpora: corpora of the spans to use, the preferred one first; all, none preferred, if ``None``.
        overwrite: if true, our spans precede the earlier ones, else they follow.
    """
    # spaCy allows one entity per token in doc.ents
    ranks = {corpus: rank for rank, corpus in enumerate(corpora or ())}

    def preference(pair: tuple[TokenSpan, Span]) -> tuple[float, ...]:
        span = pair[1]
        return ranks.get(span.corpus or "", 0), span.start - span.end, -(span.score or 0.0), span.start

    candidates = [pair for pair in aligned if corpora is None or pair[1].corpus in ranks]
    ranked = [tokens for tokens, _ in sorted(candidates, key=preference)]
    return _without_overlaps([*ranked, *earlier] if overwrite else [*earlier, *ranked])


def add_extensions() -> None:
    """Register the attributes with spaCy; calling it twice does no harm."""
    Doc.set_extension(KEY, getter=get_document, force=True)
    Doc.set_extension(f"{KEY}_unaligned", getter=count_unaligned, force=True)
    TokenSpan.set_extension(KEY, getter=find_span, force=True)


def get_document(doc: Doc) -> Document | None:
    """The tagged document, exactly; ``None`` if no component has tagged it."""
    records = doc.user_data.get(KEY, {}).values()
    if not records:
        return None
    spans = [_to_span(span) for record in records for span in record["spans"]]
    meta = {key: value for record in records for key, value in record["meta"].items()}
    return Document("0", doc.text, tuple(spans), meta)


def count_unaligned(doc: Doc) -> int:
    """Number of entities that are in ``doc._.openmed_ner`` only, since they do not fit the tokens."""
    return sum(record["places"].count(None) for record in doc.user_data.get(KEY, {}).values())


def find_span(span: TokenSpan) -> Span | None:
    """The exact span, with score, corpus and attributes, behind a spaCy span."""
    for record in span.doc.user_data.get(KEY, {}).values():
        for position, values in zip(record["places"], record["spans"], strict=True):
            if (
                tuple(position or ()) == (span.start_char, span.end_char)
                and values["label"] == span.label_
                and (values["corpus"] or "") == span.id_
            ):
                return _to_span(values)
    return None


def _to_span(values: dict[str, Any]) -> Span:
    """The inverse of ``asdict``; spaCy may have turned tuples into lists."""
    pairs = {name: tuple(map(tuple, values[name])) for name in ("fragments", "attributes")}
    return Span(**{**values, **pairs})


def _without_overlaps(spans: Iterable[TokenSpan]) -> list[TokenSpan]:
    """The first of the spans that share a token."""
    covered: set[int] = set()
    flat = []
    for span in spans:
        tokens = range(span.start, span.end)
        if covered.isdisjoint(tokens):
            covered.update(tokens)
            flat.append(span)
    return flat

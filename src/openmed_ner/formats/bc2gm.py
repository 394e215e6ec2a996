"""BioCreative II gene mention: sentences in one file, mentions in another (``GENE.eval``).

Offsets there count the characters that are not white space, and the last one is part of the mention.
``ALTGENE.eval``, the spans the official scorer accepts instead of a gold one, has the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from openmed_ner.errors import CorpusFormatError
from openmed_ner.text import Document, Span

LABEL = "GENE"
_MENTION = re.compile(r"([^|]+)\|([0-9]{1,9}) ([0-9]{1,9})\|(.*)")


def read_bc2gm(
    sentences: Iterable[str], mentions: Iterable[str], *, source: str, mentions_source: str
) -> Iterator[Document]:
    """Yield one document per sentence.

    Args:
        sentences: lines ``identifier sentence``.
        mentions: lines ``identifier|start end|mention``.
        source: what to call the sentences' file in messages.
        mentions_source: what to call the mentions' file.

    Raises:
        CorpusFormatError: a line does not parse, an identifier is repeated or unknown, or a mention is
            not what stands at its offsets.
    """
    texts: dict[str, str] = {}
    for number, line in _numbered(sentences):
        identifier, separator, text = line.partition(" ")
        if not identifier or not separator or identifier in texts:
            twice = identifier in texts
            problem = "this identifier is there twice" if twice else "expected 'identifier sentence'"
            raise CorpusFormatError(f"{source}, line {number}: {problem}, found {line[:60]!r}")
        texts[identifier] = text
    spans: dict[str, list[Span]] = {identifier: [] for identifier in texts}
    for number, line in _numbered(mentions):
        match = _MENTION.fullmatch(line)
        if match is None or match[1] not in texts:
            raise CorpusFormatError(
                f"{mentions_source}, line {number}: expected 'identifier|start end|mention' with an "
                f"identifier of {source}, found {line[:60]!r}"
            )
        text = texts[match[1]]
        span = _place(text, int(match[2]), int(match[3]))
        if span is None or text[span.start : span.end] != match[4]:
            found = "nothing" if span is None else repr(text[span.start : span.end])
            raise CorpusFormatError(
                f"{mentions_source}, line {number}: visible characters {match[2]} to {match[3]} are {found}, "
                f"but the line says {match[4]!r}"
            )
        spans[match[1]].append(span)
    for identifier, text in texts.items():
        yield Document(identifier, text, tuple(spans[identifier]))


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.rstrip("\r\n")


def _place(text: str, first: int, last: int) -> Span | None:
    visible = [place for place, character in enumerate(text) if not character.isspace()]
    if not first <= last < len(visible):
        return None
    return Span(visible[first], visible[last] + 1, LABEL)

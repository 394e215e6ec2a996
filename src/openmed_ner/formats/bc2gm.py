"""BioCreative II gene mention: sentences in one file, mentions in another (``GENE.eval``).

Offsets count the characters that are not white space, and the last one belongs to the mention.
``ALTGENE.eval``, the spans that the official scorer accepts instead of a gold one, has the same form.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.text import Document, Span

LABEL = "GENE"
_MENTION = re.compile(r"([^|]+)\|([0-9]{1,9}) ([0-9]{1,9})\|(.*)")


def read_bc2gm(
    sentences: Iterable[str],
    mentions: Iterable[str],
    *,
    source: str,
    mentions_source: str,
    on_bad: OnBad = fail,
) -> Iterator[Document]:
    """Yield one document per sentence.

    Args:
        sentences: lines ``identifier sentence``.
        mentions: lines ``identifier|start end|mention``.
        source: name of the sentences' file in messages.
        mentions_source: name of the mentions' file in messages.
        on_bad: called with the error of each bad sentence and of each bad mention.

    Raises:
        CorpusFormatError: a line does not parse, an identifier is duplicate or unknown, or a mention
            differs from the text at its offsets.
    """
    texts = _read_sentences(sentences, source, on_bad)
    spans: dict[str, list[Span]] = {identifier: [] for identifier in texts}
    problems: dict[str, list[AnnotationError]] = {}
    for number, line in _iter_numbered(mentions):
        try:
            identifier, span = _parse_mention(line, texts, source)
        except ValueError as error:
            problem = AnnotationError(f"{mentions_source}, line {number}: {error}")
            identifier = line.partition("|")[0]
            if on_bad is fail or identifier not in texts:
                on_bad(CorpusFormatError(str(problem)))
            else:
                problems.setdefault(identifier, []).append(problem)
        else:
            spans[identifier].append(span)

    for identifier, text in texts.items():
        for problem in problems.get(identifier, ()):
            on_bad(problem)
        yield Document(identifier, text, tuple(spans[identifier]))


def _read_sentences(lines: Iterable[str], source: str, on_bad: OnBad) -> dict[str, str]:
    texts: dict[str, str] = {}
    for number, line in _iter_numbered(lines):
        identifier, separator, text = line.partition(" ")
        if not identifier or not separator or identifier in texts:
            problem = "duplicate identifier" if identifier in texts else "expected 'identifier sentence'"
            on_bad(CorpusFormatError(f"{source}, line {number}: {problem}, found {excerpt(line)}"))
            continue
        texts[identifier] = text
    return texts


def _iter_numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, line.rstrip("\r\n")


def _parse_mention(line: str, texts: Mapping[str, str], source: str) -> tuple[str, Span]:
    match = _MENTION.fullmatch(line)
    if match is None or match[1] not in texts:
        raise ValueError(
            f"expected 'identifier|start end|mention' with an identifier of {source}, found {excerpt(line)}"
        )
    text = texts[match[1]]
    span = _place(text, int(match[2]), int(match[3]))
    if span is None or text[span.start : span.end] != match[4]:
        covered = "nothing" if span is None else repr(text[span.start : span.end])
        raise ValueError(
            f"visible characters {match[2]} to {match[3]} are {covered}, but the line has {match[4]!r}"
        )
    return match[1], span


def _place(text: str, first: int, last: int) -> Span | None:
    """Build the span from its first to its last visible character; ``None`` beyond the text."""
    visible = [place for place, character in enumerate(text) if not character.isspace()]
    if not first <= last < len(visible):
        return None
    return Span(visible[first], visible[last] + 1, LABEL)

"""Mentions in a tab-separated table beside the texts: LINNAEUS, S800, ChemProt and CHEMDNER.

The releases differ in the order of columns and in the origin of offsets; :class:`Columns` describes both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.structure import Annotation, Structure
from openmed_ner.formats.tolerance import OnBad, excerpt, fail
from openmed_ner.text import Document, Span

# Longer numbers exceed any text, and int() refuses more than 4,300 digits.
_OFFSET = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of a table, by index from 0.

    Attributes:
        document: column of the text's key.
        start: column of the first character.
        end: column of the end: one past the last character, or with ``end_included`` the last one.
        mention: column of the mention.
        label: column of the label, or the label of all mentions.
        section: column with ``T`` (title) or ``A`` (abstract), if offsets count from the section's start.
        end_included: if true, ``end`` is the last character.
        identifier: column with the identifier of a concept, which the structure of the document keeps.
    """

    document: int
    start: int
    end: int
    mention: int
    label: int | str
    section: int | None = None
    end_included: bool = False
    identifier: int | None = None

    @property
    def needed(self) -> int:
        """Number of fields that a line must have at least."""
        columns = (self.document, self.start, self.end, self.mention, self.label, self.section)
        return 1 + max(column for column in columns if isinstance(column, int))


LINNAEUS = Columns(document=1, start=2, end=3, mention=4, label="species", identifier=0)
S800 = Columns(document=1, start=2, end=3, mention=4, label="species", end_included=True, identifier=0)
CHEMPROT = Columns(document=0, start=3, end=4, mention=5, label=2)
CHEMDNER = Columns(document=0, section=1, start=2, end=3, mention=4, label=5)


@dataclass(frozen=True, slots=True)
class Abstract:
    """A title and the text after it."""

    title: str
    body: str

    @property
    def text(self) -> str:
        """Title and body, separated by a blank."""
        return f"{self.title} {self.body}"


def read_abstracts(lines: Iterable[str], *, source: str, on_bad: OnBad = fail) -> dict[str, Abstract]:
    """Read lines of identifier, title and abstract between tabs (ChemProt, CHEMDNER).

    A bad line is handed to ``on_bad``.

    Raises:
        CorpusFormatError: a line has another number of fields, or a duplicate identifier.
    """
    abstracts: dict[str, Abstract] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        fields = line.rstrip("\r\n").split("\t")
        if len(fields) != 3 or fields[0] in abstracts:
            problem = "duplicate identifier" if len(fields) == 3 else f"found {len(fields)} fields"
            on_bad(
                CorpusFormatError(
                    f"{source}, line {number}: expected a new identifier, title and abstract between tabs; "
                    f"{problem}"
                )
            )
            continue
        abstracts[fields[0]] = Abstract(fields[1], fields[2])
    return abstracts


def read_table(
    lines: Iterable[str],
    texts: Mapping[str, str | Abstract],
    *,
    columns: Columns,
    source: str,
    on_bad: OnBad = fail,
) -> Iterator[Document]:
    """Yield the texts as documents, in their order, with the mentions of a table.

    Lines that begin with ``#`` are headings. A bad mention is handed to ``on_bad``.

    Raises:
        AnnotationError: a line does not parse, names an unknown text, or its mention differs from the text
            at its offsets.
    """
    spans: dict[str, list[Span]] = {key: [] for key in texts}
    annotations: dict[str, list[Annotation]] = {key: [] for key in texts}
    problems: dict[str, list[AnnotationError]] = {}
    for number, line in enumerate(lines, start=1):
        if line.strip() and not line.startswith("#"):
            fields = line.rstrip("\r\n").split("\t")
            try:
                key, span = _parse(fields, texts, columns)
            except ValueError as error:
                problem = AnnotationError(f"{source}, line {number}: {error}")
                key = fields[columns.document] if columns.document < len(fields) else ""
                if on_bad is fail or key not in texts:
                    on_bad(CorpusFormatError(str(problem)))
                else:
                    problems.setdefault(key, []).append(problem)
            else:
                spans[key].append(span)
                if columns.identifier is not None:
                    infons = {"identifier": fields[columns.identifier]}
                    annotations[key].append(Annotation(span.key, f"T{len(spans[key])}", infons))

    for key, text in texts.items():
        for problem in problems.get(key, ()):
            on_bad(problem)
        document = Document(key, text if isinstance(text, str) else text.text, tuple(spans[key]))
        yield Structure(annotations=tuple(annotations[key])).attach(document)


def _parse(fields: list[str], texts: Mapping[str, str | Abstract], columns: Columns) -> tuple[str, Span]:
    if len(fields) < columns.needed:
        raise ValueError(f"expected at least {columns.needed} fields between tabs, found {len(fields)}")
    key = fields[columns.document]
    if key not in texts:
        raise ValueError(f"text {excerpt(key)} not found")
    if not (_OFFSET.fullmatch(fields[columns.start]) and _OFFSET.fullmatch(fields[columns.end])):
        raise ValueError(f"{fields[columns.start][:20]!r} and {fields[columns.end][:20]!r} are not offsets")

    shift, text = _section_shift(fields, texts[key], columns)
    start = int(fields[columns.start]) + shift
    end = int(fields[columns.end]) + shift + columns.end_included
    label = columns.label if isinstance(columns.label, str) else fields[columns.label]
    if end > len(text) or text[start:end] != fields[columns.mention]:
        raise ValueError(
            f"characters {start}..{end} of {key!r} are {excerpt(text[start:end])}, "
            f"but the line has {excerpt(fields[columns.mention])}"
        )
    return key, Span(start, end, label)


def _section_shift(fields: list[str], text: str | Abstract, columns: Columns) -> tuple[int, str]:
    """Return the start of the section that offsets count from, and the whole text."""
    if isinstance(text, str):
        return 0, text
    if columns.section is None or fields[columns.section] == "T":
        return 0, text.text
    if fields[columns.section] != "A":
        raise ValueError(f"expected T for title or A for abstract, found {fields[columns.section][:20]!r}")
    return len(text.title) + 1, text.text

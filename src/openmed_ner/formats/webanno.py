"""WebAnno TSV 3, the exchange format of WebAnno and INCEpTION: one document per file, one word per line.

Entities are the spans of the layer ``NamedEntity`` and of custom layers. The label is the feature ``value``,
``label`` or ``type``, or else the first one that has a value; ``identifier`` goes into the structure of the
document. Other layers (parts of speech, lemmas), relations and chains are ignored. Offsets in the file are
UTF-16 code units. The file does not tell the characters between sentences: one line end and blanks are read.

A file is written per document, with a sentence per line of the text and the layer ``NamedEntity``.

Format: https://inception-project.github.io/releases/35.1/docs/user-guide.html#sect_formats_webannotsv3.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO
from urllib.parse import unquote

from openmed_ner.errors import AnnotationError, CorpusFormatError
from openmed_ner.formats.files import strip_gz
from openmed_ner.formats.folders import FileLayout, write_files
from openmed_ner.formats.structure import Annotation, Structure, select_annotations
from openmed_ner.formats.tolerance import OnBad, excerpt, fail, require_utf8
from openmed_ner.formats.utf16 import CodeUnits
from openmed_ner.text import Document, Span, iter_tokens

NAMED_ENTITY = "de.tudarmstadt.ukp.dkpro.core.api.ner.type.NamedEntity"
_CUSTOM = "webanno.custom."
_LABELS = ("value", "label", "type")
_IDENTIFIER = "identifier"
_HEAD = f"#FORMAT=WebAnno TSV 3.3\n#T_SP={NAMED_ENTITY}|{_IDENTIFIER}|value\n\n"
_LAYER = re.compile(r"#T_(SP|RL|CH)=([^|]+)\|(.*)")
_ROW = re.compile(r"[0-9]{1,9}-[0-9]{1,9}(?:\.[0-9]{1,9})?")
_OFFSETS = re.compile(r"([0-9]{1,15})-([0-9]{1,15})")
_ITEM = re.compile(r"((?:\\.|[^\\|\[])*)(?:\[([0-9]{1,9})\])?(?:\||$)", re.DOTALL)
_SENTENCE_END = re.compile(r"(?<=\S)\n(?=\S)")
_TEXT_ESCAPES = {"\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f"}
_VALUE_ESCAPES = {
    **{sign: f"\\{sign}" for sign in ("\\", "[", "]", "|", "_", ";", "*", "->")},
    "\t": "\\t",
    "\n": "\\n",
}
_ESCAPED = re.compile(r"\\(->|.)", re.DOTALL)
_MAX_GAPS = 1_000_000
"""Most blanks between the sentences of a document; a wrong offset must not fill the memory."""


@dataclass(slots=True)
class _Mention:
    """An annotation, of which some rows are read."""

    start: int
    end: int
    number: int
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Layer:
    """A layer of spans: its name, its features, and the column of the first one."""

    name: str
    features: tuple[str, ...]
    column: int


def read_webanno(file: TextIO, *, source: str, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the document of a file, named after its source without ``.tsv``.

    Raises:
        CorpusFormatError: the first line is not that of the format, a line does not parse, a word differs
            from the text of its sentence, or sentences overlap.
        AnnotationError: an annotation begins or ends within a character.
    """
    reader = _Reader(source)
    try:
        for number, line in enumerate(file, start=1):
            reader.number = number
            require_utf8(line)
            reader.read_line(line.removeprefix("\ufeff" * (number == 1)).rstrip("\r\n"))
        document = reader.finish(on_bad)
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        on_bad(CorpusFormatError(f"{source}, line {max(reader.number, 1)}: {error}"))
    else:
        yield document


def write_webanno(documents: Iterable[Document], folder: Path, *, on_bad: OnBad = fail) -> None:
    """Write a file per document into a folder; the percent-encoded id is its name.

    Scores, corpora and attributes are dropped; the identifiers of a structure are written.

    Raises:
        InputError: the folder or a file cannot be written, or a file exists.
        UnrepresentableError: a document has no words, a duplicate or overlong id, half of a surrogate pair,
            or a span that is discontinuous, or begins or ends outside of words.
    """
    write_files(documents, folder, _LAYOUT, on_bad)


# --- Reading


class _Reader:
    """The state of reading one file.

    Attributes:
        number: number of the current line.
    """

    def __init__(self, source: str) -> None:
        self.number = 0
        self._source = source
        self._layers: list[_Layer] = []
        self._n_columns = 0
        self._is_known = False
        self._sentence: list[str] = []
        self._is_placed = True
        self._pieces: list[str] = []
        self._length = self._n_blanks = 0
        self._words: list[tuple[int, int, int, str]] = []
        self._mentions: dict[tuple[object, ...], _Mention] = {}

    def read_line(self, line: str) -> None:
        """Read one line.

        Raises:
            ValueError: it is not a line of the format.
        """
        if not self._is_known:
            if not line.startswith("#FORMAT=WebAnno TSV 3"):
                raise ValueError(f"expected '#FORMAT=WebAnno TSV 3.3', found {excerpt(line)}")
            self._is_known = True
        elif line.startswith("#Text="):
            # The lines of a sentence that goes over several follow one another.
            if self._is_placed:
                self._sentence, self._is_placed = [], False
            self._sentence.append(_unescape_text(line.removeprefix("#Text=")))
        elif layer := _LAYER.fullmatch(line):
            features = tuple(layer[3].split("|"))
            if layer[1] == "SP":
                self._layers.append(_Layer(layer[2], features, self._n_columns))
            self._n_columns += len(features)
        elif line and not line.startswith("#"):
            self._read_row(line.split("\t"), line)

    def finish(self, on_bad: OnBad) -> Document:
        """Return the document; an annotation that does not fit the text goes to ``on_bad``.

        Raises:
            ValueError: the file is empty, or a word or span does not fit the text.
        """
        if not self._is_known:
            raise ValueError("expected '#FORMAT=WebAnno TSV 3.3', found an empty file")
        text = "".join(self._pieces)
        units = CodeUnits(text)
        self._check_words(text, units)

        spans, annotations = [], []
        for mention in self._mentions.values():
            try:
                start, end = units.to_characters(mention.start), units.to_characters(mention.end)
                spans.append(Span(start, end, mention.values["label"]))
            except ValueError as error:
                on_bad(AnnotationError(f"{self._source}, line {mention.number}: {error}"))
                continue
            infons = {name: value for name, value in mention.values.items() if name == _IDENTIFIER}
            annotations.append(Annotation(spans[-1].key, f"T{len(spans)}", infons))
        name = unquote(strip_gz(self._source).removesuffix(".tsv"))
        structure = Structure(annotations=select_annotations(annotations))
        return structure.attach(Document(name, text, tuple(spans)))

    def _check_words(self, text: str, units: CodeUnits) -> None:
        """Compare the words with the text at their offsets."""
        for number, start, end, form in self._words:
            self.number = number
            first, last = units.to_characters(start), units.to_characters(end)
            if last - first != len(form) or text[first:last] != form:
                covered = text[first : min(last, first + len(form) + 1)]
                raise ValueError(
                    f"characters {start}-{end} are {excerpt(covered)}, but the word is {excerpt(form)}"
                )

    def _read_row(self, cells: Sequence[str], line: str) -> None:
        offsets = _OFFSETS.fullmatch(cells[1]) if len(cells) > 2 else None
        if not _ROW.fullmatch(cells[0]) or offsets is None:
            raise ValueError(f"expected number, offsets and word between tabs, found {excerpt(line)}")
        start, end = int(offsets[1]), int(offsets[2])
        if not self._is_placed:
            self._place_sentence(start)
        self._words.append((self.number, start, end, _unescape(cells[2])))
        values = cells[3:]
        for layer in self._layers:
            if layer.name == NAMED_ENTITY or layer.name.startswith(_CUSTOM):
                columns = values[layer.column : layer.column + len(layer.features)]
                self._read_mentions(layer, columns, start, end)

    def _place_sentence(self, start: int) -> None:
        """Put the text of a sentence where its first word begins."""
        text = "\n".join(self._sentence)
        begin = start - (len(text) - len(text.lstrip()))
        gap = begin - self._length
        self._n_blanks += gap
        if gap < 0 or self._n_blanks > _MAX_GAPS:
            raise ValueError(f"the sentence at {begin} lies {gap} characters behind the one before it")
        self._pieces += ["\n"[:gap], " " * (gap - 1), text]
        self._length = begin + CodeUnits(text).to_units(len(text))
        self._is_placed = True

    def _read_mentions(self, layer: _Layer, columns: Sequence[str], start: int, end: int) -> None:
        """Read the stacked annotations of a row: each column has one value of each."""
        stacks = [_ITEM.findall(column)[: column.count("|") + 1] for column in columns]
        for index in range(max(map(len, stacks), default=0)):
            items = [stack[index] if index < len(stack) else ("", "") for stack in stacks]
            number = next((item[1] for item in items if item[1]), "")
            if not number and all(item[0] in {"_", ""} for item in items):
                continue
            features = {
                name: _unescape(value)
                for name, (value, _) in zip(layer.features, items, strict=False)
                if value not in {"_", "*", ""}
            }
            key = (layer.name, number) if number else (layer.name, self.number, index, "")
            mention = self._mentions.setdefault(key, _Mention(start, end, self.number))
            mention.start, mention.end = min(mention.start, start), max(mention.end, end)
            mention.values["label"] = _choose_label(features, layer)
            if _IDENTIFIER in features:
                mention.values[_IDENTIFIER] = features[_IDENTIFIER]


def _choose_label(features: dict[str, str], layer: _Layer) -> str:
    """The label of an annotation; the name of the layer if no feature has a value."""
    candidates = [features.get(name) for name in _LABELS]
    others = [value for name, value in features.items() if name != _IDENTIFIER]
    return next(filter(None, [*candidates, *others]), layer.name.rpartition(".")[2])


# --- Writing


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text by sentence: lines, each with the white space that is not one line end."""

    text: str
    sentences: list[tuple[int, int]]
    words: list[list[tuple[int, int]]]

    @classmethod
    def of(cls, text: str) -> _Words:
        edges = [0, *(edge for match in _SENTENCE_END.finditer(text) for edge in match.span()), len(text)]
        sentences = list(zip(edges[::2], edges[1::2], strict=True))
        words = [
            [(start + token.start, start + token.end) for token in iter_tokens(text[start:end])]
            for start, end in sentences
        ]
        return cls(text, sentences, words)

    def pieces(self, span: Span) -> dict[tuple[int, int], tuple[int, int]]:
        """The words, and parts of words, that a span covers, each with its word."""
        first = bisect_right(self.sentences, (span.start, len(self.text))) - 1
        pieces = {}
        for number in range(max(first, 0), len(self.sentences)):
            if self.sentences[number][0] >= span.end:
                break
            for start, end in self.words[number]:
                if start < span.end and span.start < end:
                    pieces[max(start, span.start), min(end, span.end)] = (start, end)
        return pieces


def _lines(document: Document) -> Iterator[str]:
    yield _HEAD
    text, units = document.text, CodeUnits(document.text)
    words = _Words.of(text)
    cells, parts = _list_cells(document, words)
    for number, (start, end) in enumerate(words.sentences, start=1):
        yield f"\n#Text={_escape(text[start:end], _TEXT_ESCAPES)}\n"
        for index, word in enumerate(words.words[number - 1], start=1):
            # The parts of a word that are annotated have rows of their own, after that of the word.
            for part, place in enumerate([word, *sorted(parts.get(word, ()))]):
                name = f"{number}-{index}" + (f".{part}" if part else "")
                offsets = "-".join(str(units.to_units(edge)) for edge in place)
                form = _escape(text[slice(*place)], _VALUE_ESCAPES)
                yield "\t".join([name, offsets, form, *cells.get(place, ("_", "_")), "\n"])


def _list_cells(
    document: Document, words: _Words
) -> tuple[dict[tuple[int, int], tuple[str, str]], dict[tuple[int, int], set[tuple[int, int]]]]:
    """The two cells of each annotated word or part of a word, and the annotated parts of each word."""
    pieces = [words.pieces(span) for span in document.spans]
    n_at = Counter(place for group in pieces for place in group)
    entries: dict[tuple[int, int], list[tuple[str, str]]] = {}
    parts: dict[tuple[int, int], set[tuple[int, int]]] = {}
    number = 0
    matches = Structure.of(document).match(document.spans)
    for span, places, annotation in zip(document.spans, pieces, matches, strict=True):
        identifier = annotation.infons.get(_IDENTIFIER) if annotation else None
        mark = ""
        # Annotations of several words, and several of one word, are told apart by a number.
        if len(places) > 1 or any(n_at[place] > 1 for place in places):
            number += 1
            mark = f"[{number}]"
        first = _escape(identifier, _VALUE_ESCAPES) if isinstance(identifier, str) and identifier else "*"
        for place, word in places.items():
            entries.setdefault(place, []).append((first + mark, _escape(span.label, _VALUE_ESCAPES) + mark))
            if place != word:
                parts.setdefault(word, set()).add(place)
    cells = {
        place: ("|".join(first for first, _ in values), "|".join(second for _, second in values))
        for place, values in entries.items()
    }
    return cells, parts


def _refusal(document: Document) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    words = _Words.of(document.text)
    for (start, _), group in zip(words.sentences, words.words, strict=True):
        if not group or document.text[start : group[0][0]].strip():
            return "a text without words, or a line that begins with something else"
    for span in document.spans:
        subject = f"the span {span.start}..{span.end} ({span.label!r})"
        places = [*words.pieces(span)]
        if not places or (places[0][0], places[-1][1]) != (span.start, span.end):
            return f"{subject}, which begins or ends outside of words"
    return None


_LAYOUT = FileLayout("WebAnno TSV", ".tsv", _lines, _refusal)


# --- Escapes


def _escape(text: str, escapes: dict[str, str]) -> str:
    pattern = "|".join(map(re.escape, escapes))
    return re.sub(pattern, lambda match: escapes[match[0]], text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: {"t": "\t", "n": "\n"}.get(match[1], match[1]), text)


def _unescape_text(text: str) -> str:
    signs = {escape: sign for sign, escape in _TEXT_ESCAPES.items()}
    return _ESCAPED.sub(lambda match: signs.get(match[0], match[0]), text)

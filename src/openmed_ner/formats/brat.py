r"""Brat standoff: the text in ``x.txt``, its annotations in ``x.ann`` (BioNLP shared tasks: ``x.a1``).

``T1\tDisease 0 5;9 14\tacute fever`` is a mention, here with two fragments. ``A1\tnegated T1`` and
``A2\tCertainty T1 low`` are its attributes. Relations, events and their attributes, normalisations,
equivalences and notes are checked for their shape, kept as lines in the structure of the document
(:mod:`openmed_ner.formats.structure`) and written back, except for those about a mention that was removed.
Identifiers of mentions are written as normalisations (:mod:`openmed_ner.formats.brat_normalisations`). Of
``meta``, nothing else is written. Brat has no place for the score and the corpus of a span, or for attributes
with blanks. They go into a note of our own, ``#1\tOpenMedNER T1\t{"score": 0.98, "corpus": "x"}``, which brat
shows and does not change.

Brat stores a mention that crosses a line end as fragments, one per line. Fragments with only white space
between them that holds a line end are read as one.

Texts are read and written byte for byte. A byte order mark at the start of a text stays, since brat counts it
as a character; at the start of annotations it is dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from openmed_ner.errors import AnnotationError, CorpusFormatError, InputError, UnrepresentableError
from openmed_ner.formats.attributes import Attributes, parse_attributes, parse_evidence, write_evidence
from openmed_ner.formats.brat_normalisations import read_normalisations, renew_normalisations
from openmed_ner.formats.file_names import decode_name, encode_name
from openmed_ner.formats.files import advise_encoding, describe_byte, list_files, make_folder
from openmed_ner.formats.structure import Annotation, Structure, new_names, select_annotations, surviving
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad, excerpt, fail
from openmed_ner.text import Document, Span

_Value = TypeVar("_Value")
SUFFIXES = (".ann", ".a1")
_NOTE_TYPE = "OpenMedNER"
_EDGES = "[0-9]{1,18} [0-9]{1,18}"
_MENTION = re.compile(rf"(T\S+)\t(\S+) ({_EDGES}(?:;{_EDGES})*)\t(.*)", re.DOTALL)
_NOTE = re.compile(rf"#\S*\t{_NOTE_TYPE} (\S+)\t(.*)", re.DOTALL)
_ATTRIBUTE = re.compile(r"A\S+\t(\S+) (T\S+)(?:\s(.*))?", re.DOTALL)
_OTHER = re.compile(r"(?:[REAMN]\S+|#\S*|\*)\t\S.*", re.DOTALL)
_MAX_NAME = 240
"""Longest file name without suffix, in bytes: file systems take 255, and ``.ann.partial`` is 12."""


def read_brat(path: Path, *, on_bad: OnBad = fail) -> Iterator[Document]:
    """Yield the documents of a folder and its subfolders, or of one ``.txt``, ``.ann`` or ``.a1`` file.

    Ids are paths relative to the folder, without suffix and percent-decoded; documents come in the order of
    these paths. A bad document or annotation is handed to ``on_bad``, and the next one follows.

    Raises:
        InputError: a file cannot be opened, or a folder holds no brat files.
        CorpusFormatError: a text has no annotations or two files of them, or annotations have no text.
        AnnotationError: a line of annotations is not brat standoff, or does not fit its text.
    """
    folder, names = (path, _find_names(path)) if path.is_dir() else (path.parent, [_cut_suffix(path.name)])
    if not names:
        raise InputError(f"{folder}: no .txt found with {' or '.join(SUFFIXES)} beside it")
    for name in names:
        try:
            text, annotations = _find_pair(folder, name)
            contents = _read_text(text), _read_text(annotations)
            document = parse_brat(
                *contents, id=_decode_name(text, name), source=str(annotations), on_bad=on_bad
            )
        except InputError as error:
            on_bad(error)
        else:
            yield document


def parse_brat(text: str, annotations: str, *, id: str, source: str, on_bad: OnBad = fail) -> Document:
    """Build a document from the contents of both files; annotations that are bad go to ``on_bad``.

    Raises:
        AnnotationError: a line is not brat standoff, or its mention differs from the text at its offsets.
            Blanks, tabs and line breaks count as equal, since brat writes blanks for all of them.
    """
    spans: dict[str, Span] = {}
    notes: dict[str, tuple[int, str]] = {}
    attributes: list[tuple[int, re.Match[str]]] = []
    others: list[str] = []
    for number, line in enumerate(annotations.removeprefix("\ufeff").split("\n"), start=1):
        content = line.removesuffix("\r")
        if not content.strip():
            continue

        with _reporting(f"{source}, line {number}", on_bad):
            if mention := _MENTION.fullmatch(content):
                _add(spans, mention[1], _read_mention(mention, text))
            elif note := _NOTE.fullmatch(content):
                _add(notes, note[1], (number, note[2]))
            elif attribute := _ATTRIBUTE.fullmatch(content):
                attributes.append((number, attribute))
            elif _OTHER.fullmatch(content):
                others.append(content)
            else:
                raise ValueError(f"expected 'T1<tab>Label start end<tab>mention', found {excerpt(content)}")

    # Notes and attributes may precede the mention that they are about, so they are applied last.
    for name, (number, content) in notes.items():
        with _reporting(f"{source}, line {number}: {_NOTE_TYPE} note on {name}", on_bad):
            spans[name] = _read_note(spans.get(name), content)
    for number, match in attributes:
        with _reporting(f"{source}, line {number}: attribute {match[1]} of {match[2]}", on_bad):
            # A binary attribute has no value: its line says that it holds.
            value = (match[3] or "").strip() or True
            spans[match[2]] = _add_attributes(spans.get(match[2]), ((match[1], value),))

    members = {name for line in others for name in _list_members(line)}
    infons = read_normalisations(others)
    named = [Annotation(span.key, name, infons.get(name, {})) for name, span in spans.items()]
    structure = Structure(annotations=select_annotations(named, members), lines=tuple(others))
    return structure.attach(Document(id, text, tuple(spans.values())))


def write_brat(documents: Iterable[Document], folder: Path, *, on_bad: OnBad = fail) -> None:
    """Write ``.txt`` and ``.ann`` of each document; the percent-encoded id is the name of the files.

    Refused documents go to ``on_bad``.

    Raises:
        InputError: the folder or a file cannot be written, or a file exists.
        UnrepresentableError: an id is empty, too long for a file name or duplicate; a label has white space;
            or a string has half of a surrogate pair.
    """
    names: set[str] = set()
    make_folder(folder)

    for document in documents:
        if reason := _refusal(document, names):
            on_bad(UnrepresentableError(f"document {document.id!r}: brat cannot hold {reason}"))
            continue

        name = encode_name(document.id)
        names.add(name)
        try:
            _write_pair(folder, name, document)
        except OSError as error:
            raise InputError(f"{error.filename or folder}: cannot be written: {error.strerror}") from error


# --- Files


def _find_names(folder: Path) -> list[str]:
    """List texts and annotations by path relative to the folder, without suffix."""
    files = (path for path in list_files(folder) if path.suffix.lower() in (".txt", *SUFFIXES))
    return sorted({_cut_suffix(path.relative_to(folder).as_posix()) for path in files})


def _cut_suffix(name: str) -> str:
    for suffix in (".txt", *SUFFIXES):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    raise InputError(f"{name}: expected a folder, or a file ending in .txt, {' or '.join(SUFFIXES)}")


def _find_pair(folder: Path, name: str) -> tuple[Path, Path]:
    text = _with_suffix(folder, name, ".txt")
    annotations = [path for suffix in SUFFIXES if (path := _with_suffix(folder, name, suffix)).is_file()]
    if not text.is_file():
        raise CorpusFormatError(
            f"{(annotations or [text])[0]}: {text.name} not found beside it; add the text"
        )
    if len(annotations) != 1:
        names = " and ".join(path.name for path in annotations) or "no annotations"
        empty = f"add an empty {name.rpartition('/')[2]}.ann for a text without entities"
        raise CorpusFormatError(
            f"{text}: expected one of {' or '.join(SUFFIXES)} beside it, found {names}; "
            f"{'keep one of them' if annotations else empty}"
        )
    return text, annotations[0]


def _with_suffix(folder: Path, name: str, suffix: str) -> Path:
    """Return the file with a suffix in small letters, or else in capitals."""
    path = folder / f"{name}{suffix}"
    capital = folder / f"{name}{suffix.upper()}"
    return capital if capital.is_file() and not path.is_file() else path


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        number = content.count(b"\n", 0, error.start) + 1
        raise CorpusFormatError(
            f"{path}, line {number}: not UTF-8: {describe_byte(error)}. {advise_encoding(content)}"
        ) from error


def _write_pair(folder: Path, name: str, document: Document) -> None:
    """Write both files under other names first, so that an interruption leaves no half-written file.

    ``storage.atomic_path`` would add a process number to the name, for which a long id leaves no room.
    """
    contents = {".txt": document.text, ".ann": "".join(_lines(document))}
    for suffix in contents:
        if (path := folder / f"{name}{suffix}").exists():
            raise InputError(f"{path} exists; write to another folder")
    for suffix, content in contents.items():
        (folder / f"{name}{suffix}.partial").write_bytes(content.encode())
    for suffix in contents:
        (folder / f"{name}{suffix}.partial").replace(folder / f"{name}{suffix}")


def _decode_name(path: Path, name: str) -> str:
    """Decode the id from a file name."""
    # Python reads file names that are not UTF-8 with lone surrogates.
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CorpusFormatError(f"{path!a}: the file name is not UTF-8; rename it") from error
    return decode_name(name)


# --- Lines


@contextmanager
def _reporting(place: str, on_bad: OnBad) -> Iterator[None]:
    """Hand the error of an annotation to ``on_bad``, with its place."""
    try:
        yield
    except (ValueError, RecursionError) as error:
        on_bad(AnnotationError(f"{place}: {error}"))


def _add(entries: dict[str, _Value], name: str, value: _Value) -> None:
    if name in entries:
        raise ValueError(f"duplicate {name}")
    entries[name] = value


def _read_mention(line: re.Match[str], text: str) -> Span:
    fragments = [(int(start), int(end)) for start, end in (pair.split(" ") for pair in line[3].split(";"))]
    start, end = fragments[0][0], fragments[-1][1]
    span = Span(start, end, line[2], fragments=tuple(fragments) if len(fragments) > 1 else ())
    mention = Document("", text, (span,)).mention(span)
    if _blank(mention) != _blank(line[4]):
        raise ValueError(f"characters {line[3]} are {mention!r}, but the line has {line[4]!r}")
    joined = _join_lines(fragments, text)
    return replace(span, fragments=tuple(joined) if len(joined) > 1 else ())


def _join_lines(fragments: list[tuple[int, int]], text: str) -> list[tuple[int, int]]:
    """Join fragments that only a line end and white space separate."""
    joined = fragments[:1]
    for start, end in fragments[1:]:
        gap = text[joined[-1][1] : start]
        if not gap.strip() and re.search("[\r\n]", gap):
            start = joined.pop()[0]
        joined.append((start, end))
    return joined


def _list_members(line: str) -> list[str]:
    """The names that may refer to other lines: in a relation, an event, a note and so on."""
    return re.split("[ :]", line.split("\t")[1])


def _add_attributes(span: Span | None, attributes: Attributes) -> Span:
    if span is None:
        raise ValueError("no such mention")
    merged = dict(span.attributes)
    for name, value in attributes:
        if merged.setdefault(name, value) != value:
            raise ValueError(f"found {value!r}, but an earlier line has {merged[name]!r}; keep one of them")
    return replace(span, attributes=tuple(sorted(merged.items())))


def _read_note(span: Span | None, content: str) -> Span:
    record = json.loads(content)
    if not isinstance(record, dict) or not record.keys() <= {"score", "corpus", "attributes", "evidence"}:
        raise ValueError(
            'expected a JSON object of "score", "corpus", "attributes" and "evidence", found '
            f"{excerpt(content)}"
        )

    score, corpus = record.get("score"), record.get("corpus")
    if (
        isinstance(score, bool)
        or not isinstance(score, int | float | None)
        or not isinstance(corpus, str | None)
    ):
        raise ValueError(f"expected a number as score and a string as corpus, found {excerpt(content)}")

    (corpus or "").encode()  # half of a surrogate pair is not a character
    span = _add_attributes(span, parse_attributes(record.get("attributes", {})))
    return replace(span, score=score, corpus=corpus, evidence=parse_evidence(record.get("evidence")))


def _lines(document: Document) -> Iterator[str]:
    names, others = _restore(document)
    used = {line.split("\t")[0] for line in others}
    n_lines = [sum(_fits_line(*pair) for pair in span.attributes) for span in document.spans]
    attribute_names = iter(new_names("A", used, sum(n_lines)))
    note_names = new_names("#", used, len(document.spans))

    for span, name, note_name in zip(document.spans, names, note_names, strict=True):
        edges = ";".join(f"{start} {end}" for start, end in span.fragments or ((span.start, span.end),))
        yield f"{name}\t{span.label} {edges}\t{_blank(document.mention(span))}\n"

        noted = {key: value for key, value in span.attributes if not _fits_line(key, value)}
        for key, value in span.attributes:
            if key not in noted:
                yield f"{next(attribute_names)}\t{key} {name}{'' if value is True else f' {value}'}\n"

        note = {
            **({} if span.score is None else {"score": float(span.score)}),
            **({} if span.corpus is None else {"corpus": span.corpus}),
            **({"attributes": noted} if noted else {}),
            **write_evidence(span.evidence),
        }
        if note:
            yield f"{note_name}\t{_NOTE_TYPE} {name}\t{json.dumps(note)}\n"

    for line in renew_normalisations(document, names, others):
        yield f"{line}\n"


def _restore(document: Document) -> tuple[list[str], list[str]]:
    """Name the mentions as in the source, and return its other lines about them; other formats have none."""
    structure = Structure.of(document)
    lines = [line for line in structure.lines if _is_other(line)]
    names = structure.name_spans(document.spans)
    if not lines or len({*names}) < len(names) or not all(re.fullmatch(r"T\S+", name) for name in names):
        return new_names("T", (), len(document.spans)), []

    removed = {annotation.id for annotation in structure.annotations} - {*names}
    entries = [(line.split("\t")[0], {*_list_members(line)}) for line in lines]
    return names, [lines[index] for index in surviving(entries, removed)]


def _is_other(line: str) -> bool:
    """Return whether a line is neither a mention nor an attribute or a note of ours."""
    is_known = _NOTE.fullmatch(line) or _ATTRIBUTE.fullmatch(line) or "\n" in line or line.endswith("\r")
    return bool(_OTHER.fullmatch(line)) and not is_known


def _fits_line(name: str, value: str | bool) -> bool:
    """Return whether an ``A`` line can hold an attribute: it has no place for blanks, nor for false."""
    written = "true" if value is True else value or ""
    return all(re.fullmatch(r"\S+", word) for word in (name, written))


def _blank(mention: str) -> str:
    """Replace each white space character of a mention by a blank, as brat does."""
    return re.sub(r"\s", " ", mention)


def _refusal(document: Document, names: set[str]) -> str | None:
    """Return the reason why a document cannot be written; ``None`` if it can."""
    strings = [document.id, document.text]
    for span in document.spans:
        strings += [span.label, span.corpus or "", *(str(word) for pair in span.attributes for word in pair)]
    if any(LONE_SURROGATE.search(string) for string in strings):
        return "half of a surrogate pair"

    name = encode_name(document.id)
    if not 0 < len(name) <= _MAX_NAME:
        return f"this id: its file name would have {len(name)} characters, expected 1 to {_MAX_NAME}"
    if name in names:
        return "two documents with this id"

    for span in document.spans:
        if not re.fullmatch(r"\S+", span.label):
            return f"the label {span.label!r}, which has white space"
    return None

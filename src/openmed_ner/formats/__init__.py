"""File formats: a module each, reader beside writer, and a row each in :mod:`openmed_ner.formats.registry`.

A reader takes an open text file and yields documents one by one; a writer takes documents and an open text
file. Formats of more than one file take a path instead. Files are UTF-8 without newline translation, so that
offsets stay true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from openmed_ner.errors import AnnotationError, InputError
from openmed_ner.formats.detection import choose_format
from openmed_ner.formats.files import note_document, open_text
from openmed_ner.formats.registry import (
    FOLDER_WRITERS,
    FORMATS,
    LINEWISE,
    PASSAGE_FORMATS,
    PATH_READERS,
    READERS,
    REGISTRY,
    SUFFIXES,
    TEXTLESS,
    WRITERS,
    Format,
    detect_format,
    infer_format,
    infer_written_format,
    tagged_writers,
)
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.storage import atomic_file, check_uncompressed
from openmed_ner.text import Document

__all__ = [
    "FOLDER_WRITERS",
    "FORMATS",
    "LINEWISE",
    "PASSAGE_FORMATS",
    "PATH_READERS",
    "READERS",
    "REGISTRY",
    "SUFFIXES",
    "TEXTLESS",
    "WRITERS",
    "Format",
    "detect_format",
    "infer_format",
    "infer_written_format",
    "open_text",
    "read_documents",
    "read_valid_documents",
    "tagged_writers",
    "write_documents",
]


def read_documents(
    path: str | Path,
    *,
    format: str | None = None,
    source: str | None = None,
    on_bad: OnBad = fail,
    on_open: Callable[[TextIO], None] = lambda file: None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Document]:
    """Yield the documents of a file, or of a folder if the format is one of folders.

    Args:
        path: the file or folder.
        format: one of ``FORMATS``; chosen by the content and the name of the file if ``None``.
        source: name of the file in messages and document ids; its path if ``None``.
        on_bad: called with the error of each bad record, if the reader can continue after one.
        on_open: called with the open file, whose position shows the progress of reading.
        options: options of the format, such as ``sections`` of full-text articles.

    Raises:
        InputError: the file cannot be opened, or the format is unknown.
        CorpusFormatError: the file does not follow the format.
    """
    if format is not None and format not in FORMATS:
        raise InputError(f"unknown input format {format!r}; known: {', '.join(FORMATS)}")
    path = Path(path)
    if format in PATH_READERS:
        if path.suffix.lower() == ".gz" and path.is_file():
            raise InputError(f"{path}: format {format} is several files, which cannot be compressed into one")
        yield from PATH_READERS[format](path, on_bad=on_bad)
        return
    name = choose_format(path, format=format, source=source)

    tolerant = on_bad is not fail
    errors = "surrogateescape" if tolerant and name in LINEWISE else "strict"
    with open_text(path, errors=errors) as file:
        on_open(file)
        for document in READERS[name](file, source=source or str(path), on_bad=on_bad, **(options or {})):
            yield document
            note_document(file)


def read_valid_documents(
    path: str | Path,
    *,
    format: str | None = None,
    on_invalid: Callable[[InputError, Document | None], None],
    options: Mapping[str, Any] | None = None,
) -> Iterator[Document]:
    """Yield the documents of a file or folder that have no bad annotation, and pass over bad records.

    Args:
        path: the file or folder.
        format: one of ``FORMATS``; chosen by the content and the name of the file if ``None``.
        on_invalid: called with the first error of what is left out, and with the document if it can be read.
        options: options of the format.

    Raises:
        InputError, CorpusFormatError: as for :func:`read_documents`, where the reader cannot continue.
    """
    problems: list[AnnotationError] = []

    def note(error: InputError) -> None:
        if isinstance(error, AnnotationError):
            problems.append(error)
        else:
            on_invalid(error, None)

    # A reader reports the bad annotations of a document right before it.
    for document in read_documents(path, format=format, on_bad=note, options=options):
        if problems:
            on_invalid(problems[0], document)
            problems.clear()
        else:
            yield document


def write_documents(documents: Iterable[Document], path: str | Path, *, format: str | None = None) -> None:
    """Write documents to a file, or to a folder if the format is one of folders.

    Args:
        documents: documents to write; a file appears once all of them are written.
        path: the file or folder; its parent must exist.
        format: one of ``WRITERS`` or ``FOLDER_WRITERS``; inferred from the file name if ``None``.

    Raises:
        InputError: the format is unknown or cannot be written, or the name ends in ``.gz``.
        UnrepresentableError: the format has no place for what a document holds.
    """
    path = Path(path)
    name = format or infer_written_format(path) or detect_format(path)
    if name in FOLDER_WRITERS:
        FOLDER_WRITERS[name](documents, path)
    elif name in WRITERS:
        check_uncompressed(path)
        with atomic_file(path) as file:
            WRITERS[name](documents, file)
    else:
        raise InputError(
            f"format {name!r} cannot be written; expected one of {', '.join([*WRITERS, *FOLDER_WRITERS])}"
        )

"""Formats that are a folder with a file per document, named after the percent-encoded id."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from openmed_ner.errors import InputError, UnrepresentableError
from openmed_ner.formats.file_names import encode_name
from openmed_ner.formats.files import make_folder
from openmed_ner.formats.tolerance import LONE_SURROGATE, OnBad
from openmed_ner.text import Document

_MAX_NAME = 240
"""Longest file name without suffix, in bytes."""


@dataclass(frozen=True, slots=True)
class FileLayout:
    """The layout of the file of a document.

    Attributes:
        title: name of the format, for messages.
        suffix: suffix of the files.
        lines: function that gives the lines of a document.
        refusal: function that gives the reason why the format cannot hold a document, ``None`` if it can.
    """

    title: str
    suffix: str
    lines: Callable[[Document], Iterable[str]]
    refusal: Callable[[Document], str | None]


def write_files(documents: Iterable[Document], folder: Path, layout: FileLayout, on_bad: OnBad) -> None:
    """Write a file per document into a folder.

    Args:
        documents: documents to write.
        folder: folder, which is made.
        layout: layout of the files.
        on_bad: called with the error of each document that the format cannot hold.

    Raises:
        InputError: the folder or a file cannot be written, or a file exists.
    """
    names: set[str] = set()
    make_folder(folder)
    for document in documents:
        if reason := _refusal(document, names) or layout.refusal(document):
            on_bad(UnrepresentableError(f"document {document.id!r}: {layout.title} cannot hold {reason}"))
            continue
        names.add(name := encode_name(document.id))
        path = folder / f"{name}{layout.suffix}"
        try:
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.writelines(layout.lines(document))
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error.strerror}") from error


def _refusal(document: Document, names: set[str]) -> str | None:
    """Return the reason why no file of this kind can hold a document."""
    strings = [document.id, document.text, *(span.label for span in document.spans)]
    if any(LONE_SURROGATE.search(string) for string in strings):
        return "half of a surrogate pair"
    if not 0 < len(name := encode_name(document.id)) <= _MAX_NAME or name in names:
        return "this id, which is empty, too long for a file name or a duplicate"
    for span in document.spans:
        if span.fragments:
            return f"the span {span.start}..{span.end} ({span.label!r}), which is discontinuous"
    return None

"""File formats: one module each, reader beside writer.

A reader takes an open text file and yields documents one by one; a writer takes documents and an
open text file. Formats that are more than one file take a path instead (``PATH_READERS``,
``FOLDER_WRITERS``). Files are UTF-8 without newline translation, so that offsets stay true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from openmed_ner.errors import InputError
from openmed_ner.formats.bioc import read_bioc, read_bioc_json, read_bioc_xml, write_bioc_json, write_bioc_xml
from openmed_ner.formats.brat import read_brat, write_brat
from openmed_ner.formats.conll import read_conll, write_conll
from openmed_ner.formats.csv import read_csv, write_csv
from openmed_ner.formats.files import note_document, open_text
from openmed_ner.formats.html import write_html
from openmed_ner.formats.jsonl import read_jsonl, write_jsonl
from openmed_ner.formats.mmax import read_mmax
from openmed_ner.formats.pairs import read_bc2gm_files, read_chemdner_files
from openmed_ner.formats.plain import read_plain
from openmed_ner.formats.pubtator import read_pubtator, write_pubtator
from openmed_ner.formats.tolerance import OnBad, fail
from openmed_ner.text import Document

__all__ = [
    "FOLDER_WRITERS",
    "FORMATS",
    "LINEWISE",
    "PATH_READERS",
    "READERS",
    "SUFFIXES",
    "WRITERS",
    "detect_format",
    "open_text",
    "read_documents",
    "tagged_writers",
]

READERS: dict[str, Callable[..., Iterator[Document]]] = {
    "text": read_plain,
    "jsonl": read_jsonl,
    "csv": read_csv,
    "conll": read_conll,
    "conll-lenient": partial(read_conll, repair="conlleval"),
    "pubtator": read_pubtator,
    "bioc": read_bioc,
    "bioc-xml": read_bioc_xml,
    "bioc-json": read_bioc_json,
}
PATH_READERS: dict[str, Callable[[Path], Iterator[Document]]] = {
    "brat": read_brat,
    "bc2gm": read_bc2gm_files,
    "chemdner": read_chemdner_files,
    "mmax": read_mmax,
}
FORMATS = (*READERS, *PATH_READERS)
"""Every format that can be read."""
LINEWISE = ("jsonl", "pubtator")
"""Formats whose readers can pass over a line that is not UTF-8, if it comes with surrogates for its bytes."""
WRITERS: dict[str, Callable[..., None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "conll": write_conll,
    "pubtator": write_pubtator,
    "bioc-xml": write_bioc_xml,
    "bioc-json": write_bioc_json,
    "html": write_html,
}


def tagged_writers(*, attributes: bool = False) -> dict[str, Callable[..., None]]:
    """The writers for what a tagger found, whatever white space its text has.

    Where a format has no place for scores, corpora or line breaks, they are left out and blanks stand in:
    the entities are wanted, and their offsets stay true.

    Args:
        attributes: whether spans may have attributes, for which CSV needs a column.
    """
    return {
        **WRITERS,
        "conll": partial(write_conll, exact=False),
        "csv": partial(write_csv, attributes=attributes),
        "pubtator": partial(write_pubtator, exact=False),
    }


FOLDER_WRITERS: dict[str, Callable[..., None]] = {"brat": write_brat}
SUFFIXES = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".conll": "conll",
    ".iob2": "conll",
    ".tsv": "conll",
    ".pubtator": "pubtator",
    ".xml": "bioc-xml",
    ".json": "bioc-json",
}


def detect_format(path: Path) -> str:
    """Tell a file's format from its name without ``.gz``; whatever is unknown counts as plain text."""
    packed = path.suffix.lower() == ".gz"
    return SUFFIXES.get((path.with_suffix("") if packed else path).suffix.lower(), "text")


def read_documents(
    path: Path,
    *,
    format: str | None = None,
    source: str | None = None,
    on_bad: OnBad = fail,
    on_open: Callable[[TextIO], None] = lambda file: None,
) -> Iterator[Document]:
    """Yield the documents of a file, or of a folder if the format is one of folders.

    Args:
        path: the file or folder.
        format: one of ``FORMATS``; told from the file's name if ``None``.
        source: what to call the file in messages and document ids; its path if ``None``.
        on_bad: told of each bad record, if it is one of a format whose readers can go on after one.
        on_open: given the open file, whose position tells how much of it is read.

    Raises:
        InputError: the file cannot be opened, or the format is unknown.
        CorpusFormatError: the file does not follow the format.
    """
    name = format or detect_format(path)
    if name in PATH_READERS:
        if path.suffix.lower() == ".gz" and path.is_file():
            raise InputError(f"{path}: format {name} is several files, which cannot be compressed into one")
        yield from PATH_READERS[name](path)
        return
    if name not in READERS:
        raise InputError(f"unknown input format {name!r}; known: {', '.join(FORMATS)}")
    tolerant = on_bad is not fail
    errors = "surrogateescape" if tolerant and name in LINEWISE else "strict"
    with open_text(path, errors=errors) as file:
        on_open(file)
        for document in READERS[name](file, source=source or str(path), on_bad=on_bad):
            yield document
            note_document(file)

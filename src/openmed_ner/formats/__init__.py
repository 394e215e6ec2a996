"""File formats: one module each, reader beside writer.

A reader takes an open text file and yields documents one by one; a writer takes documents and an
open text file. Formats that are more than one file take a path instead (``PATH_READERS``,
``FOLDER_WRITERS``). Files are UTF-8 without newline translation, so that offsets stay true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

from openmed_ner.errors import InputError
from openmed_ner.formats.bioc import read_bioc, read_bioc_json, read_bioc_xml, write_bioc_json, write_bioc_xml
from openmed_ner.formats.brat import read_brat, write_brat
from openmed_ner.formats.conll import read_conll, write_conll
from openmed_ner.formats.csv import read_csv, write_csv
from openmed_ner.formats.files import open_text
from openmed_ner.formats.html import write_html
from openmed_ner.formats.jsonl import read_jsonl, write_jsonl
from openmed_ner.formats.mmax import read_mmax
from openmed_ner.formats.pairs import read_bc2gm_files, read_chemdner_files
from openmed_ner.formats.plain import read_plain
from openmed_ner.formats.pubtator import read_pubtator, write_pubtator
from openmed_ner.text import Document

__all__ = [
    "FOLDER_WRITERS",
    "FORMATS",
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
WRITERS: dict[str, Callable[[Iterable[Document], TextIO], None]] = {
    "jsonl": write_jsonl,
    "csv": write_csv,
    "conll": write_conll,
    "pubtator": write_pubtator,
    "bioc-xml": write_bioc_xml,
    "bioc-json": write_bioc_json,
    "html": write_html,
}


def tagged_writers(*, attributes: bool = False) -> dict[str, Callable[[Iterable[Document], TextIO], None]]:
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


FOLDER_WRITERS: dict[str, Callable[[Iterable[Document], Path], None]] = {"brat": write_brat}
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
    """Tell a file's format from its name; whatever is unknown counts as plain text."""
    return SUFFIXES.get(path.suffix.lower(), "text")


def read_documents(path: Path, *, format: str | None = None, source: str | None = None) -> Iterator[Document]:
    """Yield the documents of a file, or of a folder if the format is one of folders.

    Args:
        path: the file or folder.
        format: one of ``FORMATS``; told from the file's name if ``None``.
        source: what to call the file in messages and document ids; its path if ``None``.

    Raises:
        InputError: the file cannot be opened, or the format is unknown.
        CorpusFormatError: the file does not follow the format.
    """
    name = format or detect_format(path)
    if name in PATH_READERS:
        yield from PATH_READERS[name](path)
        return
    if name not in READERS:
        raise InputError(f"unknown input format {name!r}; known: {', '.join(FORMATS)}")
    with open_text(path) as file:
        yield from READERS[name](file, source=source or str(path))

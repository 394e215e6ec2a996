"""``openmed-ner tag``: entities of files, folders or standard input."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, TextIO

import typer

from openmed_ner.cli.output import complain, open_output, write_table
from openmed_ner.enrich import STEPS
from openmed_ner.enrich import apply as enrich
from openmed_ner.errors import CorpusFormatError, InputError
from openmed_ner.formats import (
    FOLDER_WRITERS,
    FORMATS,
    PATH_READERS,
    READERS,
    SUFFIXES,
    WRITERS,
    read_documents,
)
from openmed_ner.formats.conll import write_conll
from openmed_ner.formats.csv import write_csv
from openmed_ner.formats.pubtator import write_pubtator
from openmed_ner.text import Document

STDIN = Path("-")
_TARGETS: dict[str, Callable[[Iterable[Document], TextIO], None]] = {
    "table": write_table,
    **WRITERS,
    # Whatever white space a text has, its entities are wanted: blanks stand in, offsets stay true.
    "conll": partial(write_conll, exact=False),
    "pubtator": partial(write_pubtator, exact=False),
    "csv": partial(write_csv, attributes=True),
}
_FORMATS = (*_TARGETS, *FOLDER_WRITERS)


def tag(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Files or folders; - or nothing reads standard input.")
    ] = None,
    source: Annotated[
        str, typer.Option("--from", help=f"Input format: auto, {', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "auto",
    target: Annotated[
        str, typer.Option("--to", help=f"Output format: {', '.join(_FORMATS)}.", metavar="FORMAT")
    ] = "table",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Write to this file (brat: folder), not to standard output."),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Folder of the bundle, or of a suite of them; the embedded one by default."),
    ] = None,
    corpora: Annotated[
        str | None, typer.Option(help="Heads to use, separated by commas; all by default.")
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            help="Entity types to keep, separated by commas; all by default. "
            "The layers of a type become one, unless --corpora names layers."
        ),
    ] = None,
    threshold: Annotated[float, typer.Option(help="Lowest score to keep, 0 to 1.")] = 0.0,
    add: Annotated[
        str | None,
        typer.Option(help=f"Add attributes to entities: {', '.join(STEPS)}, separated by commas."),
    ] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Processor threads; all by default.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Batches computed at the same time; one per thread by default.")
    ] = None,
) -> None:
    """Find biomedical entities in text.

    A file that cannot be read is reported and the others are still tagged; the exit status is then 2.
    """
    if source != "auto" and source not in FORMATS:
        raise InputError(f"unknown input format {source!r}; known: auto, {', '.join(FORMATS)}")
    if target not in _FORMATS:
        raise InputError(f"unknown output format {target!r}; known: {', '.join(_FORMATS)}")
    if target in FOLDER_WRITERS and output is None:
        raise InputError(f"--to {target} writes a folder; name it with --output")
    inputs = list(_iter_files(files or [STDIN], whole=source in PATH_READERS))
    if not files and sys.stdin.isatty():
        raise InputError("nothing to tag: name a file or a folder, or pipe text in")

    from openmed_ner.inference.tagger import Tagger

    tagger = Tagger.load(bundle, threads=threads, workers=workers)
    problems: list[InputError] = []
    documents = _iter_documents(inputs, None if source == "auto" else source, problems)
    tagged = tagger.pipe(documents, corpora=_split(corpora), types=_split(types), threshold=threshold)
    tagged = enrich(tagged, _split(add) or [])
    if target in FOLDER_WRITERS and output is not None:
        FOLDER_WRITERS[target](tagged, output)
    else:
        with open_output(output) as file:
            _TARGETS[target](tagged, file)
    if problems:
        raise typer.Exit(2)


def _split(names: str | None) -> list[str] | None:
    return None if names is None else [name.strip() for name in names.split(",") if name.strip()]


def _iter_files(paths: Sequence[Path], *, whole: bool) -> Iterator[tuple[Path, str]]:
    """Yield each file to read with its name in the output.

    Folders are searched for known suffixes, unless the format reads them as a ``whole``.

    Raises:
        InputError: a path does not exist, or a folder holds nothing to read.
    """
    for path in paths:
        if path == STDIN and whole:
            raise InputError("this format is more than one file, and cannot be read from standard input")
        if path == STDIN or path.is_file() or (whole and path.is_dir()):
            yield path, str(path)
        elif path.is_dir():
            found = sorted(
                each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES and each.is_file()
            )
            if not found:
                raise InputError(f"{path}: no file ends in {', '.join(SUFFIXES)}")
            yield from ((each, each.relative_to(path).as_posix()) for each in found)
        else:
            raise InputError(f"{path}: no such file or folder")


def _iter_documents(
    inputs: Sequence[tuple[Path, str]], source: str | None, problems: list[InputError]
) -> Iterator[Document]:
    """Read file by file; a bad one is reported, kept in ``problems``, and the rest goes on."""
    for path, name in inputs:
        try:
            if path == STDIN:
                yield from _read_stdin(source)
            else:
                yield from read_documents(path, format=source, source=name)
        except InputError as error:
            complain(error)
            problems.append(error)


def _read_stdin(source: str | None) -> Iterator[Document]:
    sys.stdin.reconfigure(encoding="utf-8", errors="strict", newline="\n")  # type: ignore[union-attr]
    try:
        yield from READERS[source or "text"](sys.stdin, source="stdin")
    except UnicodeDecodeError as error:
        raise CorpusFormatError(f"stdin: not UTF-8: byte 0x{error.object[error.start]:02x}") from error

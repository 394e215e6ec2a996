"""``openmed-ner report``: a summary of tagged documents, as a page and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from openmed_ner.cli.options import INPUT, MOST, OUTPUT, AnyFormat
from openmed_ner.cli.output import check_outputs, complain, open_output, print_json
from openmed_ner.errors import InputError
from openmed_ner.formats import PATH_READERS, READERS, read_documents
from openmed_ner.formats.discovery import iter_files
from openmed_ner.reports import RunSummary, SummaryOptions, write_summary_page
from openmed_ner.text import Document

_SHOWN = 3
"""Messages that are shown; a file may hold thousands."""


def report(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH", help="Files or folders of tagged documents, such as JSON lines."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="PATH", help="HTML page to write.", rich_help_panel=OUTPUT),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the summary as JSON.", rich_help_panel=OUTPUT)
    ] = False,
    source_format: Annotated[
        AnyFormat,
        typer.Option("--from", help="Format of the files (default: recognised).", rich_help_panel=INPUT),
    ] = "auto",
    title: Annotated[
        str, typer.Option(metavar="TEXT", help="Heading of the page.", rich_help_panel=OUTPUT)
    ] = "Tagged documents",
    top: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="N", help="Rows of a table.", rich_help_panel=OUTPUT)
    ] = 30,
    min_documents: Annotated[
        int,
        typer.Option(
            min=1,
            max=MOST,
            metavar="N",
            help="Documents that a pair needs to be rated by its association.",
            rich_help_panel=OUTPUT,
        ),
    ] = 3,
) -> None:
    """Summarise tagged documents: types, mentions, identifiers, pairs.

    Also by year, where the source states it, and with the share of negated mentions, where context was added.
    The page contains mentions, and no other text.

    Example:
        openmed-ner report entities.jsonl -o report.html
    """
    if output is None and not as_json:
        raise InputError("name a page to write with -o, or print JSON with --json")
    check_outputs({"--output": output}, inputs=[path for path in paths if path.is_file()])

    summary = RunSummary(SummaryOptions(top=top, min_documents=min_documents))
    for document in _iter_documents(paths, None if source_format == "auto" else source_format, output):
        summary.add(document)
    if not summary.n_documents:
        raise InputError(f"no document in {', '.join(map(str, paths))}")
    record = summary.to_json()
    if not summary.n_mentions:
        complain("no document has a mention; name files that were tagged, such as those of tag --to jsonl")

    if output is not None:
        with open_output(output) as file:
            write_summary_page(file, record, title=title)
    if as_json:
        print_json(record)


def _iter_documents(paths: list[Path], format: str | None, output: Path | None) -> Iterator[Document]:
    """Yield the documents of the files; bad records are counted and passed over."""
    n_passed = n_bad = 0

    def note(error: InputError) -> None:
        nonlocal n_bad
        n_bad += 1
        if n_bad <= _SHOWN:
            complain(error)

    written = output.resolve() if output else None
    for path, _, name in iter_files(paths, format=format):
        if name is None or (name not in READERS and name not in PATH_READERS):
            n_passed += path.resolve() != written
            continue
        yield from read_documents(path, format=name, on_bad=note)
    if n_bad:
        complain(f"{n_bad} bad records or annotations are left out")
    if n_passed:
        complain(f"{n_passed} files without annotated documents are passed over")

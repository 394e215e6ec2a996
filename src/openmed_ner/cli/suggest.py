"""``openmed-ner suggest``: the documents that are most worth annotating, with the mentions a model finds."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from openmed_ner.cli.options import (
    INPUT,
    MODEL,
    MOST,
    OUTPUT,
    AnyFormat,
    Backend,
    DocumentFormat,
    IdColumn,
    TextColumn,
    Threads,
    choose_columns,
    split_names,
)
from openmed_ner.cli.output import check_outputs, check_stdout, complain, open_output, printable
from openmed_ner.cli.progress import TaggingProgress
from openmed_ner.errors import InputError
from openmed_ner.formats import FOLDER_WRITERS, FORMATS, PASSAGE_FORMATS, read_documents, tagged_writers
from openmed_ner.formats.tolerance import OnBad
from openmed_ner.inference.jobs.inputs import STDIN, Input, Skipped, find_inputs, iter_items
from openmed_ner.inference.jobs.reading import ReadingOptions
from openmed_ner.inference.jobs.receipt import JobCounts
from openmed_ner.inference.suggestion import Suggestion, suggest_documents
from openmed_ner.inference.tagger import Tagger
from openmed_ner.text import Document

TOOLS = ("label-studio", "prodigy", "doccano", "brat", "webanno", "xmi", "jsonl", "csv")
"""Formats that annotations are made in."""
if TYPE_CHECKING:
    ToolFormat = str
else:
    from typing import Literal

    ToolFormat = Literal[TOOLS]
_REASONS = 3
"""Places that the table shows for a document."""


def suggest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH", help="Files, folders or quoted patterns; - or nothing reads standard input."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, max=MOST, metavar="N", help="Number of documents.", rich_help_panel=OUTPUT)
    ] = 20,
    source: Annotated[
        AnyFormat,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Input format: auto, {', '.join(PASSAGE_FORMATS)}.",
            rich_help_panel=INPUT,
        ),
    ] = "auto",
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    without: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="Annotated documents, which are not suggested, and whose names are known (repeatable).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    without_source: Annotated[
        DocumentFormat | None,
        typer.Option(
            "--without-from",
            metavar="FORMAT",
            help=f"Format of the annotated documents: {', '.join(FORMATS)} (default: inferred from the file "
            "name).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    target: Annotated[
        ToolFormat,
        typer.Option(
            "--to", metavar="FORMAT", help=f"Output format: {', '.join(TOOLS)}.", rich_help_panel=OUTPUT
        ),
    ] = "label-studio",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Output file; a folder for brat, webanno and xmi (default: standard output).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain", help="Print a table with the reason for each document.", rich_help_panel=OUTPUT
        ),
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Folder of the model that is to become better (default: the embedded bundle).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    corpora: Annotated[
        str | None,
        typer.Option(metavar="NAMES", help="Heads to use, separated by commas.", rich_help_panel=MODEL),
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Entity types that are to be annotated, separated by commas.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    backend: Backend = None,
    threads: Threads = None,
) -> None:
    """Choose the documents that are most worth annotating.

    They are written with the mentions that the model finds, the most useful document first.

    Example:
        openmed-ner suggest notes/ --types Disease --count 30 -o tasks.json
    """
    named, columns = choose_columns(source, text=text_column, identifier=id_column)
    outputs = [output] if output else []
    inputs = find_inputs(
        files or [STDIN], format=named, outputs=outputs, options=ReadingOptions(columns=columns)
    )
    _check_output(output, target, explain=explain, inputs=inputs, without=without or [])
    labelled = chain.from_iterable(read_documents(path, format=without_source) for path in without or [])

    tagger = Tagger.load(bundle, backend=backend, threads=threads)
    problems: list[str] = []
    # On the terminal of the results, a bar would be drawn across them.
    hidden = not sys.stderr.isatty() or (output is None and sys.stdout.isatty())
    sizes = [file.size for file in inputs]
    with TaggingProgress(sizes, quiet=hidden, on_problem=problems.append) as progress:
        suggestions = suggest_documents(
            tagger,
            _iter_documents(inputs, progress),
            count=count,
            labelled=labelled,
            corpora=split_names(corpora, option="--corpora"),
            types=split_names(types, option="--types"),
            on_bad=lambda error: problems.append(str(error)),
        )
    for problem in problems:
        complain(problem)
    _write([suggestion.document for suggestion in suggestions], target, output)
    if explain:
        for line in describe_suggestions(suggestions):
            typer.echo(line)
    if len(suggestions) < count:
        complain(f"{len(suggestions)} documents suggested; there are no more that are new")
    if problems:
        raise typer.Exit(1)


def _check_output(
    output: Path | None, target: str, *, explain: bool, inputs: Sequence[Input], without: Sequence[Path]
) -> None:
    """Refuse contradictions before a model is loaded.

    Raises:
        InputError: the output needs a name, or is an input.
    """
    check_outputs({"--output": output}, inputs=[*(entry.path for entry in inputs), *without])
    if output is not None:
        return
    check_stdout()
    if target in FOLDER_WRITERS:
        raise InputError(f"--to {target} writes a folder; name it with --output")
    if explain:
        raise InputError("--explain prints a table; name a file for the documents with --output")


def _iter_documents(inputs: Sequence[Input], progress: TaggingProgress) -> Iterator[Document]:
    """Yield the documents of files, and note what cannot be read."""
    counts = JobCounts()
    for item in iter_items(inputs, on_open=progress.open):
        if isinstance(item.content, Document):
            yield item.content
            progress.count(counts)
        elif not isinstance(item.content, Skipped):
            progress.note(item.problem(item.content))


def _write(documents: Sequence[Document], target: str, output: Path | None) -> None:
    def refuse(error: InputError) -> None:
        complain(error)

    on_bad: OnBad = refuse
    if target in FOLDER_WRITERS and output is not None:
        FOLDER_WRITERS[target](documents, output, on_bad=on_bad)
        return
    with open_output(output) as file:
        tagged_writers()[target](documents, file, on_bad=on_bad)


def describe_suggestions(suggestions: Sequence[Suggestion]) -> Iterator[str]:
    """Yield a line per document: its score, its words, and the places that the model is least sure of."""
    width = max((len(printable(suggestion.document.id)) for suggestion in suggestions), default=0)
    width = min(max(width, len("document")), 40)
    yield f"{'doubt':>6}  {'words':>5}  {'places':>6}  {'document':<{width}}  least sure"
    for suggestion in suggestions:
        document, candidates = suggestion.document, suggestion.candidates
        reasons = "; ".join(
            f"{printable(document.text[place.start : place.end])} ({place.label} {place.doubt:.2f}"
            f"{'' if place.marked else ', not marked'})"
            for place in candidates[:_REASONS]
        )
        yield (
            f"{suggestion.score:>6.2f}  {len(document.text.split()):>5}  {len(candidates):>6}  "
            f"{printable(document.id)[:width]:<{width}}  {reasons or '-'}"
        )

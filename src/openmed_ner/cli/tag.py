"""``openmed-ner tag``: entities of files, folders or standard input.

Exit status: 0 everything was tagged; 1 some of it could not be, or the run failed; 2 the command line is
wrong, and nothing was begun; 130 interrupted.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.bundle.record import version
from openmed_ner.bundle.suite import bundle_digest
from openmed_ner.cli.options import (
    INPUT,
    MODEL,
    MOST,
    OUTPUT,
    SPEED,
    VOCABULARY,
    AnyFormat,
    Backend,
    BundlePath,
    DocumentDecoding,
    IdColumn,
    InferenceDevice,
    Processes,
    Species,
    TaggedFormat,
    Terminologies,
    TextColumn,
    Threads,
    WorkersOption,
    choose_columns,
    read_choices,
    read_workers,
    split_names,
)
from openmed_ner.cli.output import complain
from openmed_ner.cli.progress import TaggingProgress
from openmed_ner.cli.tag_run import Computer, Destination, Engine, Run, TaggingOptions, infer_target
from openmed_ner.errors import InputError
from openmed_ner.formats import FOLDER_WRITERS, PASSAGE_FORMATS, TEXTLESS, WRITERS
from openmed_ner.formats.sections import SECTIONS
from openmed_ner.inference.attributes import STEPS, IdentifierOptions
from openmed_ner.inference.jobs.inputs import STDIN, find_inputs, iter_items
from openmed_ner.inference.jobs.reading import ReadingOptions
from openmed_ner.inference.jobs.receipt import ERRORS, JobCounts
from openmed_ner.inference.note_hint import watch_notes
from openmed_ner.inference.tagger import Tagger, embedded_bundle


def tag(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files, folders or quoted patterns ('**/*.jsonl.gz'); - or nothing reads standard input.",
        ),
    ] = None,
    source: Annotated[
        AnyFormat,
        typer.Option(
            "--from",
            metavar="FORMAT",
            help=f"Input format: auto, {', '.join(PASSAGE_FORMATS)}. auto recognises a file by its content, "
            "then by its name.",
            rich_help_panel=INPUT,
        ),
    ] = "auto",
    target: Annotated[
        TaggedFormat | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help=f"Output format: table, summary, {', '.join((*WRITERS, *FOLDER_WRITERS))} (default: by the "
            "name of the output, else table).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Output file; a folder for brat and --shard (default: standard output).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    text: Annotated[
        bool,
        typer.Option(
            "--text/--no-text",
            help=f"Write the texts beside their entities ({', '.join(TEXTLESS)}).",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    sections: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Sections of full-text articles (JATS) to read, separated by commas: {', '.join(SECTIONS)} "
            "(default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            metavar="CODES",
            help="Languages of PubMed articles to read, separated by commas, such as eng,ger (default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    retracted: Annotated[
        bool,
        typer.Option(
            "--retracted/--no-retracted",
            help="Read PubMed articles that are retracted.",
            rich_help_panel=INPUT,
        ),
    ] = True,
    bundle: BundlePath = None,
    corpora: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Heads to use, separated by commas, each with a layer of its own (default: all heads, "
            "with one layer for each type).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    types: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Entity types to keep, separated by commas (default: the main types, or all with "
            "--corpora or --layers).",
            rich_help_panel=MODEL,
        ),
    ] = None,
    layers: Annotated[
        bool,
        typer.Option(
            "--layers",
            help="Keep a layer for each head, instead of one for each type.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    threshold: Annotated[
        float, typer.Option(metavar="P", help="Lowest score to keep, from 0 to 1.", rich_help_panel=MODEL)
    ] = 0.0,
    document_decoding: DocumentDecoding = True,
    add: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help=f"Attributes to add to entities, separated by commas: {', '.join(STEPS)}.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    terminologies: Terminologies = None,
    link: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Link mentions to your own compiled vocabulary first; repeatable.",
            rich_help_panel=VOCABULARY,
        ),
    ] = None,
    match: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH",
            help="Find the names of a compiled vocabulary, as a layer of their own; repeatable.",
            rich_help_panel=VOCABULARY,
        ),
    ] = None,
    nested: Annotated[
        bool,
        typer.Option(
            "--nested",
            help="With --match: find names within longer ones of their type, too.",
            rich_help_panel=VOCABULARY,
        ),
    ] = False,
    under: Annotated[
        str | None,
        typer.Option(
            metavar="IDS",
            help="Keep only mentions of these concepts and of concepts below them, such as MESH:D009369, "
            "separated by commas.",
            rich_help_panel=VOCABULARY,
        ),
    ] = None,
    species: Species = None,
    backend: Backend = None,
    threads: Threads = None,
    workers: WorkersOption = None,
    device: InferenceDevice = "auto",
    processes: Processes = 1,
    shard: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST,
            metavar="N",
            help="Write parts of N documents into a folder; such a run can be resumed.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the run in the folder.", rich_help_panel=OUTPUT)
    ] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write the coverage receipt to this file; --shard has its own.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Write the documents that could not be tagged to this file, as JSON lines; --shard has its "
            "own.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    engine: Annotated[
        Engine,
        typer.Option(
            help="Place of computation: this process, or a process per worker on a cluster of Ray.",
            rich_help_panel=SPEED,
        ),
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="Address of a running cluster of Ray, or auto (default: start a local one).",
            rich_help_panel=SPEED,
        ),
    ] = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Show no progress and no hint.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Find biomedical entities in text.

    Documents that cannot be tagged are reported and the others are tagged; the exit status is then 1.

    Example:
        openmed-ner tag notes/ --types Chemical,Disease --to jsonl -o entities.jsonl
    """
    # The name of a folder of parts says nothing about the format of the parts.
    target = target or infer_target(output if shard is None else None)
    named, columns = choose_columns(source, text=text_column, identifier=id_column)
    reading = ReadingOptions(
        tuple(read_choices(sections, SECTIONS, option="--sections")) if sections else None,
        _read_languages(languages),
        retracted,
        columns,
    )
    inputs = find_inputs(
        files or [STDIN],
        format=named,
        outputs=[path for path in (output, receipt, errors) if path],
        options=reading,
    )
    destination = Destination(target, output, shard, resume, receipt, errors, text)
    # Everything that can be checked without a model is checked before one is loaded, which takes longest.
    destination.check(inputs)
    computer = Computer(engine, address, backend, threads, read_workers(workers), device, processes)
    computer.check(inputs, output)
    steps = read_choices(add, tuple(STEPS), option="--add") if add is not None else []
    # Nobody types a text after this command: at a terminal, a file was forgotten.
    if not files and sys.stdin is not None and sys.stdin.isatty():
        raise InputError("nothing to tag: name a file or a folder, or pipe text in")

    options = TaggingOptions(
        split_names(corpora, option="--corpora"),
        split_names(types, option="--types"),
        layers,
        threshold,
        steps,
        document_decoding,
        IdentifierOptions(
            terminologies,
            tuple(link or ()),
            tuple(match or ()),
            nested,
            tuple(split_names(under, option="--under") or ()),
            species,
        ),
    )
    if species is not None and "identifiers" not in steps and not (link or under):
        raise InputError("--species chooses the identifiers of genes: give it with --add identifiers")

    tagger = computer.load(bundle)
    tag_documents = options.bind(tagger)
    if not quiet:
        tag_documents = watch_notes(tag_documents, tagger.corpora, complain)
    folder = bundle or embedded_bundle()
    # The version takes a while to find out, and is needed for records only.
    is_recorded = bool(shard or receipt or engine == "ray")
    record = {**options.to_json(), **reading.to_json(), "text": text}
    identity = _identify(tagger, folder, record) if is_recorded else {}

    try:
        with ExitStack() as stack:
            # In this process or on a cluster: a function that tags documents, and a reader of the inputs.
            computation = (
                computer.start_cluster(folder, options, identity)
                if engine == "ray"
                else nullcontext((tag_documents, iter_items))
            )
            tag_function, reader = stack.enter_context(computation)
            run = Run(inputs, destination, identity, tag_function, reader, options.add_attributes)

            # On the terminal of the results, a bar would be drawn across them.
            hidden = quiet or not sys.stderr.isatty() or destination.is_terminal
            sizes = [file.size for file in inputs]
            on_problem = _ignore if shard or errors else complain
            progress = stack.enter_context(
                TaggingProgress(sizes, quiet=hidden, on_problem=on_problem, on_skip=complain)
            )
            counts = run.write_parts(progress) if shard else run.write(progress)
    except KeyboardInterrupt:
        complain("interrupted" + ("; continue with --resume" if shard else ""))
        raise typer.Exit(130) from None
    listed = output / ERRORS if output and shard else errors
    as_expected = counts.documents > 0 and not counts.skipped
    _report(counts, listed, quiet=quiet or (shard is None and as_expected))


def _identify(tagger: Tagger, folder: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """Everything besides the input that decides the output."""
    bundle = {"name": tagger.manifest.name, "sha256": bundle_digest(folder), "backend": tagger.backend}
    return {"version": version(), "bundle": bundle, "options": options}


def _read_languages(codes: str | None) -> tuple[str, ...] | None:
    names = split_names(codes, option="--languages")
    for name in names or ():
        if not re.fullmatch("[A-Za-z]{3}", name):
            message = f"expected codes of three letters as PubMed has them, such as eng, found {name!r}."
            raise typer.BadParameter(message, param_hint="'--languages'")
    return tuple(map(str.lower, names)) if names else None


def _ignore(reason: str) -> None:
    """Print nothing; the problem is in the file of errors."""


def _report(counts: JobCounts, errors: Path | None, *, quiet: bool) -> None:
    """Print the result of a run on standard error, and exit with 1 if it is incomplete."""
    documents = f"{counts.documents:,} {'document' if counts.documents == 1 else 'documents'} tagged"
    passed_over = "; passed over: " if counts.skipped else ""
    passed_over += ", ".join(f"{reason} ({number:,})" for reason, number in counts.skipped.items())
    if not counts.complete:
        unread = f", {counts.unread:,} of them not to the end" if counts.unread else ""
        failed = f"{counts.errors:,} {'error' if counts.errors == 1 else 'errors'}"
        complain(f"{documents}{unread}, {failed}" + (f"; see {errors}" if errors else "") + passed_over)
        raise typer.Exit(1)
    if not quiet:
        entities = f"{counts.spans:,} {'entity' if counts.spans == 1 else 'entities'}"
        complain(f"{documents}, {entities}{passed_over}")

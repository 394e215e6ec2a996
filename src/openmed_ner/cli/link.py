"""``openmed-ner link``: identifiers of mentions that are given, alone or in documents, without a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from openmed_ner.cli.options import INPUT, OUTPUT, Species, TaggedFormat, Terminologies
from openmed_ner.cli.output import complain, open_output, printable
from openmed_ner.cli.tag_run import Destination, infer_target
from openmed_ner.errors import InputError
from openmed_ner.formats import FOLDER_WRITERS, read_documents
from openmed_ner.linking import Link, Linker, LinkingOptions, add_links
from openmed_ner.linking.species import read_species
from openmed_ner.terminologies.store import find_store
from openmed_ner.text import Document


def link(
    mentions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MENTION",
            help="Mentions. Without any, lines are read: a mention, or a mention, a tab and its type. What "
            "follows a second tab is ignored.",
            show_default=False,
        ),
    ] = None,
    label: Annotated[
        str,
        typer.Option(
            "--type", metavar="NAME", help="Type of the mentions without one.", rich_help_panel=INPUT
        ),
    ] = "Disease",
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="PATH",
            help="File of lines (default: standard input).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    documents: Annotated[
        Path | None,
        typer.Option(
            "--documents",
            metavar="PATH",
            help="Annotated file or folder in any format, whose mentions get identifiers.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    terminologies: Terminologies = None,
    species: Species = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object per line.", rich_help_panel=OUTPUT)
    ] = False,
    target: Annotated[
        TaggedFormat | None,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="Format of linked documents, as for tag (default: by the name of --output, or jsonl).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="File or folder of linked documents (default: standard output).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
) -> None:
    """Link mentions to the identifiers of terminologies.

    Prints mention, type, identifiers, preferred names, way of finding and score, separated by tabs. The
    fields after the type are empty for a mention without an identifier. With --documents, the mentions of
    documents get the attributes that tag --add identifiers adds, and their spans and types stay.

    Example:
        openmed-ner link "kidney failure" "breast and ovarian cancer" --type Disease
    """
    if sum(map(bool, (mentions, file, documents))) > 1:
        raise InputError("name one of mentions, --file and --documents, not both")
    if documents is None and (target or output):
        raise InputError("--to and --output are for --documents")
    linker = Linker.open(find_store(terminologies), LinkingOptions(species=read_species(species)))
    if documents is not None:
        linked = add_links(read_documents(documents), linker)
        _write_documents(linked, target or (infer_target(output) if output else "jsonl"), output)
        return
    names = ", ".join(linker.types)
    if label not in linker.types:
        raise InputError(f"--type {label!r}: there are names of {names}")

    foreign: set[str] = set()
    for mention, kind in ((m, label) for m in mentions) if mentions else _read_lines(file, label):
        if kind not in linker.types and kind not in foreign:
            foreign.add(kind)
            complain(f"mentions of the type {kind!r} get no identifier: there are names of {names}")
        typer.echo(_describe(mention, kind, linker.link(mention, kind), as_json=as_json))


def _write_documents(documents: Iterable[Document], target: str, output: Path | None) -> None:
    destination = Destination(target, output, shard=None, resume=False, receipt=None, errors=None)
    destination.check(())
    write = destination.writer(attributes=True)
    if target in FOLDER_WRITERS:
        write(documents, output)
        return
    with open_output(output) as file:
        write(documents, file)


def _read_lines(path: Path | None, label: str) -> Iterator[tuple[str, str]]:
    """Yield mentions with their types.

    Raises:
        InputError: the file cannot be read, or is not UTF-8.
    """
    try:
        if path is None:
            yield from _split_lines(sys.stdin, label)
        else:
            with path.open(encoding="utf-8") as lines:
                yield from _split_lines(lines, label)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path or 'standard input'} is not UTF-8: {error.reason}") from error


def _split_lines(lines: Iterable[str], label: str) -> Iterator[tuple[str, str]]:
    for line in lines:
        mention, kind, *_ = (*line.lstrip("\ufeff").rstrip("\r\n").split("\t"), "")
        if mention.strip():
            yield mention, kind.strip() or label


def _describe(mention: str, label: str, link: Link | None, *, as_json: bool) -> str:
    if as_json:
        record: dict[str, Any] = {"mention": mention, "type": label, "identifiers": []}
        if link is not None:
            record |= {
                "identifiers": [{"id": item.id, "name": item.name} for item in link.identifiers],
                "linked_by": link.method,
                "score": link.score,
                "candidates": [item.id for item in link.candidates],
            }
        return json.dumps(record, ensure_ascii=False)
    cells = [mention, label, "", "", "", ""]
    if link is not None:
        names = "|".join(item.name for item in link.identifiers)
        cells[2:] = ["|".join(link.ids), names, link.method, f"{link.score:.2f}"]
    return "\t".join(map(printable, cells))

"""``openmed-ner terminologies``: compile public terminologies into a store and a lexicon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from openmed_ner.cli.options import INPUT, OUTPUT, AsJson, split_names
from openmed_ner.cli.output import complain, print_json
from openmed_ner.corpora import find_corpus, load_guarded, load_split, load_splits
from openmed_ner.corpora.overlap import exclude_overlap
from openmed_ner.errors import InputError
from openmed_ner.formats import read_documents
from openmed_ner.linking import learn_identifiers
from openmed_ner.terminologies import TYPES, DefinitionCounts, TrainingText
from openmed_ner.terminologies import build as build_terminologies
from openmed_ner.terminologies.catalog import SOURCES, packaged_tables
from openmed_ner.terminologies.readers import VocabularyOptions, recognise
from openmed_ner.terminologies.store import Learnt, default_store
from openmed_ner.text import Document
from openmed_ner.text.definitions import find_definitions


def build(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SOURCE",
            help="Files of terminologies, and folders of such files (default: those of the package).",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="PATH",
            help="Folder to write or replace (default without SOURCE, or with --packaged: in the cache of "
            "the user, where other commands find it).",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    packaged: Annotated[
        bool,
        typer.Option(
            "--packaged",
            help="Read the tables of the package, too, before each SOURCE.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    passages: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help="File of unlabelled text whose abbreviations become names; repeatable.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    corpora: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Drop names that are mostly not annotated in the training splits of these corpora "
            "(comma-separated).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    learn: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Learn the identifiers of mentions from the training splits of these corpora "
            "(comma-separated).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="NAME",
            help=f"Type of the concepts of your own files that do not tell it: {', '.join(TYPES)}.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(
            metavar="CODES",
            help="Languages of the names of UMLS, SNOMED CT and SKOS, separated by commas (default: ENG for "
            "UMLS, or else all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    umls_sources: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Source vocabularies of UMLS, such as MSH, separated by commas (default: all).",
            rich_help_panel=INPUT,
        ),
    ] = None,
    suppressed: Annotated[
        bool,
        typer.Option("--suppressed", help="Keep names that UMLS suppresses.", rich_help_panel=INPUT),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compile terminologies into tables of concepts, names for linking and a lexicon.

    A table of your own (.csv or .tsv) has the columns id and name, and names, parents, xrefs and type if you
    like. OBO, OBO-graph JSON, SKOS, and your copies of CTD, UMLS and SNOMED CT are read as well. Releases of
    MeSH's supplementary records and of the NCBI Taxonomy add to the tables of the package.

    Example:
        openmed-ner terminologies build
    """
    if paths and output is None and not packaged:
        raise InputError(
            "name the folder to write with -o PATH, or add the files to the tables of the package with "
            "--packaged"
        )
    paths, output = paths or [], output or default_store()
    if packaged or not paths:
        paths = [packaged_tables(), *paths]
    if output.exists() and not (output / "manifest.json").is_file():
        raise InputError(f"{output} exists and holds no compiled terminologies; choose another folder")
    if label is not None and label not in TYPES:
        raise InputError(f"--type {label!r}: expected one of {', '.join(TYPES)}")

    # The files of the sources have suffixes of vocabularies, so their names are checked first.
    known = [path for path in paths if any(source.name_table(path.name) for source in SOURCES)]
    vocabularies = [path for path in paths if path not in known and recognise(path) is not None]
    for path in paths:
        if path.is_file() and path not in vocabularies and path not in known:
            complain(f"{path} is not read: its name is that of no known terminology or format")

    console = Console(stderr=True, quiet=as_json)
    learnt = split_names(learn, option="--learn") or []
    with console.status("reading texts") as status:
        manifest = build_terminologies(
            [path for path in paths if path not in vocabularies],
            output,
            vocabularies=dict.fromkeys(vocabularies, label),
            options=VocabularyOptions(
                None,
                tuple(split_names(languages, option="--languages") or ()),
                tuple(split_names(umls_sources, option="--umls-sources") or ()),
                suppressed,
            ),
            definitions=_count_definitions(passages or []),
            training=replace(
                _load_training(split_names(corpora, option="--corpora") or []),
                learnt_corpora=tuple(learnt),
                learnt=_learn(learnt),
            ),
            on_stage=lambda stage: status.update(stage),
        )

    if as_json:
        print_json(manifest)
        return
    for label, row in manifest["types"].items():
        if not row["concepts"]:
            continue
        typer.echo(
            f"{label}: {row['concepts']:,} concepts, {row['names']:,} names in the lexicon "
            f"({row['short_forms']:,} short forms added, {row['removed']:,} names of low precision removed)"
        )
    for source in manifest["sources"]:
        typer.echo(f"{source['name']}: {source['title']}; {source['licence']}")
    typer.echo(f"written to {output}")


def _learn(names: Sequence[str]) -> Learnt:
    """Learn identifiers from training splits, without documents that appear in a dev or test split.

    Raises:
        InputError: the annotators of a corpus gave no identifiers.
        CorpusError: a corpus is unknown, or its archive is missing or another release.
    """
    documents: list[Document] = []
    held_out = _load_held_out(names)
    for name in names:
        texts, _ = exclude_overlap(load_split(name, "train", identifiers=True).documents, held_out)
        if not any(dict(span.attributes) for document in texts for span in document.spans):
            raise InputError(f"{name} has no identifiers; omit it from --learn")
        documents += texts
    return learn_identifiers(documents)


def _load_held_out(names: Sequence[str]) -> list[Document]:
    """The dev and test documents of some corpora, and those that only score."""
    held_out = load_guarded(names)
    for name in names:
        parts = load_splits(name)
        held_out += [document for split in ("dev", "test") for document in parts.get(split, ())]
    return held_out


def _count_definitions(paths: Sequence[Path]) -> DefinitionCounts:
    counts = DefinitionCounts()
    for path in paths:
        for document in read_documents(path):
            text = document.text
            pairs = [
                (text[slice(*definition.short)], text[slice(*definition.long)])
                for definition in find_definitions(text)
            ]
            counts.add(text, pairs)
    return counts


def _load_training(names: Sequence[str]) -> TrainingText:
    """Load the training documents of each type, without those that appear in a dev or test split.

    Raises:
        InputError: a corpus annotates none of the types.
        CorpusError: a corpus is unknown, or its archive is missing or another release.
    """
    documents: dict[str, list[Document]] = {label: [] for label in TYPES}
    splits = {name: load_splits(name) for name in names}
    held_out = _load_held_out(names)

    for name in names:
        types = [label for label in find_corpus(name).types if label in documents]
        if not types:
            raise InputError(f"{name} annotates none of the types {', '.join(TYPES)}")
        texts, _ = exclude_overlap(splits[name]["train"], held_out)
        for label in types:
            documents[label] += texts
    return TrainingText(tuple(names), documents)

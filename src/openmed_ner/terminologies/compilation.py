"""Build a folder of compiled terminologies from the files of public ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from openmed_ner.errors import InputError
from openmed_ner.storage import atomic_folder, sha256_file, write_json
from openmed_ner.terminologies import store
from openmed_ner.terminologies.catalog import MESH_ROLES, SOURCES
from openmed_ner.terminologies.concept import TYPES, Concept
from openmed_ner.terminologies.lexicon import Lexicon
from openmed_ner.terminologies.merging import merge_concepts
from openmed_ner.terminologies.name_index import NameIndex
from openmed_ner.terminologies.pruning import prune, select_names
from openmed_ner.terminologies.readers import Vocabulary, VocabularyOptions, recognise
from openmed_ner.terminologies.short_forms import DefinitionCounts, add_short_forms, find_senses
from openmed_ner.terminologies.sources import Files, Source, find_files
from openmed_ner.text import Document


@dataclass(frozen=True, slots=True)
class TrainingText:
    """Annotated text that decides which names are dropped.

    Attributes:
        corpora: names of the corpora, for the manifest.
        documents: for each type, training documents in which every mention of the type is annotated.
        learnt_corpora: names of the corpora of identifiers, for the manifest.
        learnt: identifiers that training documents give to mentions.
    """

    corpora: tuple[str, ...] = ()
    documents: Mapping[str, Sequence[Document]] = field(default_factory=dict)
    learnt_corpora: tuple[str, ...] = ()
    learnt: store.Learnt = field(default_factory=dict)


def build(
    paths: Sequence[Path],
    folder: Path,
    *,
    vocabularies: Mapping[Path, str | None] | None = None,
    options: VocabularyOptions | None = None,
    definitions: DefinitionCounts | None = None,
    training: TrainingText | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
) -> dict[str, Any]:
    """Compile terminologies.

    Args:
        paths: files of known terminologies, and folders with such files.
        vocabularies: files or folders of your own, each with the type of its concepts, or ``None`` if the
            file tells it.
        options: choice of what is read of these.
        folder: folder to write; one that exists is replaced.
        definitions: definitions and words of unlabelled texts, for short forms and against ordinary words.
        training: annotated training text, against names of low precision.
        on_stage: callback with a description of each stage.

    Returns:
        The manifest.

    Raises:
        InputError: there is no known terminology, one of its files is missing, there is no concept, or
            another run is writing the folder.
        CorpusFormatError: a file is damaged.
    """
    definitions, training = definitions or DefinitionCounts(), training or TrainingText()
    vocabularies = vocabularies or {}
    files = find_files(paths, SOURCES) if paths or not vocabularies else {}
    own = [(_recognise(path), label) for path, label in vocabularies.items()]

    # The folder is claimed first, so that a second run of minutes fails at once.
    with atomic_folder(folder) as partial:
        concepts = _read(files, on_stage)
        for vocabulary, label in own:
            on_stage(f"reading {vocabulary.path.name}")
            concepts += vocabulary.iter_concepts(replace(options or VocabularyOptions(), label=label))

        if not concepts:
            raise InputError(
                f"no concept in {', '.join(map(str, (*paths, *vocabularies)))}; nothing to compile"
            )
        on_stage("normalising names")
        names = select_names(
            [concept for concept in concepts if concept.terminology != MESH_ROLES], definitions.words
        )
        senses = list(find_senses(definitions, names))
        added = add_short_forms(names, senses)
        on_stage("measuring precision")
        pruned = prune(names, training.documents)
        on_stage("compiling")
        lexicon = Lexicon.compile(pruned)

        for label in TYPES:
            on_stage(f"writing {label}")
            of_type = [concept for concept in concepts if concept.type == label]
            store.write_concepts(partial / store.table_name(label), of_type)
            index = NameIndex.compile(merge_concepts(of_type, label), label)
            index.write(partial / store.index_name(label))
        store.write_short_forms(partial / store.SHORT_FORMS, senses)
        (partial / store.LEXICON).write_bytes(lexicon.to_bytes())
        if training.learnt:
            store.write_learnt(partial / store.LEARNT, training.learnt)

        manifest = {
            "format": store.FORMAT,
            "sources": [
                *(_describe(source, present) for source, present in files.items()),
                *(_describe_own(vocabulary) for vocabulary, _ in own),
            ],
            "texts": {"texts": definitions.texts, "definitions": definitions.n_definitions},
            "precision": {"corpora": list(training.corpora), "split": "train"},
            "learnt": {"corpora": list(training.learnt_corpora), "split": "train"},
            "types": {
                label: {
                    "concepts": sum(concept.type == label for concept in concepts),
                    "names": len(pruned[label]),
                    "short_forms": added[label],
                    "removed": len(names[label]) - len(pruned[label]),
                }
                for label in TYPES
            },
            "files": {path.name: sha256_file(path) for path in sorted(partial.iterdir())},
        }
        write_json(partial / store.MANIFEST, manifest)
    return manifest


def _read(files: Mapping[Source, Files], on_stage: Callable[[str], None]) -> list[Concept]:
    concepts: list[Concept] = []
    for source, present in files.items():
        on_stage(f"reading {source.name}")
        concepts += source.read(present)
    return concepts


def _describe(source: Source, files: Files) -> dict[str, Any]:
    return {
        "name": source.name,
        "title": source.title_of(files),
        "version": source.version,
        "licence": source.licence,
        "home": source.home,
        "files": {path.name: sha256_file(path) for path in files.values()},
        "missing": [name for name in source.files if name not in files],
    }


def _recognise(path: Path) -> Vocabulary:
    vocabulary = recognise(path)
    if vocabulary is None:
        raise InputError(
            f"{path}: a vocabulary of unknown format; docs/terminologies.md lists the known ones"
        )
    return vocabulary


def _describe_own(vocabulary: Vocabulary) -> dict[str, Any]:
    return {
        "name": vocabulary.path.stem,
        "title": vocabulary.path.name,
        "version": "",
        "licence": vocabulary.licence,
        "home": "",
        "files": {path.name: sha256_file(path) for path in vocabulary.files},
    }

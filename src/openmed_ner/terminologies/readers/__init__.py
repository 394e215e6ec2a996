"""Vocabularies that a user brings, in any of the formats that terminologies are published in.

A file is recognised by its name. Tables with a row per concept are read by
:mod:`openmed_ner.terminologies.vocabulary`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from openmed_ner.errors import InputError
from openmed_ner.terminologies.concept import Concept
from openmed_ner.terminologies.readers.ctd import read_ctd
from openmed_ner.terminologies.readers.obo import read_obo
from openmed_ner.terminologies.readers.obo_graph import read_obo_graph
from openmed_ner.terminologies.readers.records import COMPRESSED, Record, base_name, to_concepts
from openmed_ner.terminologies.readers.skos import read_n_triples, read_rdf_xml
from openmed_ner.terminologies.readers.snomed import is_snomed, list_snomed_files, read_snomed
from openmed_ner.terminologies.readers.umls import is_umls, read_umls
from openmed_ner.terminologies.vocabulary import SUFFIXES, read_vocabulary

__all__ = ["Vocabulary", "VocabularyOptions", "recognise"]


@dataclass(frozen=True, slots=True)
class VocabularyOptions:
    """Choice of what is read of a vocabulary.

    Attributes:
        label: type of its concepts, if the file does not tell it; of UMLS and SNOMED CT, whose concepts have
            semantic types, all concepts then have this type.
        languages: languages of names; those of the format by default.
        sources: source vocabularies of UMLS; all if empty.
        suppressed: if true, suppressed names of UMLS count, too.
    """

    label: str | None = None
    languages: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A file or folder of a user, and the format that it was recognised as.

    Attributes:
        path: the file or folder.
        licence: terms, if all releases in the format have the same.
        files: the files that are read.
        read: reads its entries; ``None`` for a table with a row per concept.
    """

    path: Path
    licence: str
    files: tuple[Path, ...]
    read: Callable[[Path, VocabularyOptions], Iterator[Record]] | None

    def iter_concepts(self, options: VocabularyOptions) -> Iterator[Concept]:
        """Yield its concepts.

        Raises:
            InputError: it cannot be opened.
            CorpusFormatError: it does not follow its format.
        """
        if self.read is None:
            return read_vocabulary(self.path, options.label)
        return to_concepts(self.read(self.path, options), self.path, options.label)


_BY_SUFFIX: dict[str, Callable[[Path, VocabularyOptions], Iterator[Record]]] = {
    ".obo": lambda path, _: read_obo(path),
    ".json": lambda path, _: read_obo_graph(path),
    ".nt": lambda path, options: read_n_triples(path, options.languages),
    ".rdf": lambda path, options: read_rdf_xml(path, options.languages),
    ".xml": lambda path, options: read_rdf_xml(path, options.languages),
}
_NOT_STATED = "not stated"


def recognise(path: Path) -> Vocabulary | None:
    """Recognise a file or folder by its name; ``None`` if it is of no known format.

    Raises:
        InputError: it is of a format that has to be converted first.
    """
    if is_umls(path):
        folder = path if path.is_dir() else path.parent
        files = tuple(
            sorted(file for name in ("CONSO", "STY", "REL") for file in folder.glob(f"MR{name}.RRF*"))
        )
        return Vocabulary(path, "UMLS Metathesaurus License", files, _read_umls)
    if is_snomed(path):
        return Vocabulary(path, "SNOMED CT Affiliate License", tuple(list_snomed_files(path)), _read_snomed)

    name = base_name(path)
    suffix = Path(name).suffix.lower()
    if name.startswith("CTD_") and suffix == ".tsv":
        return Vocabulary(path, "terms of CTD (ctdbase.org)", (path,), lambda file, _: read_ctd(file))
    if suffix in SUFFIXES and path.suffix in COMPRESSED:
        raise InputError(f"{path}: a table is not read compressed; unpack it")
    if suffix in (".ttl", ".owl", ".obographs"):
        raise InputError(
            f"{path}: not read. Convert Turtle to N-Triples (.nt), and OWL to OBO or to OBO-graph JSON"
        )
    if suffix in _BY_SUFFIX and not path.is_dir():
        return Vocabulary(path, _NOT_STATED, (path,), _BY_SUFFIX[suffix])
    if path.suffix.lower() in SUFFIXES:
        return Vocabulary(path, _NOT_STATED, (path,), None)
    return None


def _read_umls(path: Path, options: VocabularyOptions) -> Iterator[Record]:
    return read_umls(
        path,
        languages=options.languages,
        sources=options.sources,
        suppressed=options.suppressed,
        typed=options.label is None,
    )


def _read_snomed(path: Path, options: VocabularyOptions) -> Iterator[Record]:
    return read_snomed(path, languages=options.languages, typed=options.label is None)

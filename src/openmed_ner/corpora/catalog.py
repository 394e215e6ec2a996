"""The benchmark corpora as a table: where each split lies in the original release, and what it says.

A label map names what is kept and under which canonical type; native labels that map to nothing
belong to another corpus of the same release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from openmed_ner.errors import CorpusError

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a release: its path in the archive and the SHA-256 of its content."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Corpus:
    """A row of the catalog.

    Attributes:
        name: how commands and heads call it.
        title: how its authors call it.
        archive: file name of its archive.
        format: name of the reader in ``formats``.
        splits: the file of each split.
        official: whether the splits are the authors' own.
        labels: native label to canonical type.
        licence: terms of the annotations, as the release states them.
        citation: the paper to cite.
        home: where the release comes from.
    """

    name: str
    title: str
    archive: str
    format: str
    splits: Mapping[str, Member]
    official: bool
    labels: Mapping[str, str]
    licence: str
    citation: str
    home: str

    @property
    def types(self) -> tuple[str, ...]:
        """The canonical entity types, each once, in the order of the label map."""
        return tuple(dict.fromkeys(self.labels.values()))


_NCBI = "ncbi-disease/spyysalo/original-data"
_CDR = "bc5cdr/raw/CDR_Data/CDR.Corpus.v010516"
_CDR_SPLITS = {
    "train": Member(
        f"{_CDR}/CDR_TrainingSet.PubTator.txt",
        "7afcec134e3d4871e74b0398d92850d3c9ac94c0bdc780003f2d60184c012bd8",
    ),
    "dev": Member(
        f"{_CDR}/CDR_DevelopmentSet.PubTator.txt",
        "9e18d8e700168887a7919e62f67ac2ce2357e3f409a48ee992906abdd80fe3e5",
    ),
    "test": Member(
        f"{_CDR}/CDR_TestSet.PubTator.txt",
        "a3c48d5f35bdfce20c2371778abedc9fd24d1da092207072e5181ad53c8d0e2f",
    ),
}
_US_GOVERNMENT = "United States Government work, public domain notice; please cite"


def _bc5cdr(label: str) -> Corpus:
    return Corpus(
        name=f"bc5cdr-{label.lower()}",
        title=f"BioCreative V CDR, {label}",
        archive="bc5cdr.tar.xz",
        format="pubtator",
        splits=_CDR_SPLITS,
        official=True,
        labels={label: label},
        licence=_US_GOVERNMENT,
        citation="Li et al., BioCreative V CDR task corpus, Database 2016, baw068",
        home="https://biocreative.bioinformatics.udel.edu/tasks/biocreative-v/track-3-cdr/",
    )


CATALOG: Mapping[str, Corpus] = {
    corpus.name: corpus
    for corpus in (
        Corpus(
            name="ncbi-disease",
            title="NCBI Disease",
            archive="ncbi-disease.tar.xz",
            format="pubtator",
            splits={
                "train": Member(
                    f"{_NCBI}/train/NCBItrainset_corpus.txt",
                    "f311381b28a6d0f641f57f4a963bb83619c2bdec5cd9caabb1381f894d5db817",
                ),
                "dev": Member(
                    f"{_NCBI}/devel/NCBIdevelopset_corpus.txt",
                    "02db559974624ae9cbe6cd95d64d953e6926bb63afb6b25b63e53bd8b41a4b55",
                ),
                "test": Member(
                    f"{_NCBI}/test/NCBItestset_corpus.txt",
                    "61c8050bf6979ef7b943ec1158dfc03b651ea3367d4c37356f9de4841e85c9a3",
                ),
            },
            official=True,
            labels={
                "SpecificDisease": "Disease",
                "DiseaseClass": "Disease",
                "Modifier": "Disease",
                "CompositeMention": "Disease",
            },
            licence=_US_GOVERNMENT,
            citation="Doğan, Leaman and Lu, NCBI disease corpus, J Biomed Inform 47:1-10, 2014",
            home="https://www.ncbi.nlm.nih.gov/CBBresearch/Dogan/DISEASE/",
        ),
        _bc5cdr("Chemical"),
        _bc5cdr("Disease"),
    )
}


def find_corpus(name: str) -> Corpus:
    """Look a corpus up.

    Raises:
        CorpusError: there is none of this name.
    """
    try:
        return CATALOG[name]
    except KeyError:
        raise CorpusError(f"unknown corpus {name!r}; known: {', '.join(CATALOG)}") from None

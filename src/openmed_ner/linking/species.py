"""The species that a gene of a text belongs to.

One symbol names the genes of many species, and a text tells which it means by words such as "mice" and
"patients". The words for the species whose genes are most often studied are searched for in the text itself.
Spans of species are not read, so the types that a user asks for change no identifier.

A gene has the species that the mention names ("human EGFR", "hEGFR"), or the one that is named last before it
in its sentence, or else the one named most often in the text. Without any, the human gene is meant first.
EXPERIMENTS.md (2026-11-28) compares rules.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from openmed_ner.errors import InputError
from openmed_ner.text.sentences import iter_sentences

PREFIX = "NCBITaxon:"
HUMAN, MOUSE, RAT = f"{PREFIX}9606", f"{PREFIX}10090", f"{PREFIX}10116"
TERMINOLOGIES: Mapping[str, str] = {"HGNC": HUMAN, "MGI": MOUSE, "RGD": RAT}
"""Species of the genes of a terminology, by the prefix of its identifiers."""
_WORDS: Mapping[str, str] = {
    HUMAN: "humans? patients? m[ae]n wom[ae]n child children people persons? volunteers? Homo_sapiens",
    MOUSE: "mouse mice murine Mus_musculus",
    RAT: "rats? Rattus_norvegicus",
    "NCBITaxon:9031": "chickens? chicks? hens? Gallus_gallus",
    "NCBITaxon:9913": "bovine cattle cows? calf calves Bos_taurus",
    "NCBITaxon:9823": "pigs? porcine swine Sus_scrofa",
    "NCBITaxon:9986": "rabbits?",
    "NCBITaxon:9615": "dogs? canine",
    "NCBITaxon:7955": "zebrafish Danio_rerio",
    "NCBITaxon:8355": "Xenopus",
    "NCBITaxon:7227": "Drosophila fruit_fl(?:y|ies)",
    "NCBITaxon:6239": r"C\._elegans Caenorhabditis_elegans",
    "NCBITaxon:4932": r"yeasts?(?!\W+two) S\._cerevisiae Saccharomyces_cerevisiae",
    "NCBITaxon:3702": "Arabidopsis",
    "NCBITaxon:562": r"E\._coli Escherichia_coli",
}
_BLANK = r"\s+"
_GROUPS = "|".join(f"({words.replace(' ', '|').replace('_', _BLANK)})" for words in _WORDS.values())
_WORD = re.compile(rf"(?<!\w)(?:{_GROUPS})(?!\w)", re.IGNORECASE)
_SPECIES = tuple(_WORDS)
_HOSTS = ("NCBITaxon:4932", "NCBITaxon:562")
"""Species that genes of others are often brought into."""
_PREFIXED = re.compile(r"([hmr])([A-Z]\w*[A-Z\d].*)", re.DOTALL)
_PREFIXES = {"h": HUMAN, "m": MOUSE, "r": RAT}


def read_species(taxon: int | None) -> str | None:
    """Identifier of a species whose genes terminologies have.

    Args:
        taxon: number of the NCBI Taxonomy; ``None`` if the text decides.

    Raises:
        InputError: no terminology has genes of the species.
    """
    species = None if taxon is None else f"{PREFIX}{taxon}"
    if species not in (None, *TERMINOLOGIES.values()):
        numbers = ", ".join(name.removeprefix(PREFIX) for name in TERMINOLOGIES.values())
        raise InputError(f"no terminology has genes of species {taxon}; expected one of {numbers}")
    return species


def split_species(mention: str) -> tuple[str | None, str]:
    """Split the species off a mention of a gene.

    Returns:
        The species, or ``None`` if the mention names none, and the rest of the mention.

    >>> split_species("human EGFR")
    ('NCBITaxon:9606', 'EGFR')
    """
    word = _WORD.match(mention)
    if word and (rest := mention[word.end() :].lstrip(" -")):
        return _SPECIES[(word.lastindex or 1) - 1], rest
    if prefixed := _PREFIXED.fullmatch(mention):
        return _PREFIXES[prefixed[1]], prefixed[2]
    return None, mention


def name_species(mention: str) -> str | None:
    """Species that an everyday word names, such as "patients"; ``None`` for other mentions.

    In terminologies such words are missing, or are names of a genus: NCBI Taxonomy has "mice" for *Mus*.
    """
    word = _WORD.fullmatch(mention)
    return _SPECIES[(word.lastindex or 1) - 1] if word else None


def find_species(identifiers: Iterable[str]) -> str | None:
    """Species of the gene with some identifiers; ``None`` for one that is of no species, such as a family."""
    prefixes = (identifier.partition(":")[0] for identifier in identifiers)
    return next((TERMINOLOGIES[prefix] for prefix in prefixes if prefix in TERMINOLOGIES), None)


@dataclass(frozen=True, slots=True)
class SpeciesWords:
    """The words of a text that name a species.

    Attributes:
        starts: first character of each.
        species: the species that each names.
        sentences: first character of each sentence.
    """

    starts: tuple[int, ...]
    species: tuple[str, ...]
    sentences: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Self:
        """Find the words of a text; those for hosts of genes count if it names no other species."""
        words = [(match.start(), _SPECIES[(match.lastindex or 1) - 1]) for match in _WORD.finditer(text)]
        words = [(start, name) for start, name in words if name not in _HOSTS] or words
        sentences = tuple(start for start, _ in iter_sentences(text)) if words else ()
        return cls(tuple(start for start, _ in words), tuple(name for _, name in words), sentences)

    def choose(self, place: int) -> str | None:
        """Choose the species of a gene; ``None`` if the text names none.

        Args:
            place: first character of the gene.
        """
        before = bisect_right(self.starts, place) - 1
        sentence = bisect_right(self.sentences, place) - 1
        if before >= 0 and self.starts[before] >= self.sentences[sentence]:
            return self.species[before]
        return Counter(self.species).most_common(1)[0][0] if self.species else None

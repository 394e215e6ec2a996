"""From a mention and its type to identifiers, by what is known for certain first.

A mention is looked up as it is learnt from annotated text, as a name, as a long form, as an enumeration of
names, and at last as something that resembles a name. Below the threshold of its type, nothing is guessed.
Its words alone decide, with the definitions of its document, so equal mentions there have equal identifiers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Self

from openmed_ner.linking.cells import drop_cells, spell_markers
from openmed_ner.linking.chemicals import iter_wordings, name_compound
from openmed_ner.linking.composites import MAX_PARTS, count_parts, is_numbered, iter_readings
from openmed_ner.linking.concepts import ConceptEntry, Identifier, Link, Method, describe_concept
from openmed_ner.linking.genes import drop_brackets, iter_symbols
from openmed_ner.linking.organisms import cut_to_binomial, name_everyday_species, name_last_word
from openmed_ner.linking.short_forms import expand
from openmed_ner.linking.similarity import share_matched
from openmed_ner.linking.species import find_species, split_species
from openmed_ner.linking.variants import is_vague, iter_variants
from openmed_ner.terminologies import name_key, normalise
from openmed_ner.terminologies.matcher import FUNCTION_WORDS
from openmed_ner.terminologies.name_index import NameIndex, bag_key, split_ids
from openmed_ner.terminologies.normalisation import is_case_sensitive
from openmed_ner.terminologies.pruning import ORDINARY
from openmed_ner.terminologies.store import Learnt, Store
from openmed_ner.terminologies.trigrams import N_COMPARED
from openmed_ner.text.hyphenation import join_name

THRESHOLDS: Mapping[str, float] = {"Disease": 0.45, "Chemical": 0.75, "Anatomy": 0.8, "CellType": 0.8}
"""Lowest similarity of a near name, for the types that have near names. Those of diseases and chemicals were
chosen on dev splits; no corpus has identifiers of the others."""
MIN_NEAR = 4
"""Letters of the shortest mention that near names are looked up for."""
MAX_CANDIDATES = 5
VARIANT_SCORE = 0.9
"""Score of a mention in other words."""
CHEMICAL, DISEASE, GENE, SPECIES = "Chemical", "Disease", "Gene", "Species"
"""Types of concepts that have rules of their own."""
_SPELLINGS: Mapping[str, Callable[[str], str]] = {"CellType": spell_markers, "CellLine": drop_cells}
"""Spellings that terminologies prefer to that of a text, by type."""
_WORDINGS: Mapping[str, Callable[[str], Iterator[str]]] = {
    DISEASE: iter_variants,
    CHEMICAL: iter_wordings,
    GENE: iter_symbols,
}
"""Other wordings of a normalised name, by type."""
LINKED_TYPES: Mapping[str, str] = {
    "Disease": "Disease",
    "Cancer": "Disease",
    "Chemical": "Chemical",
    "AminoAcid": "Chemical",
    "Medication": "Chemical",
    "Gene": "Gene",
    "Protein": "Gene",
    "Species": "Species",
    "CellLine": "CellLine",
    "CellType": "CellType",
    "Cell": "CellType",
    "Anatomy": "Anatomy",
    "AnatomicalSystem": "Anatomy",
    "DevelopingAnatomicalStructure": "Anatomy",
    "MultiTissueStructure": "Anatomy",
    "Organ": "Anatomy",
    "OrganismSubdivision": "Anatomy",
    "OrganismSubstance": "Anatomy",
    "Tissue": "Anatomy",
}
"""For a type of mentions, the type of the concepts that they are linked to."""


@dataclass(frozen=True, slots=True)
class LinkingOptions:
    """Sources that a linker may use.

    Attributes:
        learnt: if true, identifiers that training text has for a mention come first.
        near: if true, names that resemble a mention are candidates.
        thresholds: lowest similarity of a near name, by type.
        within: prefixes of the terminologies to link to, such as ``MESH``; all if empty. A concept counts if
            its identifier or a cross-reference has one.
        species: species of all genes, such as ``NCBITaxon:10090``; the text decides if ``None``.
    """

    learnt: bool = True
    near: bool = True
    thresholds: Mapping[str, float] = field(default_factory=lambda: THRESHOLDS)
    within: tuple[str, ...] = ()
    species: str | None = None


class _Scope(NamedTuple):
    """Concepts that a mention may mean: those of a type, and the genes of a species."""

    kind: str
    species: str | None = None


class Linker:
    """Links mentions to the concepts of a folder of compiled terminologies. Several threads may use it."""

    def __init__(
        self,
        indices: Mapping[str, NameIndex],
        learnt: Learnt | None = None,
        options: LinkingOptions | None = None,
    ) -> None:
        """Set up a linker.

        Args:
            indices: names of each type.
            learnt: identifiers of mentions of training text.
            options: sources that may be used; all if ``None``.
        """
        self._indices = indices
        self._options = options or LinkingOptions()
        self._learnt = learnt if learnt is not None and self._options.learnt else {}
        self._find = lru_cache(maxsize=1 << 15)(self._find_link)

    @classmethod
    def open(cls, folder: Path, options: LinkingOptions | None = None) -> Self:
        """Open a folder of compiled terminologies.

        Raises:
            InputError: there is none, it is damaged, or it was built without names for linking.
        """
        store = Store.open(folder)
        return cls(store.open_indices(), store.read_learnt(), options)

    @property
    def types(self) -> tuple[str, ...]:
        """Types of mentions that can be linked."""
        return tuple(
            label
            for label, kind in LINKED_TYPES.items()
            if kind in self._indices and len(self._indices[kind].ids)
        )

    def link(
        self,
        mention: str,
        label: str,
        long_forms: Mapping[str, str] | None = None,
        species: str | None = None,
    ) -> Link | None:
        """Link a mention.

        Args:
            mention: text of the mention.
            label: its type.
            long_forms: long form of each short form that the document defines.
            species: species of a gene by its text, such as ``NCBITaxon:10090``; human first if ``None``.

        Returns:
            Its concepts; ``None`` if the type cannot be linked, or nothing reaches the threshold.
        """
        kind = LINKED_TYPES.get(label)
        if kind is None or kind not in self._indices:
            return None
        scope = _Scope(kind, (self._options.species or species) if kind == GENE else None)
        rewrite = drop_brackets if kind == GENE else str
        # A mention over two lines is the same name, and a hyphen at a line end may part a word.
        forms = [" ".join(form.split()) for form in (mention, join_name(mention))]
        spell = _SPELLINGS.get(kind, str)
        surfaces = dict.fromkeys((*map(spell, forms), *forms))
        links = [self._find(form, rewrite(expand(form, long_forms or {})), scope) for form in surfaces]
        return max(filter(None, links), key=lambda link: link.score, default=None)

    def __contains__(self, identifier: str) -> bool:
        """True if a concept has the identifier, or the cross-reference."""
        return any(index.number_of(identifier) is not None for index in self._indices.values())

    def look_up(self, identifier: str) -> tuple[ConceptEntry, ...]:
        """Look up an identifier or a cross-reference: one entry for each type that has it."""
        entries = []
        for kind, index in self._indices.items():
            if (number := index.number_of(identifier)) is not None:
                parents = (self._identify(each, kind) for each in split_ids(index.parents[number]))
                entries.append(ConceptEntry(describe_concept(index, number), kind, tuple(parents)))
        return tuple(entries)

    def is_under(self, identifier: str, ancestor: str) -> bool:
        """True if a concept is another one, or below it.

        Args:
            identifier: identifier or cross-reference of the concept.
            ancestor: identifier or cross-reference of the other one.
        """
        return any(
            target in self._list_ancestors(identifier, kind)
            for kind, index in self._indices.items()
            if (target := index.number_of(ancestor)) is not None
        )

    def _list_ancestors(self, identifier: str, kind: str) -> set[int]:
        """Numbers of a concept and of all concepts above it. A cycle ends where it began."""
        index = self._indices[kind]
        waiting, numbers = [identifier], set[int]()
        while waiting:
            number = index.number_of(waiting.pop())
            if number is not None and number not in numbers:
                numbers.add(number)
                waiting += split_ids(index.parents[number])
        return numbers

    def _find_link(self, surface: str, expanded: str, scope: _Scope) -> Link | None:
        """Link the text of a mention, and the same text with long forms."""
        # The symbol of a gene is a better name of it than a long form, which is often that of a family.
        texts = (surface, expanded) if scope.kind == GENE else (expanded, surface)
        for text in dict.fromkeys(texts):
            if text == expanded and (learnt := self._find_learnt(text, scope)):
                return learnt
            in_order = is_numbered(text)
            candidates = self._find_exact(text, scope, in_order=in_order) or self._find_without_species(
                text, scope
            )
            if candidates:
                method: Method = "exact" if text == surface else "long form"
                return Link(candidates[:1], method, 1.0, candidates)
        return (
            self._find_parts(expanded, scope)
            or self._find_exact_link(expanded, scope)
            or self._find_variant(expanded, scope)
            or self._find_parts(expanded, scope, variants=True)
            or self._find_near(expanded, scope)
        )

    def _find_without_species(self, text: str, scope: _Scope) -> tuple[Identifier, ...]:
        """The genes with a name before which the mention has a species: "human EGFR", "hEGFR"."""
        species, rest = split_species(text) if scope.kind == GENE else (None, text)
        if species is None:
            return ()
        return self._find_exact(rest, _Scope(GENE, self._options.species or species))

    def _find_learnt(self, text: str, scope: _Scope) -> Link | None:
        ids = self._learnt.get((scope.kind, name_key(text)))
        if ids is None:
            return None
        identifiers = tuple(self._identify(identifier, scope.kind) for identifier in ids)
        return Link(identifiers, "learnt", 1.0, identifiers)

    def _identify(self, identifier: str, kind: str) -> Identifier:
        index = self._indices[kind]
        number = index.number_of(identifier)
        return Identifier(identifier, "") if number is None else describe_concept(index, number)

    def _find_exact(self, text: str, scope: _Scope, *, in_order: bool = False) -> tuple[Identifier, ...]:
        """The concepts with a name, by rank; none for an ordinary word that names no species.

        With ``in_order``, its words must stand as in the name: "type 1 or 2 diabetes" is not "type 1
        diabetes 2".
        """
        index = self._indices[scope.kind]
        named = name_everyday_species(text) if scope.kind == SPECIES else None
        if concepts := self._describe_species(named, scope):
            return concepts
        compound = name_compound(text) if scope.kind == CHEMICAL else None
        if compound and (numbers := self._find_concepts(normalise(compound), scope)):
            return tuple(describe_concept(index, number) for number in numbers[:MAX_CANDIDATES])
        key, folded = name_key(text), normalise(text)
        if (
            folded in ORDINARY
            or folded in FUNCTION_WORDS
            or folded.isdigit()
            or min(len(folded), len(text)) < 2
        ):
            return ()
        for form in dict.fromkeys((key, folded, "" if in_order else bag_key(folded))):
            if form and (numbers := self._find_concepts(form, scope)):
                return tuple(describe_concept(index, number) for number in numbers[:MAX_CANDIDATES])
        return ()

    def _describe_species(self, identifier: str | None, scope: _Scope) -> tuple[Identifier, ...]:
        index = self._indices[scope.kind]
        number = index.number_of(identifier) if identifier else None
        if number is None or not self._is_within(number, scope):
            return ()
        return (describe_concept(index, number),)

    def _find_concepts(self, key: str, scope: _Scope) -> list[int]:
        """Numbers of the concepts that a key means, the first meant first, within the terminologies."""
        numbers = dict.fromkeys(number for number, _ in self._indices[scope.kind].find(key))
        if not self._options.within and scope.species is None:
            return list(numbers)
        return [number for number in numbers if self._is_within(number, scope)]

    def _is_within(self, number: int, scope: _Scope) -> bool:
        index = self._indices[scope.kind]
        names = (index.ids[number], *split_ids(index.xrefs[number]))
        prefixes = tuple(f"{name}:" for name in self._options.within)
        if prefixes and not any(name.startswith(prefixes) for name in names):
            return False
        return scope.species is None or find_species(names) in (scope.species, None)

    def _find_parts(self, text: str, scope: _Scope, *, variants: bool = False) -> Link | None:
        """Link an enumeration of names; with ``variants``, of names in other words that share one."""
        for place, reading in enumerate(iter_readings(text, symbols=scope.kind == GENE)):
            if variants and not place and scope.kind != GENE:
                continue  # "inherited breast" of "inherited breast and ovarian cancer" is no wording
            parts = [
                self._find_learnt(part, scope)
                or self._find_exact_link(part, scope)
                or (self._find_variant(part, scope) if variants else None)
                for part in reading
            ]
            if all(parts):
                identifiers = [identifier for part in parts if part for identifier in part.identifiers]
                distinct = tuple(dict.fromkeys(identifiers))
                return Link(distinct, "parts", min(part.score for part in parts if part), distinct)
        return None

    def _find_exact_link(self, text: str, scope: _Scope) -> Link | None:
        candidates = self._find_exact(text, scope)
        return Link(candidates[:1], "exact", 1.0, candidates) if candidates else None

    def _find_variant(self, text: str, scope: _Scope) -> Link | None:
        if scope.kind == SPECIES:
            binomial = cut_to_binomial(text)
            concepts = (self._find_exact(binomial, scope) if binomial else ()) or self._describe_species(
                name_last_word(text), scope
            )
            return Link(concepts[:1], "variant", VARIANT_SCORE, concepts) if concepts else None
        folded = normalise(text)
        find = _WORDINGS.get(scope.kind)
        if find is None or is_case_sensitive(text) or folded in ORDINARY:
            return None
        index = self._indices[scope.kind]
        wordings = [name for name in find(folded) if name not in ORDINARY]
        for key in index.keep_known(
            [name if scope.kind == GENE else bag_key(name) or name for name in wordings]
        ):
            if numbers := self._find_concepts(key, scope):
                candidates = tuple(describe_concept(index, number) for number in numbers[:MAX_CANDIDATES])
                return Link(candidates[:1], "variant", VARIANT_SCORE, candidates)
        return None

    def _find_near(self, text: str, scope: _Scope) -> Link | None:
        threshold = self._options.thresholds.get(scope.kind)
        folded, index = normalise(text), self._indices[scope.kind]
        is_guess = is_vague(folded) or len(folded) < MIN_NEAR or is_case_sensitive(text)
        is_guess |= count_parts(text) > MAX_PARTS
        if threshold is None or not self._options.near or is_guess:
            return None
        names = index.similar.find(folded, limit=N_COMPARED)
        rated = [(key, cosine * share_matched(key, folded)) for key, cosine in names if key not in ORDINARY]
        scored: dict[int, float] = {}
        for key, score in sorted(rated, key=lambda item: (-item[1], item[0])):
            if score < threshold or not score or len(scored) >= MAX_CANDIDATES:
                break
            for number in self._find_concepts(key, scope):
                scored.setdefault(number, score)
        if not scored:
            return None
        candidates = tuple(describe_concept(index, number) for number in list(scored)[:MAX_CANDIDATES])
        return Link(candidates[:1], "near", round(next(iter(scored.values())), 4), candidates)

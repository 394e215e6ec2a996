"""Identifiers of mentions, from folders of compiled terminologies (:mod:`openmed_ner.linking`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from openmed_ner.inference.attributes.options import IDENTIFIERS, IdentifierOptions
from openmed_ner.linking import (
    ConceptPlace,
    Dictionary,
    Linker,
    LinkingOptions,
    add_links,
    add_names,
    keep_under,
    list_concepts,
)
from openmed_ner.linking.species import read_species
from openmed_ner.terminologies.store import find_store
from openmed_ner.text import Document


def add_identifiers(
    documents: Iterable[Document],
    options: IdentifierOptions | None = None,
    steps: Sequence[str] = (IDENTIFIERS,),
) -> Iterator[Document]:
    """Add ``identifier``, ``preferred_name``, ``linked_by``, ``link_score`` and ``candidates`` to mentions.

    Args:
        documents: tagged documents.
        options: terminologies; those of the environment if ``None``.
        steps: steps that were asked for.

    Raises:
        InputError: there is no such folder, or it is damaged, or no terminology has a concept of ``under``.
    """
    options = options or IdentifierOptions()
    stream = iter(documents)
    for linker in _open_linked(options, steps):
        stream = add_links(stream, linker)
    if options.under:
        stream = keep_under(stream, _open_all(options, steps), options.under)
    return stream


def describe_concepts(
    documents: Iterable[Document], options: IdentifierOptions, steps: Sequence[str]
) -> dict[str, ConceptPlace]:
    """Describe the concepts of mentions, and all concepts above them, by identifier.

    Args:
        documents: documents whose spans have identifiers.
        options: terminologies that the identifiers are from.
        steps: steps that added them.
    """
    return list_concepts(documents, _open_all(options, steps))


def match_names(documents: Iterable[Document], options: IdentifierOptions) -> Iterator[Document]:
    """Add the names of vocabularies to documents, as layers of their own.

    Raises:
        InputError: a folder holds no compiled vocabulary, or it is damaged.
    """
    stream = iter(documents)
    for name in options.match:
        stream = add_names(stream, _open_dictionary(find_store(name)), nested=options.nested)
    return stream


def _open_linked(options: IdentifierOptions, steps: Sequence[str]) -> list[Linker]:
    species = read_species(options.species)
    return [open_linker(folder, species) for folder in options.list_linked(steps)]


def _open_all(options: IdentifierOptions, steps: Sequence[str]) -> list[Linker]:
    """Open the terminologies to link to, and those whose names are matched."""
    species = read_species(options.species)
    matched = [open_linker(find_store(name), species) for name in options.match]
    return [*_open_linked(options, steps), *matched]


@lru_cache(maxsize=4)
def open_linker(folder: Path, species: str | None) -> Linker:
    """Open a folder once per process; its files stay mapped."""
    return Linker.open(folder, LinkingOptions(species=species))


@lru_cache(maxsize=4)
def _open_dictionary(folder: Path) -> Dictionary:
    """Open a vocabulary once per process."""
    return Dictionary.open(folder)

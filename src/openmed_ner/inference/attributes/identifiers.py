"""Identifiers of mentions, from a folder of compiled terminologies (:mod:`openmed_ner.linking`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from openmed_ner.linking import Linker, add_links
from openmed_ner.terminologies.store import find_store
from openmed_ner.text import Document


def add_identifiers(
    documents: Iterable[Document], terminologies: str | Path | None = None
) -> Iterator[Document]:
    """Add ``identifier``, ``preferred_name``, ``linked_by``, ``link_score`` and ``candidates`` to mentions.

    Args:
        documents: tagged documents.
        terminologies: folder of compiled terminologies; that of the environment if ``None``.

    Raises:
        InputError: there is no such folder, or it is damaged.
    """
    return add_links(documents, _load(find_store(terminologies)))


@lru_cache(maxsize=2)
def _load(folder: Path) -> Linker:
    """Open a folder once per process; its files stay mapped."""
    return Linker.open(folder)

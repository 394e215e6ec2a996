"""A passage: running text of one source, without annotations, as pretraining reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of running text.

    Attributes:
        id: name in messages; need not be unique.
        source: collection of origin, which decides the licence.
        text: the text, unchanged.
    """

    id: str
    source: str
    text: str

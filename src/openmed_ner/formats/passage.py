"""A passage: some running text of one source, without annotations; what pretraining is fed with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of running text.

    Attributes:
        id: what to call it in messages; need not be unique.
        source: the collection it comes from, which decides its licence.
        text: the text as it was found.
    """

    id: str
    source: str
    text: str
